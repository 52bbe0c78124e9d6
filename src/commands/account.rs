//! How commands find an account that is named, and print accounts.

use serde_json::{Value, json};

use super::{CommandError, print, print_rows};
use crate::accounts::login_name::find_user_by_login_name;
use crate::app::App;
use crate::models::user::{User, find_user};
use crate::times;

/// An account, and how it is printed.
#[derive(clap::Args)]
pub struct Account {
    /// A username, an address or an id
    #[arg(value_name = "USER")]
    pub user: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The one account with this username, address or id, in any letter case.
pub async fn find_account(app: &App, typed: &str) -> Result<User, CommandError> {
    let named = find_user_by_login_name(&app.db, typed).await?.0;
    let id = typed.trim().to_lowercase();
    let identified = find_user(app.db.reader(), &id.replace('\0', "")).await?;
    match (named, identified) {
        (Some(user), None) | (None, Some(user)) => Ok(user),
        (None, None) => Err(CommandError::Failed(format!(
            "no account has the username, address or id {typed:?}: see `vestibule user list --search`"
        ))),
        (Some(user), Some(same)) if user.id == same.id => Ok(user),
        // Anyone may choose another account's id as a username.
        (Some(_), Some(_)) => Err(CommandError::Failed(format!(
            "{typed:?} is the username of one account and the id of another: name the address"
        ))),
    }
}

pub fn print_users(users: &[User], json: bool) -> Result<(), CommandError> {
    print_rows(users, json, as_json, line)
}

pub fn print_user(user: &User, json: bool) -> Result<(), CommandError> {
    if json { print(&as_json(user)) } else { print(&line(user)) }
}

pub fn line(user: &User) -> String {
    let since = times::iso(user.created_at);
    let username = user.username().unwrap_or("-");
    let disabled = if user.is_enabled() { "" } else { "\tdisabled" };
    format!("{username}\t{}\t{since}\t{}{disabled}", user.email, user.id)
}

pub fn as_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username(),
        "email": user.email,
        "created_at": times::iso(user.created_at),
        "email_verified": user.is_email_verified(),
        "disabled": !user.is_enabled(),
    })
}
