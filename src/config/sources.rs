//! The raw settings: flags before environment, files for values, and errors for unknown names.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::settings::{FILE, PREFIX, SETTINGS, Setting};
use crate::permissions::why_not_trusted;

const NOT_TEXT: &str = "is not UTF-8 text";

/// Every error in the configuration; never empty. `Display` is a line for each, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(Vec<String>);

/// The settings as text, and every error found so far.
pub(super) struct RawSettings {
    values: BTreeMap<&'static str, RawValue>,
    errors: Vec<String>,
}

/// A value's source as an error names it, and its text unless it cannot be read.
struct RawValue {
    source: String,
    text: Option<String>,
}

impl RawSettings {
    pub(super) fn read(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, OsString>,
    ) -> Self {
        let mut raw = Self { values: BTreeMap::new(), errors: Vec::new() };
        for setting in SETTINGS {
            let from_environment = raw.read_environment(setting, environment);
            let from_flag = flags.get(setting.name).map(|text| read_flag(setting, text));
            if let Some(value) = from_flag.or(from_environment) {
                raw.values.insert(setting.name, value);
            }
        }
        raw.refuse_flags(flags);
        raw.refuse_variables(environment);
        raw
    }

    fn read_environment(
        &mut self,
        setting: &Setting,
        environment: &BTreeMap<String, OsString>,
    ) -> Option<RawValue> {
        let variable = setting.variable();
        let direct = environment.get(&variable);
        let Some(path) = environment.get(&format!("{variable}{FILE}")) else {
            return direct.map(|text| self.read_variable(setting, text));
        };
        let source = format!("{variable}{FILE}={}", shown(&path.to_string_lossy()));
        if direct.is_some() {
            let words = format!("{variable} is set too: keep one of the two");
            self.refuse(&source, words);
            return Some(RawValue { source, text: None });
        }
        Some(self.read_file(setting, source, path))
    }

    fn read_variable(&mut self, setting: &Setting, value: &OsStr) -> RawValue {
        let variable = setting.variable();
        let Some(text) = value.to_str() else {
            self.refuse(&variable, NOT_TEXT);
            return RawValue { source: variable, text: None };
        };
        let hidden = setting.secret && !text.is_empty();
        let source = if hidden { variable } else { format!("{variable}={}", shown(text)) };
        RawValue { source, text: Some(text.into()) }
    }

    fn read_file(&mut self, setting: &Setting, source: String, path: &OsStr) -> RawValue {
        let text = read_bytes(setting, Path::new(path))
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| NOT_TEXT.into()));
        match text {
            Ok(text) => RawValue { source, text: Some(without_newline(&text).into()) },
            Err(words) => {
                self.refuse(&source, words);
                RawValue { source, text: None }
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

    /// Values are not printed: a mistyped name may hold a secret.
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

    fn refuse(&mut self, source: &str, words: impl Display) {
        self.errors.push(format!("{source}: {words}"));
    }

    /// Sets `slot` to the value of `name`; without a valid one it keeps its default.
    pub(super) fn set<T>(
        &mut self,
        name: &str,
        slot: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        match self.values.get(name).and_then(|value| value.text.as_deref()).map(parse) {
            Some(Ok(value)) => *slot = value,
            Some(Err(words)) => self.add_error(name, words),
            None => {}
        }
    }

    /// Whether there are no errors in `names`, so that they can be compared.
    pub(super) fn are_valid(&self, names: [&str; 2]) -> bool {
        names.iter().all(|name| self.values.get(*name).is_none_or(|value| value.text.is_some()))
    }

    /// Whether there is a value for `name`, valid or not.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Adds an error about `name`, whose value then counts as invalid.
    pub(super) fn add_error(&mut self, name: &str, words: impl Display) {
        let value = self.values.get_mut(name);
        let source = value.map_or_else(
            || format!("{PREFIX}{name}"),
            |value| {
                value.text = None;
                value.source.clone()
            },
        );
        self.refuse(&source, words);
    }

    pub(super) fn finish<T>(self, config: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(self.errors)) }
    }
}

fn read_flag(setting: &Setting, text: &str) -> RawValue {
    // `refuse_flags` refuses a secret; its value is neither used nor shown.
    let Some(flag) = setting.flag() else {
        return RawValue { source: setting.variable(), text: None };
    };
    RawValue { source: format!("{flag} {}", shown(text)), text: Some(text.into()) }
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
    fn a_value_that_is_not_utf_8_is_refused_and_counts_as_set() {
        use std::os::unix::ffi::OsStringExt;
        let broken = OsString::from_vec(vec![0xff]);
        let environment = BTreeMap::from([("VESTIBULE_LOG".into(), broken)]);
        let raw = RawSettings::read(&BTreeMap::new(), &environment);
        assert_eq!(raw.errors, ["VESTIBULE_LOG: is not UTF-8 text"]);
        assert!(raw.is_set("LOG"));
    }
}
