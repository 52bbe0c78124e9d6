//! A username: what may be one, and its one spelling.

use std::ops::RangeInclusive;

use super::pasted::plain;

/// How many characters it has.
pub const LENGTH: RangeInclusive<usize> = 3..=30;

/// Names that would speak for the site or receive its mail (RFC 2142). Kept from the public form;
/// the command line may still give them to the people whose names they are.
const RESERVED: &str = "abuse admin administrator hostmaster moderator no-reply noreply postmaster root \
                        security support system webmaster";

/// Lower-case ASCII letters and digits, with single dots, dashes or underscores between them.
///
/// ASCII only and one case, so that no two names look alike: neither `аnn` with a Cyrillic а nor
/// `paul` written with a capital I.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

/// Why a text is no username. Its `Display` is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    #[error("Enter a username.")]
    Empty,
    #[error("Use a username with {min}–{max} characters.", min = LENGTH.start(), max = LENGTH.end())]
    Length,
    #[error("Use only letters a–z, numbers, and single dots, dashes or underscores in between.")]
    Characters,
    #[error("That username is reserved.")]
    Reserved,
}

impl Username {
    /// Reads a username as typed or pasted: capitals, spaces around it, invisible characters and
    /// full-width forms do not matter.
    pub fn parse(typed: &str) -> Result<Self, UsernameError> {
        let name = plain(typed).to_ascii_lowercase();
        if name.is_empty() {
            return Err(UsernameError::Empty);
        }
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !name.split(['.', '_', '-']).all(is_word) {
            return Err(UsernameError::Characters);
        }
        if !LENGTH.contains(&name.len()) {
            return Err(UsernameError::Length);
        }
        Ok(Self(name))
    }

    /// As [`Username::parse`], for the public form: the site's own names are not given out.
    pub fn parse_new(typed: &str) -> Result<Self, UsernameError> {
        let name = Self::parse(typed)?;
        if RESERVED.split(' ').any(|reserved| reserved == name.as_str()) {
            return Err(UsernameError::Reserved);
        }
        Ok(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_spaces_around_it_and_what_is_pasted_with_it_do_not_matter() {
        for typed in [
            " Ann.Smith \t",
            "\u{200b}Ann.Smith\u{feff}",
            "\u{2068}ann.smith\u{2069}",
            "a\u{200d}nn\u{2060}.sm\u{ad}ith",
            "Ａｎｎ．ｓｍｉｔｈ",
        ] {
            assert_eq!(Username::parse(typed).unwrap().as_str(), "ann.smith", "{typed:?}");
        }
    }

    #[test]
    fn what_is_not_plain_ascii_is_refused() {
        for typed in [
            "аnn",
            "ann smith",
            "ann@x",
            "ann\0",
            "ann\r\nBcc: x",
            "änn",
            "a..b",
            "-ann",
            "ann_",
            "mi\u{212a}e",
            "\u{17f}am",
            "ﬁnn",
            "ａnn＠",
            "ann\u{301}",
        ] {
            assert_eq!(Username::parse(typed), Err(UsernameError::Characters), "{typed:?}");
        }
    }

    #[test]
    fn too_short_and_too_long_are_refused() {
        assert_eq!(Username::parse("an"), Err(UsernameError::Length));
        assert_eq!(Username::parse(&"a".repeat(31)), Err(UsernameError::Length));
        assert!(Username::parse(&"a".repeat(30)).is_ok());
        assert_eq!(Username::parse("  "), Err(UsernameError::Empty));
    }

    #[test]
    fn the_sites_own_names_are_kept_from_the_form_alone() {
        assert_eq!(Username::parse_new("Admin"), Err(UsernameError::Reserved));
        assert!(Username::parse("admin").is_ok());
    }
}
