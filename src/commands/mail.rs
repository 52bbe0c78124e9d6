//! `vestibule mail test ADDRESS`: send one mail now and print what the server said.

use clap::{Arg, ArgMatches, Command};

use super::CommandError;
use crate::accounts::email::EmailAddress;
use crate::clock::Clock;
use crate::config::Config;
use crate::mail::emails::{self, EmailContext};
use crate::mail::{Mailer, SendResult};
use crate::random;

const EXAMPLE: &str =
    "Example:\n  VESTIBULE_SMTP_URL=smtp://127.0.0.1:1025 vestibule mail test you@example.com";

/// The arguments.
pub fn command() -> Command {
    let address = Arg::new("address").required(true).value_name("ADDRESS");
    Command::new("mail")
        .about("Check that mail goes out")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("test")
                .about("Send a test mail and print what the mail server said")
                .arg(address)
                .after_help(EXAMPLE),
        )
        .after_help(format!("{EXAMPLE}\n\n{}", super::ENVIRONMENT_HELP))
}

/// Runs it.
pub async fn run(matches: &ArgMatches) -> Result<(), CommandError> {
    let Some(("test", rest)) = matches.subcommand() else {
        return Err(CommandError::Usage("see `vestibule mail --help`".to_owned()));
    };
    let config = super::settings(rest)?;
    let typed = rest.get_one::<String>("address").map_or("", String::as_str);
    let to = EmailAddress::parse(typed)
        .map_err(|why| CommandError::Usage(format!("address {typed:?}: {why}")))?;
    match send(&config, &to).await? {
        SendResult::Sent(said) => {
            eprintln!("The mail server took the mail.");
            super::print(&said)
        }
        SendResult::Rejected { why, .. } => {
            Err(CommandError::Failed(format!("the mail server refused the mail: {why}")))
        }
        SendResult::NoReply => Err(CommandError::failed(
            "the mail server got the mail and did not say whether it took it",
        )),
        SendResult::ServerUnavailable { why } => {
            Err(CommandError::Failed(format!("no mail can be sent: {why}")))
        }
    }
}

async fn send(config: &Config, to: &EmailAddress) -> Result<SendResult, CommandError> {
    let Some(mailer) = Mailer::from_config(config).map_err(CommandError::failed)? else {
        return Err(CommandError::Failed(
            "no mail server is set: set VESTIBULE_SMTP_URL, for example smtp://127.0.0.1:1025"
                .to_owned(),
        ));
    };
    let clock = Clock::System;
    let about = EmailContext {
        site: &config.site_name,
        origin: config.base_url.origin(),
        username: to.as_typed(),
        to: to.as_typed(),
        at: clock.now(),
        device: None,
        address: None,
        accent: &config.accent,
    };
    let email = emails::test(&about).map_err(CommandError::failed)?;
    Ok(mailer.send(&email.into_queued(random::id(clock.millis()), clock.now())).await)
}
