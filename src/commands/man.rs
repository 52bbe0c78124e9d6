//! `vestibule man`: print the manual page, with every command and every setting.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{CommandError, command, print_bytes};
use crate::config::{SETTINGS, Setting};

pub fn run() -> Result<(), CommandError> {
    print_bytes(&page()?)
}

fn page() -> io::Result<Vec<u8>> {
    let mut top = command();
    top.build();
    let man = Man::new(top.clone().after_help(None::<&str>)).manual("Vestibule");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::default();
    // Long names in justified text leave gaps, and warnings.
    roff.control("ad", ["l"]).control("SH", ["SYNOPSIS"]);
    roff.text([bold("vestibule"), roman(" [COMMAND] [OPTIONS]")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "An accounts server: people register, log in, log out, and get back in with a one-time code \
         sent by email. Without a command it serves. Settings come from flags, then from the \
         environment, then from defaults.",
    )]);
    roff.control("SH", ["COMMANDS"]);
    commands(&mut roff, &top, "vestibule");
    settings(&mut roff);
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in [("0", "done"), ("1", "failed"), ("2", "wrong arguments or settings")]
    {
        roff.control("TP", []).text([bold(status)]).text([roman(meaning)]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Every command that does something, with its arguments.
fn commands(roff: &mut Roff, group: &Command, path: &str) {
    let shown =
        group.get_subcommands().filter(|one| one.get_name() != "help" && !one.is_hide_set());
    for one in shown {
        let path = format!("{path} {}", one.get_name());
        if one.has_subcommands() {
            commands(roff, one, &path);
            continue;
        }
        roff.control("SS", [path.as_str()]);
        let usage = one.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        roff.text([bold(usage.to_owned())]).control("PP", []);
        roff.text([roman(one.get_about().map(ToString::to_string).unwrap_or_default())]);
        // Those of serve are the settings.
        if one.get_name() != "serve" {
            arguments(roff, one);
        }
    }
}

fn arguments(roff: &mut Roff, command: &Command) {
    let shown = command.get_arguments().filter(|one| one.get_id() != "help" && !one.is_hide_set());
    for one in shown {
        let flag = one.get_long().map(|long| format!("--{long}"));
        let values = one.get_value_names().filter(|_| one.get_action().takes_values());
        let values = values.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let value = values.map(|names| names.join(" ")).unwrap_or_default();
        let space = if flag.is_some() && !value.is_empty() { " " } else { "" };
        roff.control("TP", []);
        roff.text([bold(flag.unwrap_or_default()), roman(space), italic(value)]);
        roff.text([roman(one.get_help().map(ToString::to_string).unwrap_or_default())]);
    }
}

fn settings(roff: &mut Roff) {
    roff.control("SH", ["SETTINGS"]);
    roff.text([roman(
        "Each is a variable of the environment, and a flag of serve unless it is secret. A variable \
         whose name ends in _FILE names a file that holds the value.",
    )]);
    for setting in SETTINGS.iter() {
        let Setting { value, default, help, .. } = setting;
        let flag = setting.flag().map(|flag| format!(", {flag}")).unwrap_or_default();
        roff.control("TP", []);
        roff.text([bold(setting.variable()), bold(flag), roman(" "), italic(*value)]);
        roff.text([roman(format!("{help} Default: {default}."))]);
    }
}
