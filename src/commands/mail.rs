//! `vestibule mail`: send one email now and print what the server said; show what became of all emails to an
//! address.

use serde_json::{Value, json};

use super::{CommandError, print, print_rows};
use crate::accounts::email::EmailAddress;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::mail::emails::{self, EmailContext};
use crate::mail::{Mailer, SendResult};
use crate::models::mail_log::{LoggedEmail, list_mails};
use crate::models::outbox::QueuedEmail;
use crate::{random, times};

pub const EXAMPLES: &str = "Examples:
  VESTIBULE_SMTP_URL=smtp://127.0.0.1:1025 vestibule mail test you@example.com
  vestibule mail log ann@example.com";

const LOG_HELP: &str = "\
Each line: when the email was written, its kind, its state, when it was sent, and what the \
mail server last said. A log line names an email by the id that --json prints.

States: waiting, sent, deferred (the mail server asked to try later), refused (tried again \
all the same), unanswered (the mail server got it and did not answer), given_up (it will \
not be sent), kept (no mail server is set: it is in the development mailbox for a day).

Examples:
  vestibule mail log ann@example.com
  vestibule mail log ann@example.com --json";

/// The state of an email that no mail server is set for.
const KEPT: &str = "kept";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Send a test mail and print what the mail server said
    #[command(
        after_help = "Example:\n  VESTIBULE_SMTP_URL=smtp://127.0.0.1:1025 vestibule mail test you@example.com"
    )]
    Test {
        /// Where the email goes
        #[arg(value_parser = EmailAddress::parse)]
        address: EmailAddress,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the emails to an address in the last 30 days and what became of each
    #[command(after_help = super::help(LOG_HELP))]
    Log {
        /// Where the emails went
        #[arg(value_parser = EmailAddress::parse)]
        address: EmailAddress,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(command: Command, config: Config) -> Result<(), CommandError> {
    match command {
        Command::Test { address, json } => test(&config, &address, json).await,
        Command::Log { address, json } => log(config, &address, json).await,
    }
}

async fn log(config: Config, address: &EmailAddress, json: bool) -> Result<(), CommandError> {
    let app = App::for_reading(config).await?;
    let now = app.clock.now();
    let mut mails = list_mails(app.db.reader(), &app.key, address.as_typed(), now).await?;
    for mail in mails.iter_mut().filter(|mail| app.has_mailbox() && mail.state == "waiting") {
        KEPT.clone_into(&mut mail.state);
    }
    app.db.close().await;
    if mails.is_empty() {
        eprintln!("No email to this address in the last 30 days.");
    }
    print_rows(&mails, json, as_json, |mail| {
        let sent_at = mail.sent_at.map_or_else(|| "-".to_owned(), times::iso);
        let (created_at, server) = (times::iso(mail.created_at), mail.server.as_deref());
        let (kind, state, server) = (&mail.kind, &mail.state, server.unwrap_or("-"));
        format!("{created_at}\t{kind}\t{state}\t{sent_at}\t{server}")
    })
}

fn as_json(mail: &LoggedEmail) -> Value {
    json!({
        "id": mail.id,
        "kind": mail.kind,
        "state": mail.state,
        "created_at": times::iso(mail.created_at),
        "sent_at": mail.sent_at.map(times::iso),
        "server": mail.server,
    })
}

async fn test(config: &Config, address: &EmailAddress, json: bool) -> Result<(), CommandError> {
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
            let data = if json { json!({ "reply": reply }).to_string() } else { reply };
            return print(&data);
        }
        SendResult::Rejected { permanent: false, why } => {
            format!("the mail server deferred the email: {why}: try again later")
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
