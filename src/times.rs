//! Times in words, the same on pages and in emails. All are UTC.

use time::OffsetDateTime;
#[cfg(feature = "cli")]
use time::PrimitiveDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Unix time as "22 November 2026".
pub fn day(at: i64) -> String {
    let words = format_description!("[day padding:none] [month repr:long] [year]");
    moment(at).format(&words).unwrap_or_default()
}

/// Unix time as "22 November 2026, 18:20 UTC".
pub fn day_and_time(at: i64) -> String {
    let words =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    moment(at).format(&words).unwrap_or_default()
}

/// Unix time for the `datetime` of a `<time>` element and for JSON (RFC 3339).
pub fn iso(at: i64) -> String {
    moment(at).format(&Rfc3339).unwrap_or_default()
}

/// Unix time of a text of RFC 3339.
pub fn parse_iso(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

/// Unix time of an HTTP header such as `Date` (RFC 9110, 5.6.7).
#[cfg(feature = "cli")]
pub fn parse_http_date(text: &str) -> Option<i64> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = PrimitiveDateTime::parse(text, &form).ok()?;
    Some(date.assume_utc().unix_timestamp())
}

/// A lifetime, exactly: "10 minutes", "1 hour", "90 seconds".
pub fn life(seconds: i64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let fits = units.iter().find(|(unit, _)| seconds >= *unit && seconds % unit == 0);
    let (unit, name) = fits.unwrap_or(&(1, "second"));
    counted(seconds / unit, name)
}

/// How long to wait, rounded up: "40 seconds", "15 minutes", "2 hours".
pub fn wait(seconds: i64) -> String {
    let (unit, name) = match seconds {
        ..=90 => (1, "second"),
        91..=5400 => (60, "minute"),
        5401..=129_600 => (3600, "hour"),
        _ => (86_400, "day"),
    };
    counted(seconds.max(1).saturating_add(unit - 1) / unit, name)
}

fn counted(count: i64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn moment(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_are_rounded_up() {
        let short = [(0, "1 second"), (45, "45 seconds"), (91, "2 minutes"), (900, "15 minutes")];
        let long = [(5401, "2 hours"), (86_400, "24 hours"), (200_000, "3 days")];
        for (seconds, words) in short.into_iter().chain(long) {
            assert_eq!(wait(seconds), words);
        }
    }

    #[test]
    fn lifetimes_are_exact() {
        for (seconds, words) in
            [(600, "10 minutes"), (3600, "1 hour"), (100, "100 seconds"), (86_400, "1 day")]
        {
            assert_eq!(life(seconds), words);
        }
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(day(1_795_370_400), "22 November 2026");
        assert_eq!(day_and_time(1_795_370_400), "22 November 2026, 18:00 UTC");
        assert_eq!(iso(1_795_370_400), "2026-11-22T18:00:00Z");
    }
}
