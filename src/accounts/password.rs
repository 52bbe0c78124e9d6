//! A password: what may be one, and how easy it is to guess.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;
use zxcvbn::Score;
use zxcvbn::feedback::{Feedback, Warning};

use super::pasted::plain;

/// The longest password, in code points: at least 64 must be taken (NIST SP 800-63B-4 3.1.1.2).
pub const MAX_PASSWORD_LENGTH: usize = 128;

/// How much of a password is checked for strength, in code points. zxcvbn's time grows with the square: 30 ms for
/// the worst 32, 650 ms for the worst 123 (measured), and anybody may send one.
const MAX_CHECKED_LENGTH: usize = 32;

/// How much of each word of the context is looked at, in code points: no address is longer
/// (RFC 5321), and a long field must not make the check slow.
const MAX_CONTEXT_LENGTH: usize = 254;

const REPEATS: &str = "repeats itself";

/// A password in Unicode's NFC, wiped from memory when dropped. It has no `Debug`, so that it reaches no
/// log.
///
/// NFC, because one keyboard sends `é` as one code point and another as two (NIST SP 800-63B-4
/// 3.1.1.2). Nothing else is changed: spaces, case and every character count (ASVS 6.2.5, 6.2.8).
#[derive(Clone)]
pub struct Password {
    text: Zeroizing<String>,
    /// Other programs hash it as it was typed.
    typed: Option<Zeroizing<String>>,
}

/// However it was typed.
impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Why a text may not become a password. Its `Display` is what the visitor reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("Enter a password.")]
    Empty,
    #[error("Use a password with at least {0} characters.")]
    Short(usize),
    #[error("Use a password with {MAX_PASSWORD_LENGTH} characters or fewer.")]
    Long,
    #[error("This is your current password. Choose a new one.")]
    Current,
    #[error("This password is too common. Try a few unrelated words.")]
    Common,
    /// With the reason (NIST SP 800-63B-4 3.1.1.2 wants one given).
    #[error("This password is easy to guess: it {0}. Try a few unrelated words.")]
    Guessable(&'static str),
}

impl Password {
    /// A password to compare: any text.
    pub fn typed(text: &str) -> Self {
        let (typed, text) = (Zeroizing::new(text.to_owned()), Zeroizing::new(text.nfc().collect()));
        let typed = Some(typed).filter(|typed| *typed != text);
        Self { text, typed }
    }

    /// A new password of at least `min` code points. [`Password::weakness`] is the slow part of the
    /// check.
    pub fn choose(text: &str, min: usize) -> Result<Self, PasswordError> {
        if text.is_empty() {
            return Err(PasswordError::Empty);
        }
        let password = Self::typed(text);
        match password.text.chars().count() {
            short if short < min => Err(PasswordError::Short(min)),
            long if long > MAX_PASSWORD_LENGTH => Err(PasswordError::Long),
            _ => Ok(password),
        }
    }

    /// Why it is easy to guess, if it is. `context` are the words that a guesser would try first:
    /// username, email address, site name (ASVS 6.1.2, 6.2.11).
    pub fn weakness(&self, context: &[String]) -> Option<PasswordError> {
        let context: Vec<String> =
            context.iter().map(|text| truncate(text, MAX_CONTEXT_LENGTH)).collect();
        // `ann.smith@x.example` also forbids `ann.smith` and `smith`.
        let parts = context.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        let halves = context.iter().flat_map(|text| text.split('@'));
        let parts = parts.chain(halves).filter(|part| part.len() > 2);
        let words: Vec<&str> = parts.chain(context.iter().map(String::as_str)).collect();
        // 3 of 4: more than 1e8 guesses. Online guessing is limited to some thousands a day.
        let judge = |text: &str| {
            let found = zxcvbn::zxcvbn(&Zeroizing::new(truncate(text, MAX_CHECKED_LENGTH)), &words);
            (found.score() < Score::Three).then(|| error_of(found.feedback()))
        };
        judge(&self.text).or_else(|| {
            let repeats = without_repeats(&self.text).is_some_and(|once| judge(&once).is_some());
            repeats.then_some(PasswordError::Guessable(REPEATS))
        })
    }

    /// What somebody tries first who knows `name`, a username or an address, however it is written: the name, and
    /// what is made of it, if that has the `min` code points of a new password.
    pub fn guesses_from(name: &str, min: usize) -> Vec<Self> {
        let name = plain(name);
        let local = name.split_once('@').map_or(&*name, |(local, _)| local);
        let (lower, lower_name) = (local.to_lowercase(), name.to_lowercase());
        let title = capitalised(&lower, true);
        let names = [
            name.clone(),
            lower_name,
            local.to_owned(),
            lower.clone(),
            capitalised(&lower, false),
            title.clone(),
        ];
        let with_signs_as = |text: &str, sign| text.replace(|c: char| !c.is_alphanumeric(), sign);
        let made = [
            with_signs_as(&lower, ""),
            with_signs_as(&lower, " "),
            with_signs_as(&title, ""),
            with_signs_as(&title, " "),
            lower.repeat(2),
            lower.chars().rev().collect(),
            format!("{lower}1"),
            format!("{lower}123"),
            format!("{lower}!"),
        ];
        let made = made.into_iter().filter(|made| made.chars().count() >= min);
        let mut guesses = Vec::new();
        for guess in names.into_iter().chain(made) {
            let guess = Self::typed(&guess);
            if !guess.text.is_empty() && !guesses.contains(&guess) {
                guesses.push(guess);
            }
        }
        guesses
    }

    /// As it was typed, if that is not NFC.
    pub fn otherwise_typed(&self) -> Option<&str> {
        self.typed.as_ref().map(|typed| typed.as_str())
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// `text` with its first letter in upper case; that of each word, if `every`.
fn capitalised(text: &str, every: bool) -> String {
    let mut starts = true;
    let letters = text.chars().flat_map(|c| {
        let upper = starts.then(|| c.to_uppercase()).into_iter().flatten();
        let same = (!starts).then_some(c);
        starts = every && !c.is_alphanumeric();
        upper.chain(same)
    });
    letters.collect()
}

fn truncate(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

/// `text` with repeated words removed; `None` if no word is repeated. Attackers try a common word twice,
/// and zxcvbn detects only repeats that follow each other directly. Words that differ by one or two
/// letters at the end are the same; words of two letters are ignored. If one word is left, it is returned
/// without what surrounds it.
fn without_repeats(text: &str) -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(text.to_lowercase());
    let mut words: Vec<&str> = Vec::new();
    let mut once = Zeroizing::new(String::new());
    for part in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let word = part.trim_end_matches(|c: char| !c.is_alphabetic());
        let is_repeat = words
            .iter()
            .filter(|known| known.chars().count() > 2)
            .any(|known| word.strip_prefix(known).is_some_and(|more| more.chars().count() <= 2));
        once.push_str(if is_repeat { &part[word.len()..] } else { part });
        if !is_repeat && !word.is_empty() {
            words.push(word);
        }
    }
    match words[..] {
        _ if once.len() == text.len() => None,
        [word] => Some(Zeroizing::new(word.to_owned())),
        _ => Some(once),
    }
}

/// zxcvbn's warning in our words. Its own suggestions are for larger pages.
fn error_of(feedback: Option<&Feedback>) -> PasswordError {
    PasswordError::Guessable(match feedback.and_then(Feedback::warning) {
        Some(
            Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword,
        ) => return PasswordError::Common,
        Some(
            Warning::StraightRowsOfKeysAreEasyToGuess
            | Warning::ShortKeyboardPatternsAreEasyToGuess,
        ) => "follows the keys of a keyboard",
        Some(
            Warning::RepeatsLikeAaaAreEasyToGuess
            | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess,
        ) => REPEATS,
        Some(Warning::ThisIsSimilarToACommonlyUsedPassword) => "is close to a common password",
        Some(Warning::SequencesLikeAbcAreEasyToGuess) => "contains a sequence like abc or 6543",
        Some(Warning::RecentYearsAreEasyToGuess) => "contains a recent year",
        Some(Warning::DatesAreOftenEasyToGuess) => "contains a date",
        _ => "contains a name or common word",
    })
}

/// Builds zxcvbn's tables (0.1 s in a debug build) before the first visitor waits for them.
pub fn warm_up() {
    let _ = zxcvbn::zxcvbn("warm", &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(text: &str) -> Result<(), PasswordError> {
        let password = Password::choose(text, 12)?;
        let context = ["annabel", "velvet.meadow.tulip@meadow.example", "Vestibule"];
        let context = context.map(str::to_owned);
        password.weakness(&context).map_or(Ok(()), Err)
    }

    #[test]
    fn a_few_words_pass_with_spaces_and_any_script() {
        for text in [
            "correct horse battery staple",
            "густой туман над рекой",
            "  padded with spaces kept  ",
        ] {
            assert!(choose(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn length_is_counted_in_code_points_and_never_cut() {
        assert_eq!(choose("short one").unwrap_err(), PasswordError::Short(12));
        assert_eq!(choose("").unwrap_err(), PasswordError::Empty);
        let long = "moss lantern quartz ".repeat(7);
        assert_eq!(choose(&long).unwrap_err(), PasswordError::Long);
        assert!(choose(&long[..MAX_PASSWORD_LENGTH]).is_ok());
    }

    #[test]
    fn common_and_personal_passwords_are_refused_with_a_reason() {
        for text in [
            "password1234",
            "qwertyuiop12",
            "aaaaaaaaaaaaaaaa",
            "annabel12345",
            "annabelmeadow",
            "vestibule2024",
            "velvet.meadow.tulip77",
        ] {
            let refused = choose(text).unwrap_err();
            let is_common = refused == PasswordError::Common;
            assert!(
                is_common || matches!(refused, PasswordError::Guessable(_)),
                "{text}: {refused}"
            );
        }
    }

    #[test]
    fn a_common_word_is_not_better_for_being_repeated() {
        for text in [
            "password password",
            "Password PASSWORD",
            "password, password!",
            "password1 password2",
            "letmein letmein2",
            "letmein1letmein2",
            "letmein letmeins",
            "annabel annabel annabel",
            "annabel-annabel-4711",
            "annabelannabelannabel",
            "ann ann ann ann ann",
            "annannannannann",
            "annannannannanna",
            "qwerty12 qwerty34 qwerty56",
            "tulip tulip tulip tulip",
            "пароль пароль пароль",
        ] {
            let refused = choose(text);
            let is_refused =
                matches!(refused, Err(PasswordError::Guessable(_) | PasswordError::Common));
            assert!(is_refused, "{text}: {refused:?}");
        }
        for text in [
            "moss lantern quartz",
            "correct horse battery staple",
            "velvet anchor pudding",
            "moss lantern moss quartz",
            "a rose is a rose is a thornbush",
            "kT9abcX2abcQ7vZ4",
            "marigold velvet mari pudding",
        ] {
            assert!(choose(text).is_ok(), "{text}: {:?}", choose(text));
        }
    }

    #[test]
    fn a_long_password_is_judged_by_its_start_alone() {
        const { assert!(MAX_CHECKED_LENGTH <= 32, "the time grows with the square") };
        let (same, strong) = ("a".repeat(MAX_CHECKED_LENGTH), "moss lantern quartz");
        assert!(choose(strong).is_ok());
        let refused = choose(&format!("{same}{strong}")).unwrap_err();
        assert!(matches!(refused, PasswordError::Guessable(_)), "{refused}");
    }

    #[test]
    fn the_first_guesses_from_a_name_are_few() {
        let texts = |name: &str| {
            let guesses = Password::guesses_from(name, 12);
            guesses.iter().map(|guess| guess.text.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(texts(" ann\u{200b} "), ["ann", "Ann"]);
        assert_eq!(texts("@"), ["@"]);
        assert_eq!(texts("annabel"), ["annabel", "Annabel", "annabelannabel"]);
        let guesses = texts("Moss.Lantern-Quartz@Meadow.example");
        for guess in [
            "Moss.Lantern-Quartz@Meadow.example",
            "Moss.Lantern-Quartz",
            "moss.lantern-quartz",
            "Moss.lantern-quartz",
            "MossLanternQuartz",
            "Moss Lantern Quartz",
            "mosslanternquartz",
            "moss lantern quartz",
            "moss.lantern-quartz123",
            "ztrauq-nretnal.ssom",
        ] {
            assert!(guesses.iter().any(|text| text == guess), "{guess}: {guesses:?}");
        }
        assert!(guesses.len() <= 15, "each costs a hash");
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        assert_eq!(
            Password::typed("caf\u{e9}").as_bytes(),
            Password::typed("cafe\u{301}").as_bytes()
        );
    }
}
