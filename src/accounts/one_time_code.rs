//! A one-time code: what people may type for it.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::pasted::{is_dash, is_invisible};
use crate::random::{self, CODE_LENGTH};

/// A code as it is compared: capitals and digits, shown as `XXXX-XXXX`. It has no `Debug`, so that it reaches no log.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeCode(String);

/// Why a text cannot be a code. Its `Display` is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    #[error("Enter the code from the email.")]
    Empty,
    /// Such a text never costs an attempt, because it is never compared.
    #[error("Enter the {CODE_LENGTH}-character code from the email, like CDFG-2345.")]
    Shape,
}

impl OneTimeCode {
    pub fn generate() -> Self {
        Self(random::code())
    }

    /// Reads a code as typed or pasted: case, width, spaces, dashes of any kind, combining marks and
    /// invisible characters do not matter.
    pub fn parse(typed: &str) -> Result<Self, CodeError> {
        let is_ignored = |c: &char| {
            c.is_whitespace() || is_dash(*c) || is_invisible(*c) || is_combining_mark(*c)
        };
        let code: String = typed.nfkd().filter(|c| !is_ignored(c)).collect();
        let code = code.to_ascii_uppercase();
        if code.is_empty() {
            return Err(CodeError::Empty);
        }
        if random::is_code(&code) { Ok(Self(code)) } else { Err(CodeError::Shape) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OneTimeCode {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = self.0.split_at(CODE_LENGTH / 2);
        write!(to, "{left}-{right}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_and_dashes_do_not_matter() {
        let code = OneTimeCode::parse("CDFG2345").unwrap();
        for typed in ["cdfg-2345", " CDFG 2345\n", "c d f g – 2 3 4 5", "CDFG\u{2011}2345"] {
            assert!(OneTimeCode::parse(typed).unwrap() == code, "{typed:?}");
        }
        assert_eq!(code.to_string(), "CDFG-2345");
    }

    #[test]
    fn a_code_is_read_as_it_is_pasted() {
        let code = OneTimeCode::parse("CDFG2345").unwrap();
        for typed in [
            "CDFG\u{ad}-\u{ad}2345",
            "\u{feff}\u{200b}CDFG\u{2060}-\u{200d}2345\u{200e}",
            "\u{2068}CDFG-2345\u{2069}",
            "\u{202a}CDFG\u{202f}-\u{3000}2345\u{202c}",
            "ＣＤＦＧ－２３４５",
            "ｃｄｆｇー２３４５",
            "𝐂𝐃𝐅𝐆-𝟐𝟑𝟒𝟓",
            "C\u{fe0e}DFG\u{ff70}2345",
            "CDFG\u{2e3a}2345",
            "CDFG-2\u{fe0f}\u{20e3}345",
            "\u{fffc}CDFG\u{fffc}-2345",
            "C\u{301}D\u{327}FG-23\u{332}45\u{20dd}",
            "ⒸⒹⒻⒼ-②③④⑤",
            "CDFG~2345".replace('~', "\u{301c}").as_str(),
        ] {
            assert!(OneTimeCode::parse(typed) == Ok(code.clone()), "{typed:?}");
        }
        for typed in ["CDFG\0-2345", "CDFG_2345", "CDFG.2345", "ＡＥＩＯＵ000"] {
            assert_eq!(OneTimeCode::parse(typed).err(), Some(CodeError::Shape), "{typed:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_told_apart_from_nothing() {
        assert_eq!(OneTimeCode::parse(" - ").err(), Some(CodeError::Empty));
        for typed in ["CDFG", "CDFG-23456", "AEIO-U000", "СDFG-2345"] {
            assert_eq!(OneTimeCode::parse(typed).err(), Some(CodeError::Shape), "{typed:?}");
        }
    }
}
