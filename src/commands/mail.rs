//! `vestibule mail test ADDRESS`: send one email now and print what the server said.

use super::CommandError;
use crate::accounts::email::EmailAddress;
use crate::clock::Clock;
use crate::config::Config;
use crate::mail::emails::{self, EmailContext};
use crate::mail::{Mailer, SendResult};
use crate::models::outbox::QueuedEmail;
use crate::random;

pub const EXAMPLE: &str =
    "Example:\n  VESTIBULE_SMTP_URL=smtp://127.0.0.1:1025 vestibule mail test you@example.com";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Send a test mail and print what the mail server said
    #[command(after_help = EXAMPLE)]
    Test {
        #[arg(value_parser = EmailAddress::parse)]
        address: EmailAddress,
    },
}

pub async fn run(command: Command, config: &Config) -> Result<(), CommandError> {
    let Command::Test { address } = command;
    let Some(mailer) = Mailer::from_config(config)? else {
        return Err(CommandError::Failed(
            "no mail server is set: set VESTIBULE_SMTP_URL, for example smtp://127.0.0.1:1025"
                .into(),
        ));
    };
    let clock = Clock::System;
    let email = emails::test(&EmailContext::new(config, address.as_typed(), clock.now()))?;
    let (id, created_at) = (random::id(clock.millis()), clock.now());
    let queued = QueuedEmail { id, email, created_at, ..QueuedEmail::default() };
    let failure = match mailer.send(&queued).await {
        SendResult::Sent(reply) => {
            eprintln!("The mail server accepted the email.");
            return super::print(&reply);
        }
        SendResult::Rejected { why, .. } => format!("the mail server rejected the email: {why}"),
        // A test is no decoy.
        SendResult::NoReply | SendResult::Decoy => {
            "the mail server got the email and did not answer whether it accepted it".into()
        }
        SendResult::ServerUnavailable { why } => format!("no mail can be sent: {why}"),
    };
    Err(CommandError::Failed(failure))
}
