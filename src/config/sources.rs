//! The settings as text: flags before environment, files for values, and errors for unknown names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::settings::{FILE, PREFIX, SETTINGS, Setting};
use crate::permissions::why_not_trusted;

const NOT_TEXT: &str = "is not UTF-8 text";

/// Every error in the configuration; never empty. `Display` is a line for each, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(Vec<String>);

type Environment = BTreeMap<String, OsString>;

/// The settings that are set, and every error found so far.
#[derive(Default)]
pub(super) struct RawSettings {
    values: BTreeMap<&'static str, RawValue>,
    errors: Vec<String>,
}

struct RawValue {
    /// As an error names it: `VESTIBULE_LISTEN="nowhere"`.
    source: String,
    /// The text, or what is wrong with it.
    text: Result<String, String>,
}

impl RawSettings {
    pub(super) fn read(flags: &BTreeMap<String, String>, environment: &Environment) -> Self {
        let mut raw = Self::default();
        for setting in SETTINGS.iter() {
            let from_flag = flags.get(setting.name).map(|text| read_flag(setting, text));
            let value = from_flag.or_else(|| read_environment(setting, environment));
            raw.values.extend(value.map(|value| (setting.name, value)));
        }
        let unknown_flags = flags.keys().filter(|name| Setting::find(name).is_none());
        raw.errors.extend(unknown_flags.map(|name| format!("{name}: is not a setting")));
        raw.errors.extend(environment.keys().filter_map(|name| check_name(name, environment)));
        raw
    }

    /// The value of `name`, or its default in the table, also after an error.
    #[expect(clippy::expect_used, reason = "`Config::default` reads every default in the table")]
    pub(super) fn value<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> T {
        self.optional(name, &parse).unwrap_or_else(|| {
            let default = Setting::find(name).map(|setting| parse(setting.default).ok());
            default.flatten().expect("a setting with a valid default")
        })
    }

    /// The value of `name`; `None` if it is not set, or after an error.
    pub(super) fn optional<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.values.get(name)?.text.as_deref().map_err(String::clone);
        let parsed = text.and_then(|text| parse(text).map_err(|why| why.to_string()));
        parsed.map_err(|message| self.add_error(name, message)).ok()
    }

    /// Whether `names` have no errors, so that their values can be compared.
    pub(super) fn are_valid(&self, names: [&str; 2]) -> bool {
        names.iter().all(|name| self.values.get(name).is_none_or(|value| value.text.is_ok()))
    }

    /// Whether there is a value for `name`, valid or not.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Adds an error about `name`, whose value is then invalid.
    pub(super) fn add_error(&mut self, name: &str, message: impl Into<String>) {
        let message = message.into();
        match self.values.get_mut(name) {
            Some(value) => {
                self.errors.push(format!("{}: {message}", value.source));
                value.text = Err(message);
            }
            None => self.errors.push(format!("{PREFIX}{name}: {message}")),
        }
    }

    pub(super) fn finish<T>(self, config: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(self.errors)) }
    }
}

fn read_flag(setting: &Setting, text: &str) -> RawValue {
    if let Some(flag) = setting.flag() {
        return RawValue { source: format!("{flag} {}", shown(text)), text: Ok(text.into()) };
    }
    let source = setting.variable();
    let message = format!(
        "a flag shows a secret to everyone on this machine: set {source} or {source}{FILE}"
    );
    RawValue { source, text: Err(message) }
}

fn read_environment(setting: &Setting, environment: &Environment) -> Option<RawValue> {
    let variable = setting.variable();
    let value = environment.get(&variable);
    if let Some(path) = environment.get(&format!("{variable}{FILE}")) {
        let text = match value {
            Some(_) => Err(format!("{variable} is set too: keep one of the two")),
            None => read_file(setting, Path::new(path)),
        };
        let source = format!("{variable}{FILE}={}", shown(&path.to_string_lossy()));
        return Some(RawValue { source, text });
    }
    let text = value?.to_str().map(str::to_owned).ok_or_else(|| NOT_TEXT.to_owned());
    let source = match &text {
        Ok(text) if !setting.secret || text.is_empty() => format!("{variable}={}", shown(text)),
        _ => variable,
    };
    Some(RawValue { source, text })
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

/// The text of a file, unless it is a secret that others can change. Editors and `echo` end a file
/// with a newline, which is not part of the value.
fn read_file(setting: &Setting, path: &Path) -> Result<String, String> {
    let unreadable = |cause: io::Error| format!("cannot be read: {cause}");
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some(why) = why_not_trusted(path, &metadata).filter(|_| setting.secret) {
        return Err(why);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| NOT_TEXT)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// The error about a variable that is no setting. Without its value: a mistyped name may hold a secret.
fn check_name(variable: &str, environment: &Environment) -> Option<String> {
    let name = variable.strip_prefix(PREFIX)?;
    let (name, end) = name.strip_suffix(FILE).map_or((name, ""), |name| (name, FILE));
    if Setting::find(name).is_some() || is_of_kubernetes(variable, environment) {
        return None;
    }
    let hint = match nearest(name) {
        Some(setting) => format!("did you mean {}{end}?", setting.variable()),
        None => "`vestibule serve --help` names them all".to_owned(),
    };
    Some(format!("{variable}: is not a setting: {hint}"))
}

/// Whether Kubernetes sets the variable in each pod, for a service named `vestibule` or, if
/// there is one, `vestibule-db` and the like: `VESTIBULE_SERVICE_HOST`, `VESTIBULE_DB_PORT_80_TCP`.
fn is_of_kubernetes(variable: &str, environment: &Environment) -> bool {
    let is_link_to = |service: &str| {
        variable.strip_prefix(service).is_some_and(|rest| {
            rest == "_PORT" || rest.starts_with("_PORT_") || rest.starts_with("_SERVICE_")
        })
    };
    let mut services = environment.keys().filter_map(|name| name.strip_suffix("_SERVICE_HOST"));
    is_link_to("VESTIBULE")
        || services.any(|service| service.starts_with(PREFIX) && is_link_to(service))
}

/// The setting that was probably meant by `name`: a few letters off, or with more words.
fn nearest(name: &str) -> Option<&'static Setting> {
    let close = SETTINGS.iter().filter_map(|setting| {
        let distance = strsim::levenshtein(name, setting.name);
        let is_typo = distance <= 3 && distance < name.len();
        let is_part = name.len() >= 3 && setting.name.contains(name);
        (is_typo || is_part).then_some((distance, setting))
    });
    close.min_by_key(|(distance, setting)| (*distance, setting.name)).map(|(_, setting)| setting)
}

#[cfg(test)]
mod tests;
