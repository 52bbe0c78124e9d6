//! A username: what may be one, its one spelling, and what no two accounts share.

use std::ops::RangeInclusive;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection, skeleton};

use super::email::EmailAddress;
use super::pasted::{is_invisible, plain};
use crate::config::{UsernameMode, UsernameRule, Usernames};

/// How many characters it has by the ASCII rule.
pub const LENGTH: RangeInclusive<usize> = 3..=30;

/// How many characters it may have by the Unicode rule: as in Django.
pub const MAX_LENGTH: usize = 150;

/// How many bytes its key may have: `PostgreSQL` indexes 2704. Only names of Korean syllables that nobody
/// reads have more.
const MAX_KEY_LENGTH: usize = 2600;

/// What the Unicode rule allows besides letters and digits.
const PUNCTUATION: &str = "@.+-_";

/// How many combining marks may follow a letter (UTS 39, 5.4).
const MAX_MARKS: usize = 4;

/// Names that would speak for the site or receive its mail (RFC 2142). Kept from the public form;
/// the command line may still give them to the people whose names they are.
const RESERVED: &str = "abuse admin administrator hostmaster moderator no-reply noreply postmaster root \
                        security support system webmaster";

/// A username, in lower case and NFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

/// Why a text is no username. Its `Display` is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    #[error("Enter a username.")]
    Empty,
    #[error("Use a username with {min}–{max} characters.", min = LENGTH.start(), max = LENGTH.end())]
    Length,
    #[error("Use a username with {MAX_LENGTH} characters or fewer.")]
    Long,
    #[error("Use only letters a–z, numbers, and single dots, dashes or underscores in between.")]
    Characters,
    #[error("Use only letters of one alphabet, numbers, and @ . + - _")]
    Letters,
    /// Where accounts without a username are known by their addresses.
    #[error("Use your own email, or a username without @.")]
    NotOwnEmail,
    #[error("That username is reserved.")]
    Reserved,
}

impl Username {
    /// Reads a new username as typed or pasted: capitals, spaces around it, invisible characters and
    /// full-width forms do not matter.
    pub fn parse(typed: &str, rule: UsernameRule) -> Result<Self, UsernameError> {
        let name = spelled(typed);
        if name.is_empty() {
            return Err(UsernameError::Empty);
        }
        match rule {
            UsernameRule::Ascii => check_ascii(&name)?,
            UsernameRule::Unicode => check_unicode(&name)?,
        }
        Ok(Self(name))
    }

    /// As [`Username::parse`], for the public form, and a person with this address. The site's own names are not
    /// given out, nor what looks like them.
    pub fn choose(
        typed: &str,
        usernames: Usernames,
        email: Option<&EmailAddress>,
    ) -> Result<Self, UsernameError> {
        let name = Self::parse(typed, usernames.rule)?;
        if name.looks_reserved() && !name.is_address(email) {
            return Err(UsernameError::Reserved);
        }
        name.check_email(usernames, email)?;
        Ok(name)
    }

    /// As [`Username::parse`], on the operator's word, for a person with this address. The site's own names are
    /// given out, too.
    pub fn give(
        typed: &str,
        usernames: Usernames,
        email: Option<&EmailAddress>,
    ) -> Result<Self, UsernameError> {
        let name = Self::parse(typed, usernames.rule)?;
        name.check_email(usernames, email)?;
        Ok(name)
    }

    /// Refuses the address of another person as a username where accounts may have none. One is known by its
    /// address there, so nobody may take a username that is the address of somebody who comes later.
    fn check_email(
        &self,
        usernames: Usernames,
        email: Option<&EmailAddress>,
    ) -> Result<(), UsernameError> {
        let is_optional = usernames.mode == UsernameMode::Optional;
        if is_optional && self.0.contains('@') && !self.is_address(email) {
            return Err(UsernameError::NotOwnEmail);
        }
        Ok(())
    }

    fn is_address(&self, email: Option<&EmailAddress>) -> bool {
        email.is_some_and(|email| email.key() == self.0)
    }

    /// Whether it looks like one of the site's own names, with any signs in between, also on one side of an `@`.
    fn looks_reserved(&self) -> bool {
        let bare = |name: &str| name.replace(|c| PUNCTUATION.contains(c), "");
        let reserved: Vec<String> =
            RESERVED.split(' ').map(|reserved| key_of(&bare(reserved), "")).collect();
        self.0.split('@').any(|part| reserved.contains(&key_of(&bare(part), "")))
    }

    /// As [`Username::choose`]; `None` for a person without one, where the site allows that.
    pub fn choose_optional(
        typed: &str,
        usernames: Usernames,
        email: Option<&EmailAddress>,
    ) -> Result<Option<Self>, UsernameError> {
        match Self::choose(typed, usernames, email) {
            _ if !usernames.are_used() => Ok(None),
            Err(UsernameError::Empty) if usernames.mode == UsernameMode::Optional => Ok(None),
            username => username.map(Some),
        }
    }

    /// Reads a username that an account may have, whatever the rule was when it was chosen. The error is
    /// that of today's.
    pub fn parse_existing(typed: &str, rule: UsernameRule) -> Result<Self, UsernameError> {
        Self::parse(typed, rule)
            .or_else(|error| Self::parse(typed, UsernameRule::Unicode).map_err(|_| error))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What no two accounts share, for the account with this address.
    pub fn key(&self, email_key: &str) -> String {
        key_of(&self.0, email_key)
    }
}

/// The username of an account with this address and its key. Without one it is empty, and the key is the
/// address's: no username is the same as the address that such an account is known by.
pub fn name_and_key(username: Option<&Username>, email: &EmailAddress) -> (String, String) {
    match username {
        Some(username) => (username.as_str().to_owned(), username.key(email.key())),
        None => (String::new(), email.key().to_owned()),
    }
}

/// The spelling in which usernames are stored and compared. Any text has one, whatever the rule for new
/// names: each name that exists is found by it. Only the Kelvin sign would become ASCII, and no name has it:
/// with it one could type the name of another person (CVE-2019-19844).
pub fn spelled(typed: &str) -> String {
    let visible = plain(typed).replace('\u{212a}', "\u{fffd}");
    let visible: String = visible.chars().filter(|c| !is_invisible(*c)).collect();
    visible.to_lowercase().nfc().collect()
}

/// What no two accounts share: the same for names that look alike (the skeleton of UTS 39), so that there is
/// neither an `аnn` with a Cyrillic а beside `ann` nor a `pau1` beside `paul`. The address of the account itself
/// stays as it is: two addresses that look alike belong to two people.
pub fn key_of(name: &str, email_key: &str) -> String {
    if name == email_key {
        return name.to_owned();
    }
    skeleton(name).collect::<String>().to_lowercase()
}

fn check_ascii(name: &str) -> Result<(), UsernameError> {
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !name.split(['.', '_', '-']).all(is_word) {
        return Err(UsernameError::Characters);
    }
    if LENGTH.contains(&name.len()) { Ok(()) } else { Err(UsernameError::Length) }
}

/// A highly restrictive identifier of UTS 39, 5.2: one script, or the scripts that Japanese, Korean or
/// Chinese mix. With `@` it looks like an address, so it must be ASCII as those are.
fn check_unicode(name: &str) -> Result<(), UsernameError> {
    // First, because the other checks read the whole text.
    if name.chars().nth(MAX_LENGTH).is_some() || key_of(name, "").len() > MAX_KEY_LENGTH {
        return Err(UsernameError::Long);
    }
    let letters: String = name.chars().filter(|c| !PUNCTUATION.contains(*c)).collect();
    let is_allowed = !letters.is_empty()
        && letters.chars().all(|c| c.is_alphanumeric() || is_combining_mark(c))
        && letters.check_restriction_level(RestrictionLevel::HighlyRestrictive)
        && has_plain_marks(name)
        && (name.is_ascii() || !name.contains('@'));
    if is_allowed { Ok(()) } else { Err(UsernameError::Letters) }
}

/// Whether each combining mark belongs to a letter that needs it. After an ASCII letter or a sign it composes
/// with nothing: `i` with a second dot looks like `i`. One mark twice looks like one (UTS 39, 5.4).
fn has_plain_marks(name: &str) -> bool {
    let (mut before, mut marks) = (None, 0);
    let are_needed = name.chars().all(|c| {
        let after = before.replace(c);
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        marks == 0 || (marks <= MAX_MARKS && after.is_some_and(|after: char| !after.is_ascii()))
    });
    let decomposed: Vec<char> = name.nfd().collect();
    let is_doubled = |pair: &[char]| pair[0] == pair[1] && is_combining_mark(pair[0]);
    are_needed && !decomposed.windows(2).any(is_doubled)
}

#[cfg(test)]
mod tests;
