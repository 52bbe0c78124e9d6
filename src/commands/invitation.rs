//! `vestibule user invite`: invite people to register, list invitations, revoke one.

use serde_json::{Value, json};

use super::{CommandError, print_rows};
use crate::accounts::email::EmailAddress;
use crate::accounts::invitation::{Invited, invitations, invite, revoke};
use crate::app::App;
use crate::config::RegistrationMode;
use crate::models::mail_link::Invitation;
use crate::times;

pub const EXAMPLES: &str = "\
An invitation is a link that works once, for seven days, and proves the address. Another one to the same \
address replaces it. VESTIBULE_REGISTRATION=invite lets nobody register without one. The emails are sent \
by vestibule serve.

Examples:
  vestibule user invite ann@example.com bob@example.com
  vestibule user invite --list --json
  vestibule user invite --revoke ann@example.com";

#[derive(clap::Args)]
pub struct Invite {
    /// Who gets an invitation
    #[arg(value_name = "ADDRESS", value_parser = EmailAddress::parse)]
    #[arg(required_unless_present_any = ["list", "revoke"])]
    addresses: Vec<EmailAddress>,
    /// List the invitations that can be used
    #[arg(long, conflicts_with_all = ["addresses", "revoke"])]
    pub list: bool,
    /// Revoke the invitation of ADDRESS
    #[arg(long, value_name = "ADDRESS", value_parser = EmailAddress::parse)]
    #[arg(conflicts_with = "addresses")]
    revoke: Option<EmailAddress>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(app: &App, command: Invite) -> Result<(), CommandError> {
    let Invite { addresses, list, revoke, json } = command;
    if let Some(address) = revoke {
        return revoke_one(app, &address).await;
    }
    if list {
        return print_all(&invitations(app).await?, json);
    }
    invite_all(app, &addresses, json).await
}

async fn invite_all(app: &App, to: &[EmailAddress], json: bool) -> Result<(), CommandError> {
    if app.config.registration.mode == RegistrationMode::Closed {
        return Err(CommandError::Usage(
            "VESTIBULE_REGISTRATION is closed, and invitations would not work: set it to invite"
                .to_owned(),
        ));
    }
    let mut sent = Vec::new();
    for address in to {
        let refusal = match invite(app, address).await? {
            Invited::Sent(invitation) => {
                sent.push(invitation);
                continue;
            }
            Invited::Taken => "belongs to an account, or can be given back to one for three days",
            Invited::OtherDomain => "has a domain that VESTIBULE_REGISTRATION_DOMAINS leaves out",
            Invited::TooManyEmails => "was sent too many emails: see VESTIBULE_LIMIT_MAIL_ADDRESS",
        };
        eprintln!("{} was not invited: it {refusal}", address.as_typed());
    }
    print_all(&sent, json)?;
    match to.len() - sent.len() {
        0 => Ok(()),
        count => Err(CommandError::Failed(format!("{count} of {} were not invited", to.len()))),
    }
}

async fn revoke_one(app: &App, address: &EmailAddress) -> Result<(), CommandError> {
    if revoke(app, address).await? {
        eprintln!("The invitation was revoked.");
        return Ok(());
    }
    let address = address.as_typed();
    Err(CommandError::Failed(format!("{address} has no invitation that can be used")))
}

fn print_all(invitations: &[Invitation], json: bool) -> Result<(), CommandError> {
    print_rows(invitations, json, as_json, |invitation| {
        let Invitation { email, created_at, expires_at } = invitation;
        format!("{email}\t{}\t{}", times::iso(*created_at), times::iso(*expires_at))
    })
}

fn as_json(invitation: &Invitation) -> Value {
    json!({
        "email": invitation.email,
        "created_at": times::iso(invitation.created_at),
        "expires_at": times::iso(invitation.expires_at),
    })
}
