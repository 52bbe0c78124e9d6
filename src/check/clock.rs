//! This machine's clock, against the rows of the database and the site's own.

use super::Finding;
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::models::newest_row::newest_row;
use crate::times::{day_and_time, wait};

const NAME: &str = "clock";

/// Further off than this is wrong.
const TOLERANCE: i64 = 60;

/// This version was written in 2026 (Unix time of its start).
const RELEASE_YEAR: i64 = 1_767_225_600;

/// `date` is what the site answered as its time.
pub async fn check(db: Option<&Db>, date: Option<i64>) -> Finding {
    let now = Clock::System.now();
    let newest = match db {
        Some(db) => newest(db).await.unwrap_or_default(),
        None => None,
    };
    match why_wrong(now, newest, date) {
        Some(why) => Finding::failed(NAME, format!("{why}: set the clock (NTP)")),
        None => Finding::ok(NAME, day_and_time(now)),
    }
}

/// The rows of an older schema are not read.
async fn newest(db: &Db) -> Result<Option<i64>, DbError> {
    if db.migrations().await?.pending > 0 { Ok(None) } else { newest_row(db.reader()).await }
}

fn why_wrong(now: i64, newest: Option<i64>, date: Option<i64>) -> Option<String> {
    let shown = day_and_time(now);
    if now < RELEASE_YEAR {
        return Some(format!("{shown} is before the year of this version"));
    }
    if let Some(at) = newest.filter(|at| at - now > TOLERANCE) {
        let by = wait(at - now);
        return Some(format!("{shown} is {by} before the newest row of the database"));
    }
    let date = date.filter(|date| (date - now).abs() >= TOLERANCE)?;
    let by = wait((date - now).abs());
    Some(format!("{shown} differs by {by} from the clock that the site answers with"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_release_or_the_rows_or_beside_the_sites_is_wrong() {
        let now = RELEASE_YEAR + 1_000_000;
        for (now, newest, date, words) in [
            (now, None, None, None),
            (now, Some(now + 60), Some(now + 59), None),
            (now, Some(now - 99_999), Some(now - 59), None),
            (RELEASE_YEAR - 1, None, None, Some("before the year of this version")),
            (now, Some(now + 61), None, Some("61 seconds before the newest row")),
            (now, None, Some(now + 60), Some("differs by 60 seconds")),
            (now, None, Some(now - 3600), Some("differs by 60 minutes")),
        ] {
            let why = why_wrong(now, newest, date);
            let is_right = why
                .as_deref()
                .map_or(words.is_none(), |why| words.is_some_and(|words| why.contains(words)));
            assert!(is_right, "{why:?}");
        }
    }
}
