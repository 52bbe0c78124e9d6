//! The flags of `vestibule serve`: one for every setting that is no secret.

use std::collections::BTreeMap;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{SETTINGS, Setting};

const EXAMPLES: &str = "Examples:
  vestibule serve
  vestibule serve --listen 0.0.0.0:8000 --base-url http://192.168.1.5:8000";

const ACCEPT_NEW_KEY: &str = "accept-new-key";

/// For the command line without a command, which serves; its help is that of serve.
pub fn add_hidden_flags(top: Command) -> Command {
    top.args(all().map(|flag| flag.hide(true)))
}

fn all() -> impl Iterator<Item = Arg> {
    let accept = Arg::new(ACCEPT_NEW_KEY).long(ACCEPT_NEW_KEY).action(ArgAction::SetTrue);
    let accept = accept.help(
        "Start also with another key than the database was used with: codes and emails on their way are lost",
    );
    let settings = SETTINGS.iter().filter_map(|setting| {
        let Setting { name, value, default, help, .. } = setting;
        let help = format!("{help} [{}; default: {default}]", setting.variable());
        let flag = setting.flag()?.trim_start_matches('-').to_owned();
        Some(Arg::new(name).long(flag).value_name(value).help(help))
    });
    settings.chain([accept])
}

pub fn add_flags(serve: Command) -> Command {
    let secrets = SETTINGS.iter().filter(|setting| setting.secret).map(|setting| {
        let Setting { default, help, .. } = setting;
        let help = indented(&format!("{help} [default: {default}]"));
        format!("  {}{help}\n", setting.variable())
    });
    let secrets: String = secrets.collect();
    serve.args(all()).after_help(format!(
        "Every variable can name a file that holds the value instead: VESTIBULE_…_FILE.\n\nSettings that hold secrets, only from the environment or a file:\n{secrets}\n{EXAMPLES}"
    ))
}

/// What to do instead of a flag that a command does not take, because it is a setting: a secret one, or of
/// another command.
pub fn advice(error: &clap::Error) -> Option<String> {
    let ContextValue::String(flag) = error.get(ContextKind::InvalidArg)? else { return None };
    let name = flag.strip_prefix("--")?.to_uppercase().replace('-', "_");
    let setting = SETTINGS.iter().find(|setting| setting.name == name)?;
    let variable = setting.variable();
    (error.kind() == ErrorKind::UnknownArgument).then(|| {
        format!("{flag} is no flag of this command: set {variable}, or {variable}_FILE to a file that holds it")
    })
}

/// Broken into short lines: clap would continue a long one without the indent.
fn indented(text: &str) -> String {
    const INDENT: &str = "\n          ";
    let (mut lines, mut length) = (String::new(), usize::MAX);
    for word in text.split(' ') {
        length = length.saturating_add(1 + word.chars().count());
        if length > 70 {
            length = word.chars().count();
            lines.push_str(INDENT);
        } else {
            lines.push(' ');
        }
        lines.push_str(word);
    }
    lines
}

/// Whether codes and emails of a lost key are given up.
pub fn accepts_new_key(serve: &ArgMatches) -> bool {
    serve.get_flag(ACCEPT_NEW_KEY)
}

/// The values that are given, by the names of their settings.
pub fn flags(serve: &ArgMatches) -> BTreeMap<String, String> {
    let flags = SETTINGS.iter().filter(|setting| !setting.secret).filter_map(|setting| {
        let value = serve.get_one::<String>(setting.name)?;
        Some((setting.name.to_owned(), value.clone()))
    });
    flags.collect()
}
