//! `vestibule user approve`: approve accounts that wait, or list them.

use super::CommandError;
use super::account::{find_account, print_users};
use crate::accounts::approval::approve;
use crate::app::App;
use crate::models::user::{User, list_waiting};

pub const EXAMPLES: &str = "\
With VESTIBULE_REGISTRATION=approval a new account waits until it is approved; its owner then gets an
email, which vestibule serve sends. To refuse one, use vestibule user delete.

Examples:
  vestibule user approve --list --json
  vestibule user approve ann bob@example.com";

#[derive(clap::Args)]
pub struct Approve {
    /// Usernames, addresses or ids
    #[arg(value_name = "USER", required_unless_present = "list")]
    users: Vec<String>,
    /// List the accounts that wait, oldest first
    #[arg(long, conflicts_with = "users")]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(app: &App, command: Approve) -> Result<(), CommandError> {
    if command.list {
        return print_users(&list_waiting(app.db.reader()).await?, command.json);
    }
    let mut users = Vec::new();
    // All of them first: after a typing mistake nobody is approved.
    for typed in &command.users {
        users.push(find_account(app, typed).await?);
    }
    for user in &mut users {
        let outcome = if approve(app, user).await? { "was approved" } else { "needs no approval" };
        eprintln!("{} {outcome}.", user.display_name());
        *user = User { approval_asked_at: None, ..user.clone() };
    }
    print_users(&users, command.json)
}
