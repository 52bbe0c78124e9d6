//! `vestibule user approve`: approve accounts that wait, or list them.

use serde_json::{Value, json};

use super::account::{as_json, find_account, line, print_users};
use super::{CommandError, print_rows};
use crate::accounts::approval::{Approval, approve};
use crate::app::App;
use crate::models::approval::list_waiting;
use crate::models::user::User;
use crate::times;

pub const EXAMPLES: &str = "\
With VESTIBULE_REGISTRATION=approval a new account waits until it is approved; its owner then gets an \
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
    pub list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(app: &App, command: Approve) -> Result<(), CommandError> {
    if command.list {
        let waiting = list_waiting(app.db.reader()).await?;
        return print_rows(&waiting, command.json, as_waiting_json, line);
    }
    let mut users = Vec::new();
    // All of them first: after a typing mistake nobody is approved.
    for typed in &command.users {
        let user = find_account(app, typed).await?;
        if !user.is_enabled() {
            return Err(CommandError::Failed(format!(
                "{} is disabled, and could not log in: see `vestibule user enable`",
                user.display_name()
            )));
        }
        users.push(user);
    }
    for user in &users {
        let name = user.display_name();
        match approve(app, user).await? {
            Approval::Approved => eprintln!("{name} was approved."),
            Approval::NotNeeded => eprintln!("{name} needs no approval."),
            Approval::Gone => {
                return Err(CommandError::Failed(format!("there is no account {name} any more")));
            }
        }
    }
    print_users(&users, command.json)
}

fn as_waiting_json(user: &User) -> Value {
    let mut json = as_json(user);
    json["approval_asked_at"] = json!(user.approval_asked_at.map(times::iso));
    json
}
