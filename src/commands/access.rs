//! `vestibule user disable`, `enable`, `sessions` and `export`: whether an account may be used, where it is used,
//! and what is stored about it.

use serde_json::Value;

use super::account::{Account, find_account, print_user};
use super::{CommandError, print, print_rows};
use crate::accounts::disable_account;
use crate::accounts::export::{entry, everything_about, note_export};
use crate::accounts::requester::Requester;
use crate::accounts::sessions::{Entry, end_other_sessions, sessions_of};
use crate::app::App;
use crate::times;

pub const DISABLE_EXAMPLES: &str = "\
Every session, code, trusted device and link of an email ends at once. Until the account \
is enabled, logging in and resetting the password are answered as if the password was \
wrong or there was no account.

Examples:
  vestibule user disable ann
  vestibule user disable ann@example.com --json";

pub const ENABLE_EXAMPLE: &str = "\
The password is the one of before.

Example:
  vestibule user enable ann";

pub const SESSIONS_EXAMPLES: &str = "\
Each line: the browser, its address, when it logged in, when it was last seen, and an id.

Examples:
  vestibule user sessions ann
  vestibule user sessions ann --end --json";

pub const EXPORT_EXAMPLE: &str = "\
Prints the same JSON as the button on the person's own account page. It holds no secrets.

Example:
  vestibule user export ann > ann.json";

#[derive(clap::Args)]
pub struct Sessions {
    #[command(flatten)]
    account: Account,
    /// End them all, and print those that ended
    #[arg(long)]
    pub end: bool,
}

pub async fn disable(app: &App, account: Account) -> Result<(), CommandError> {
    let user = find_account(app, &account.user).await?;
    let disabled = disable_account::disable(app, &user).await?;
    let name = user.display_name();
    match &disabled {
        Some(_) => eprintln!("{name} was disabled."),
        None => eprintln!("{name} was disabled before."),
    }
    print_user(disabled.as_ref().unwrap_or(&user), account.json)
}

pub async fn enable(app: &App, account: Account) -> Result<(), CommandError> {
    let user = find_account(app, &account.user).await?;
    let enabled = disable_account::enable(app, &user).await?;
    let name = user.display_name();
    match &enabled {
        Some(_) => eprintln!("{name} was enabled."),
        None => eprintln!("{name} was not disabled."),
    }
    print_user(enabled.as_ref().unwrap_or(&user), account.json)
}

pub async fn sessions(app: &App, command: Sessions) -> Result<(), CommandError> {
    let Sessions { account: Account { user, json }, end } = command;
    let user = find_account(app, &user).await?;
    let entries = sessions_of(app, &user, None).await?;
    if end {
        end_other_sessions(app, &Requester::operator(), &user, None).await?;
        eprintln!("{} is logged out everywhere.", user.display_name());
    } else if entries.is_empty() {
        eprintln!("{} is logged in nowhere.", user.display_name());
    }
    print_rows(&entries, json, as_json, |session| {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (device, address) = (or_dash(&session.client.device), or_dash(&session.client.address));
        let first_seen = or_dash(&session.first_seen.map(times::iso));
        let (last_seen, id) = (times::iso(session.last_seen), &session.id);
        format!("{device}\t{address}\t{first_seen}\t{last_seen}\t{id}")
    })
}

fn as_json(session: &Entry) -> Value {
    let mut json = entry(session);
    json["id"] = session.id.as_str().into();
    json
}

pub async fn export_all(app: &App, user: &str) -> Result<(), CommandError> {
    let user = find_account(app, user).await?;
    // The database may be read-only, or another program may be writing to it.
    if let Err(cause) = note_export(app, &Requester::operator(), &user).await {
        eprintln!("The account's history does not tell of this export: {cause}");
    }
    let data = everything_about(app, &user).await?;
    print(&format!("{data:#}"))
}
