//! What was given: flags before environment, files for values, and names that nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::mistakes::Mistake;
use super::settings::{FILE, PREFIX, SETTINGS, Setting};
use crate::permissions::why_not_trusted;

const NOT_TEXT: &str = "is not UTF-8 text";

/// The settings that were given, and every mistake found so far.
pub(super) struct Given {
    values: BTreeMap<&'static str, Offer>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Where a value came from, as a mistake names it, and its text unless it cannot be read.
struct Offer {
    place: String,
    text: Option<String>,
}

impl Given {
    pub(super) fn gather(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, OsString>,
    ) -> Self {
        let mut given = Self { values: BTreeMap::new(), mistakes: Vec::new() };
        for setting in SETTINGS {
            let from_environment = given.read_environment(setting, environment);
            let from_flag = flags.get(setting.name).map(|text| read_flag(setting, text));
            if let Some(offer) = from_flag.or(from_environment) {
                given.values.insert(setting.name, offer);
            }
        }
        given.refuse_flags(flags);
        given.refuse_variables(environment);
        given
    }

    fn read_environment(
        &mut self,
        setting: &Setting,
        environment: &BTreeMap<String, OsString>,
    ) -> Option<Offer> {
        let variable = setting.variable();
        let direct = environment.get(&variable);
        let Some(path) = environment.get(&format!("{variable}{FILE}")) else {
            return direct.map(|text| self.read_variable(setting, text));
        };
        let place = format!("{variable}{FILE}={}", shown(&path.to_string_lossy()));
        if direct.is_some() {
            let words = format!("{variable} is set too: keep one of the two");
            self.mistakes.push(Mistake::new(&place, words));
            return Some(Offer { place, text: None });
        }
        Some(self.read_file(setting, place, path))
    }

    fn read_variable(&mut self, setting: &Setting, value: &OsStr) -> Offer {
        let variable = setting.variable();
        let Some(text) = value.to_str() else {
            self.mistakes.push(Mistake::new(&variable, NOT_TEXT));
            return Offer { place: variable, text: None };
        };
        let hidden = setting.secret && !text.is_empty();
        let place = if hidden { variable } else { format!("{variable}={}", shown(text)) };
        Offer { place, text: Some(text.into()) }
    }

    fn read_file(&mut self, setting: &Setting, place: String, path: &OsStr) -> Offer {
        let text = read_bytes(setting, Path::new(path))
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| NOT_TEXT.into()));
        match text {
            Ok(text) => Offer { place, text: Some(without_newline(&text).into()) },
            Err(words) => {
                self.mistakes.push(Mistake::new(&place, words));
                Offer { place, text: None }
            }
        }
    }

    fn refuse_flags(&mut self, flags: &BTreeMap<String, String>) {
        for name in flags.keys() {
            match SETTINGS.iter().find(|setting| setting.name == name) {
                None => self.refuse(name, "is not a setting"),
                Some(setting) if setting.secret => {
                    let variable = setting.variable();
                    let words = format!(
                        "a flag shows a secret to everyone on this machine: set {variable} or {variable}{FILE}"
                    );
                    self.refuse(name, words);
                }
                Some(_) => {}
            }
        }
    }

    /// Values stay unsaid: a mistyped name may well hold a secret.
    fn refuse_variables(&mut self, environment: &BTreeMap<String, OsString>) {
        let known: BTreeSet<String> = SETTINGS
            .iter()
            .flat_map(|setting| [setting.variable(), setting.variable() + FILE])
            .collect();
        for name in environment.keys() {
            let Some(bare) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if !known.contains(name) && !is_of_kubernetes(name, environment) {
                self.refuse(name, unknown(bare));
            }
        }
    }

    fn refuse(&mut self, place: &str, words: impl Into<String>) {
        self.mistakes.push(Mistake::new(place, words));
    }

    /// Puts the value that was given for `name` into `slot`, which else keeps its default.
    pub(super) fn set<T>(
        &mut self,
        name: &str,
        slot: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        let Some(offer) = self.values.get_mut(name) else {
            return;
        };
        match offer.text.as_deref().map(parse) {
            Some(Ok(value)) => *slot = value,
            Some(Err(words)) => {
                offer.text = None;
                self.mistakes.push(Mistake::new(&offer.place, words));
            }
            None => {}
        }
    }

    /// Whether no mistake is known in any of `names`, so that they can be held against each other.
    pub(super) fn are_sound(&self, names: [&str; 2]) -> bool {
        let mut offers = names.iter().filter_map(|name| self.values.get(*name));
        offers.all(|offer| offer.text.is_some())
    }

    /// Whether a value was given for `name`, right or wrong.
    pub(super) fn offers(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Notes what is wrong with `name` beside another setting.
    pub(super) fn blame(&mut self, name: &str, words: impl Into<String>) {
        let place = self
            .values
            .get(name)
            .map_or_else(|| format!("{PREFIX}{name}"), |offer| offer.place.clone());
        self.mistakes.push(Mistake::new(place, words));
    }
}

fn read_flag(setting: &Setting, text: &str) -> Offer {
    // `refuse_flags` refuses a secret; its value is neither used nor shown.
    let Some(flag) = setting.flag() else {
        return Offer { place: setting.variable(), text: None };
    };
    Offer { place: format!("{flag} {}", shown(text)), text: Some(text.into()) }
}

/// `text` in quotes on one line, without the password of a URL.
fn shown(text: &str) -> String {
    let password =
        text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)));
    match password {
        Some((scheme, rest)) => format!("{:?}", format!("{scheme}://…@{rest}")),
        None => format!("{text:?}"),
    }
}

/// What is in the file, unless it is a secret that others can change.
fn read_bytes(setting: &Setting, path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |cause| format!("cannot be read: {cause}");
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some(why) = why_not_trusted(path, &metadata).filter(|_| setting.secret) {
        return Err(why);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Editors and `echo` end a file with one newline that is no part of the value.
fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Whether Kubernetes sets the variable `name` in each pod, for a service named `vestibule` or, if
/// there is one, `vestibule-db` and the like: `VESTIBULE_SERVICE_HOST`, `VESTIBULE_DB_PORT_80_TCP`.
fn is_of_kubernetes(name: &str, environment: &BTreeMap<String, OsString>) -> bool {
    let is_link_to = |service: &str| {
        name.strip_prefix(service).is_some_and(|rest| {
            rest == "_PORT" || rest.starts_with("_PORT_") || rest.starts_with("_SERVICE_")
        })
    };
    let hosts = environment.keys().filter_map(|name| name.strip_suffix("_SERVICE_HOST"));
    let services = hosts.filter(|service| service.starts_with(PREFIX));
    is_link_to(PREFIX.trim_end_matches('_')) || services.into_iter().any(is_link_to)
}

fn unknown(name: &str) -> String {
    match nearest(name) {
        Some(known) => format!("is not a setting: did you mean {PREFIX}{known}?"),
        None => "is not a setting: `vestibule serve --help` names them all".into(),
    }
}

/// The setting that `name` was probably meant to be: a few letters off, or a part of one.
fn nearest(name: &str) -> Option<String> {
    let (bare, end) = match name.strip_suffix(FILE) {
        Some(bare) => (bare, FILE),
        None => (name, ""),
    };
    SETTINGS
        .iter()
        .map(|setting| (distance(bare, setting.name), setting.name))
        .filter(|(off, known)| {
            let close = *off <= 3 && *off < bare.len();
            close || bare.len() >= 3 && known.contains(bare)
        })
        .min()
        .map(|(_, known)| format!("{known}{end}"))
}

/// How many letters must be added, dropped or changed to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!(distance("LISTEN", "LISTEN"), 0);
        assert_eq!(distance("LISEN", "LISTEN"), 1);
        assert_eq!(distance("", "LOG"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_nearest_name_is_a_few_letters_off_or_a_part() {
        for (typed, meant) in [
            ("LISEN", Some("LISTEN")),
            ("SITENAME", Some("SITE_NAME")),
            ("DATABASE", Some("DATABASE_URL")),
            ("LOGIN_IP", Some("LIMIT_LOGIN_IP")),
            ("SECRTE_FILE", Some("SECRET_FILE")),
            ("COLOUR_SCHEME", None),
        ] {
            assert_eq!(nearest(typed).as_deref(), meant, "{typed}");
        }
    }

    #[test]
    fn the_password_in_a_url_is_not_shown() {
        assert_eq!(shown("https://me:hush@host/x"), "\"https://…@host/x\"");
        assert_eq!(shown("a\nb"), "\"a\\nb\"");
    }

    #[test]
    fn one_newline_at_the_end_of_a_file_is_no_part_of_the_value() {
        assert_eq!(without_newline("a\n"), "a");
        assert_eq!(without_newline("a\r\n"), "a");
        assert_eq!(without_newline("a\n\n"), "a\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf_8_is_refused_and_counts_as_given() {
        use std::os::unix::ffi::OsStringExt;
        let broken = OsString::from_vec(vec![0xff]);
        let environment = BTreeMap::from([("VESTIBULE_LOG".into(), broken)]);
        let given = Given::gather(&BTreeMap::new(), &environment);
        let words: Vec<_> = given.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["VESTIBULE_LOG: is not UTF-8 text"]);
        assert!(given.offers("LOG"));
    }
}
