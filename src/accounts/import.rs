//! Import accounts from another program, with their password hashes.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use super::email::EmailAddress;
use super::username::{Username, name_and_key};
use crate::app::App;
use crate::config::UsernameMode;
use crate::imported_hash::{ImportedHash, Source, parse};
use crate::models::imported_user::{
    BATCH, ImportedUser, UserNames, find_users_by_names, insert_users, new_id,
};
use crate::times;

/// An account as the other program has it.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportRow {
    pub username: Option<String>,
    pub email: Option<String>,
    /// This and the next two as in [`Source`].
    pub hash: Option<String>,
    pub kind: Option<String>,
    pub extra: Value,
    pub email_verified: Option<bool>,
    pub disabled: Option<bool>,
    /// RFC 3339.
    pub created_at: Option<String>,
}

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

/// A row that made no account.
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
}

/// An import under way.
pub struct Import {
    app: App,
    is_trial: bool,
    /// The keys of the rows so far, and where they are.
    seen: HashMap<String, Place>,
    batch: Vec<Checked>,
    report: Report,
}

/// A row that may become an account.
struct Checked {
    place: Place,
    user: ImportedUser,
    hash: Option<ImportedHash>,
}

impl Import {
    /// Begins one. A trial changes nothing.
    pub fn new(app: &App, is_trial: bool) -> Self {
        let (seen, batch, report) = (HashMap::new(), Vec::new(), Report::default());
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

    /// Refuses a row with the username or the address of one before it.
    fn remember(&mut self, row: &Checked) -> Result<(), String> {
        let names = row.user.names().into_iter().filter(|name| !name.is_empty());
        if let Some(place) = names.clone().find_map(|name| self.seen.get(name)) {
            return Err(format!("{place} has the same username or email"));
        }
        self.seen.extend(names.map(|name| (name.to_owned(), row.place.clone())));
        Ok(())
    }

    /// Makes the accounts of the batch in one transaction. Those before it are kept, so that an import that
    /// was interrupted goes on where it stopped.
    async fn write_batch(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        let users = batch.iter().map(|row| &row.user);
        let existing = find_users_by_names(self.app.db.reader(), users).await?;
        let mut new = Vec::new();
        for row in batch {
            let conflict = find_conflict(&existing, &row.user);
            if matches!(conflict, Some(Conflict::Other)) {
                self.refuse(row.place, TAKEN);
            } else if let Err(reason) = self.remember(&row) {
                self.refuse(row.place, reason);
            } else if conflict.is_some() {
                self.report.unchanged += 1;
            } else {
                new.push(row);
            }
        }
        if self.is_trial {
            self.report.accounts += u64::try_from(new.len()).unwrap_or_default();
            return Ok(());
        }
        let (places, users) = self.adopt_hashes(new).await?;
        let mut tx = self.app.db.begin().await?;
        let made = insert_users(tx.executor(), &users).await?;
        tx.commit().await?;
        for (place, user) in places.into_iter().zip(users) {
            if made.contains(&user.id) {
                self.report.accounts += 1;
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
        let adopted = stream::iter(rows).map(async |Checked { place, mut user, hash }| {
            if let Some(hash) = hash {
                (user.password_hash, user.password_scheme) = hasher.adopt(hash).await?;
            }
            Ok::<_, Error>((place, user))
        });
        let adopted = adopted.buffered(self.app.config.hash.threads);
        Ok(adopted.try_collect::<Vec<_>>().await?.into_iter().unzip())
    }
}

const TAKEN: &str = "another account has this username, what looks like it, or this email";

enum Conflict {
    /// It is the account of the row.
    Same,
    Other,
}

fn find_conflict(existing: &[UserNames], user: &ImportedUser) -> Option<Conflict> {
    let own = user.names();
    if existing.iter().any(|other| other.names() == own) {
        return Some(Conflict::Same);
    }
    let is_own = |name: &str| !name.is_empty() && own.contains(&name);
    existing.iter().any(|other| other.names().into_iter().any(is_own)).then_some(Conflict::Other)
}

/// Reads the values of a row. The error is for the operator.
fn check(app: &App, place: Place, row: ImportRow) -> Result<Checked, String> {
    let typed = row.email.filter(|email| !email.is_empty()).ok_or("it has no email")?;
    let email = EmailAddress::parse(&typed).map_err(|_| format!("{typed:?} is no email"))?;
    let username = read_username(app, row.username.as_deref(), &email)?;
    let (username, username_key) = name_and_key(username.as_ref(), &email);
    let hash = match (row.hash.as_deref(), row.kind.as_deref()) {
        (None | Some(""), _) => None,
        (Some(_), None) => return Err("it has a hash without a kind".to_owned()),
        (Some(hash), Some(kind)) => {
            let source = Source { kind, hash, extra: &row.extra };
            parse(source).map_err(|refusal| refusal.to_string())?
        }
    };
    let now = app.clock.now();
    let created_at = row.created_at.map(|text| {
        times::parse_iso(&text).ok_or_else(|| format!("created_at {text:?} is no time of RFC 3339"))
    });
    let user = ImportedUser {
        id: new_id(now),
        username,
        username_key,
        email: email.as_typed().to_owned(),
        email_key: email.key().to_owned(),
        password_hash: String::new(),
        password_scheme: None,
        created_at: created_at.transpose()?.unwrap_or(now),
        // Where the other program does not say it, it is the operator's word, and no proof.
        email_verified_at: row.email_verified.map_or(Some(0), |verified| verified.then_some(now)),
        disabled_at: row.disabled.unwrap_or_default().then_some(now),
    };
    Ok(Checked { place, user, hash })
}

/// The username by the site's rules. The site's own names may be given to those who have them.
fn read_username(
    app: &App,
    typed: Option<&str>,
    email: &EmailAddress,
) -> Result<Option<Username>, String> {
    let usernames = app.config.usernames;
    let typed = typed.filter(|typed| !typed.trim().is_empty());
    match (usernames.mode, typed) {
        (UsernameMode::None, _) | (UsernameMode::Optional, None) => Ok(None),
        (UsernameMode::Required, None) => Err("it has no username".to_owned()),
        (UsernameMode::Required | UsernameMode::Optional, Some(typed)) => {
            let refused = |why: &dyn std::fmt::Display| format!("{typed:?} is no username: {why}");
            let username = Username::parse(typed, usernames.rule).map_err(|why| refused(&why))?;
            username.check_email(usernames, Some(email)).map_err(|why| refused(&why))?;
            Ok(Some(username))
        }
    }
}
