//! Import accounts from another program, with their password hashes.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;

use super::Error;
use super::email::EmailAddress;
pub use super::import_row::ImportRow;
use super::username::{Username, name_and_key};
use crate::app::App;
use crate::config::UsernameMode;
use crate::imported_hash::{ImportedHash, Source, parse};
use crate::models::imported_user::{
    BATCH, ImportedUser, UserNames, find_kept_names, find_users_by_names, insert_users,
};
use crate::{random, times};

/// How far, in seconds, a time of creation may be ahead of ours: some programs store local times.
const MAX_AHEAD: i64 = 24 * 60 * 60;

/// Where a row is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Place {
    Line { line: u64 },
    User { id: i64, username: String },
}

impl std::fmt::Display for Place {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line { line } => write!(to, "line {line}"),
            Self::User { id, username } => write!(to, "user {id} ({username:?})"),
        }
    }
}

/// A row that made no account, or one without its username.
#[derive(Serialize)]
pub struct Refused {
    #[serde(flatten)]
    pub place: Place,
    pub reason: String,
}

/// What became of the rows.
#[derive(Default, Serialize)]
pub struct Report {
    pub rows: u64,
    /// Made, or to be made by an import that is no trial.
    pub accounts: u64,
    /// Rows whose account existed before, with this username and this address.
    pub unchanged: u64,
    pub refused: Vec<Refused>,
    /// Rows that came in without their username, which was refused.
    #[serde(skip)]
    pub without_username: Vec<Refused>,
}

/// An import under way.
pub struct Import {
    app: App,
    is_trial: bool,
    /// The names of the rows so far, and where they are.
    seen: Seen,
    batch: Vec<Checked>,
    report: Report,
}

#[derive(Default)]
struct Seen {
    usernames: HashMap<String, Place>,
    emails: HashMap<String, Place>,
}

/// A row that may become an account.
struct Checked {
    place: Place,
    user: ImportedUser,
    hash: Option<ImportedHash>,
    /// Why it has not the username of the row.
    username_refused: Option<String>,
}

/// What a row becomes that is not refused.
enum Fit {
    New,
    /// Its account exists.
    Unchanged,
}

impl Import {
    /// Begins one. A trial changes nothing.
    pub fn new(app: &App, is_trial: bool) -> Self {
        let (seen, batch, report) = (Seen::default(), Vec::new(), Report::default());
        Self { app: app.clone(), is_trial, seen, batch, report }
    }

    /// Adds a row, or what it is instead of one.
    pub async fn add(&mut self, place: Place, row: Result<ImportRow, String>) -> Result<(), Error> {
        self.report.rows += 1;
        match row.and_then(|row| check(&self.app, place.clone(), row)) {
            Ok(checked) => self.batch.push(checked),
            Err(reason) => self.refuse(place, reason),
        }
        if self.batch.len() == BATCH { self.write_batch().await } else { Ok(()) }
    }

    /// Writes what is left.
    pub async fn finish(mut self) -> Result<Report, Error> {
        self.write_batch().await?;
        self.report.refused.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(self.report)
    }

    fn refuse(&mut self, place: Place, reason: impl Into<String>) {
        self.report.refused.push(Refused { place, reason: reason.into() });
    }

    /// Compares a row with the accounts that exist, with the names that are kept for one, and with the rows
    /// before it. Where usernames are optional, it loses a username that it cannot have. The error is for the
    /// operator.
    fn fit(
        &mut self,
        (existing, kept): (&[UserNames], &[UserNames]),
        row: &mut Checked,
    ) -> Result<Fit, String> {
        let email = row.user.email_key.clone();
        if let Some(place) = self.seen.emails.get(&email) {
            return Err(format!("{place} has the same email"));
        }
        if let Some(other) = existing.iter().find(|other| other.email_key == email) {
            // An earlier import may have left the username out.
            if ![row.user.username.as_str(), ""].contains(&other.username.as_str()) {
                return Err("another account has this email".to_owned());
            }
            self.seen.emails.insert(email, row.place.clone());
            return Ok(Fit::Unchanged);
        }
        if kept.iter().any(|other| other.email_key == email) {
            return Err("this email can be given back to another account".to_owned());
        }
        let others = || existing.iter().chain(kept);
        if let Some(reason) = self.why_username_taken(others(), &row.user) {
            if self.app.config.usernames.mode != UsernameMode::Optional {
                return Err(reason);
            }
            row.username_refused = Some(reason);
            row.user.username.clear();
            row.user.username_key.clone_from(&email);
            self.why_username_taken(others(), &row.user).map_or(Ok(()), Err)?;
        }
        let ImportedUser { username, username_key, .. } = &row.user;
        for name in [username, username_key] {
            self.seen.usernames.insert(name.clone(), row.place.clone());
        }
        self.seen.emails.insert(email, row.place.clone());
        Ok(Fit::New)
    }

    /// Whether another has the username of `user`, what looks like it, or it as its address.
    fn why_username_taken<'a>(
        &self,
        mut others: impl Iterator<Item = &'a UserNames>,
        user: &ImportedUser,
    ) -> Option<String> {
        let names = [user.username.as_str(), &user.username_key];
        let mut names = names.into_iter().filter(|name| !name.is_empty());
        if others.any(|other| names.clone().any(|name| other.names().contains(&name))) {
            return Some(TAKEN.to_owned());
        }
        let Seen { usernames, emails } = &self.seen;
        let place = names.find_map(|name| usernames.get(name).or_else(|| emails.get(name)))?;
        Some(format!("{place} has the same username or email, or one that looks like it"))
    }

    /// The rows of the batch that become accounts; the others are in the report.
    fn fit_all(
        &mut self,
        others: (&[UserNames], &[UserNames]),
        batch: Vec<Checked>,
    ) -> Vec<Checked> {
        let mut new = Vec::new();
        for mut row in batch {
            match self.fit(others, &mut row) {
                Err(reason) => self.refuse(row.place, reason),
                Ok(Fit::Unchanged) => self.report.unchanged += 1,
                Ok(Fit::New) => {
                    if let Some(reason) = row.username_refused.take() {
                        let place = row.place.clone();
                        self.report.without_username.push(Refused { place, reason });
                    }
                    new.push(row);
                }
            }
        }
        new
    }

    /// Makes the accounts of the batch in one transaction. Those before it are kept, so that an import that
    /// was interrupted goes on where it stopped.
    async fn write_batch(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        let users = || batch.iter().map(|row| &row.user);
        let existing = find_users_by_names(self.app.db.reader(), users()).await?;
        let kept = find_kept_names(self.app.db.reader(), users(), self.app.clock.now()).await?;
        let new = self.fit_all((&existing, &kept), batch);
        if self.is_trial {
            self.report.accounts += u64::try_from(new.len()).unwrap_or_default();
            return Ok(());
        }
        let (places, users) = self.adopt_hashes(new).await?;
        let mut tx = self.app.db.begin().await?;
        let made = insert_users(tx.executor(), &users).await?;
        tx.commit().await?;
        let lost = users.iter().filter(|user| !made.contains(&user.id));
        let existing = find_users_by_names(self.app.db.reader(), lost).await?;
        for (place, user) in places.into_iter().zip(users) {
            if made.contains(&user.id) {
                self.report.accounts += 1;
            } else if existing.iter().any(|other| other.names() == user.names()) {
                // By another import at the same time.
                self.report.unchanged += 1;
            } else {
                self.refuse(place, TAKEN);
            }
        }
        Ok(())
    }

    /// Turns the hashes into what is stored, on all threads of the hash pool.
    async fn adopt_hashes(
        &self,
        rows: Vec<Checked>,
    ) -> Result<(Vec<Place>, Vec<ImportedUser>), Error> {
        let hasher = &self.app.hasher;
        let adopted = stream::iter(rows).map(async |Checked { place, mut user, hash, .. }| {
            if let Some(hash) = hash {
                (user.password_hash, user.password_scheme) = hasher.adopt(hash).await?;
            }
            Ok::<_, Error>((place, user))
        });
        let adopted = adopted.buffered(self.app.config.hash.threads);
        Ok(adopted.try_collect::<Vec<_>>().await?.into_iter().unzip())
    }
}

const TAKEN: &str =
    "another account has this username, what looks like it, or it as its email, or had it lately";

/// Reads the values of a row. The error is for the operator.
fn check(app: &App, place: Place, row: ImportRow) -> Result<Checked, String> {
    let (email, is_known) = read_email(&row)?;
    let (username, username_refused) = match read_username(app, row.username.as_deref(), &email) {
        Err(reason) if app.config.usernames.mode == UsernameMode::Optional => (None, Some(reason)),
        read => (read?, None),
    };
    let (username, username_key) = name_and_key(username.as_ref(), &email);
    let hash = match (row.hash.as_deref(), row.kind.as_deref()) {
        (None | Some(""), _) => None,
        (Some(_), None) => {
            return Err("kind is missing: it names the program that made the hash".to_owned());
        }
        (Some(hash), Some(kind)) => {
            let extra = row.extra.map_or(Value::Null, Value::Object);
            let source = Source { kind, hash, extra: &extra };
            parse(source).map_err(|refusal| refusal.to_string())?
        }
    };
    let now = app.clock.now();
    let user = ImportedUser {
        id: random::id(app.clock.millis()),
        username,
        username_key,
        email: email.as_typed().to_owned(),
        email_key: email.key().to_owned(),
        password_hash: String::new(),
        password_scheme: None,
        created_at: row.created_at.map_or(Ok(now), |text| read_time(&text, now))?,
        // Where the other program does not say it, it is the operator's word, and no proof.
        email_verified_at: row
            .email_verified
            .map_or(is_known.then_some(0), |verified| verified.then_some(now)),
        disabled_at: row.disabled.unwrap_or_default().then_some(now),
    };
    Ok(Checked { place, user, hash, username_refused })
}

/// The address; where there is none, the username, if it is one. Returns also whether the other program had it
/// as an address.
fn read_email(row: &ImportRow) -> Result<(EmailAddress, bool), String> {
    match row.email.as_deref().filter(|email| !email.trim().is_empty()) {
        Some(typed) => EmailAddress::parse(typed)
            .map(|email| (email, true))
            .map_err(|_| format!("email must be an address like ann@example.com, not {typed:?}")),
        None => EmailAddress::parse(row.username.as_deref().unwrap_or_default())
            .map(|email| (email, false))
            .map_err(|_| "email is missing, and username is no email either".to_owned()),
    }
}

/// A time of creation, which is not after `now`: a row from the future would look as if the clock was wrong.
fn read_time(text: &str, now: i64) -> Result<i64, String> {
    match times::parse_iso(text) {
        None => Err(format!(
            "created_at must be a time like 2024-05-04T10:20:30Z (RFC 3339), not {text:?}"
        )),
        Some(at) if at > now + MAX_AHEAD => Err(format!("created_at is in the future: {text}")),
        Some(at) => Ok(at.min(now)),
    }
}

/// The username by the site's rules.
fn read_username(
    app: &App,
    typed: Option<&str>,
    email: &EmailAddress,
) -> Result<Option<Username>, String> {
    let usernames = app.config.usernames;
    let typed = typed.filter(|typed| !typed.trim().is_empty());
    match (usernames.mode, typed) {
        (UsernameMode::None, _) | (UsernameMode::Optional, None) => Ok(None),
        (UsernameMode::Required, None) => {
            Err("username is missing: VESTIBULE_USERNAME is required".to_owned())
        }
        (UsernameMode::Required | UsernameMode::Optional, Some(typed)) => {
            let refused = |why| format!("username {typed:?} is not allowed: {why}");
            Username::give(typed, usernames, Some(email)).map(Some).map_err(refused)
        }
    }
}
