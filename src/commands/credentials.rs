//! `vestibule user set-password`, `set-email` and `rename`: change what an account is known by, and its
//! password.

use std::io::{self, BufRead, IsTerminal};

use serde_json::json;
use zeroize::Zeroizing;

use super::account::{Account, find_account, print_user};
use super::{CommandError, print};
use crate::accounts::change_email::change_email_for;
use crate::accounts::change_username::rename;
use crate::accounts::email::EmailAddress;
use crate::accounts::set_password::{CODE_LIFE, make_code, set_password_for};
use crate::accounts::username::Username;
use crate::app::App;
use crate::config::UsernameMode;
use crate::models::user::{NameChange, User};
use crate::times;

pub const PASSWORD_EXAMPLES: &str = "\
The password is asked for twice, or is the first line of standard input. All sessions end, \
and the account's owner gets an email.

With --code the owner chooses the password: it prints a code. Tell the owner to open \
\"Forgot your password?\", to fill in the form, and to enter this code in place of the one from \
the email. It works once, for an hour; until then the password stays. A later code voids \
an earlier one.

Examples:
  vestibule user set-password ann
  vestibule user set-password ann < password.txt
  vestibule user set-password ann@example.com --code --json";

pub const EMAIL_EXAMPLES: &str = "\
The address counts as not verified. Codes that are under way stop working, and sessions \
go on. The old and the new address get an email; for three days a link in it gives the \
account the old address back.

Examples:
  vestibule user set-email ann ann@example.org
  vestibule user set-email ann@example.com ann@example.org --json";

pub const RENAME_EXAMPLES: &str = "\
Codes that are under way stop working, and sessions go on. The account's owner gets an \
email. Nobody else gets the old username for 90 days.

Examples:
  vestibule user rename ann anna
  vestibule user rename ann@example.com anna --json";

#[derive(clap::Args)]
pub struct SetPassword {
    /// A username, an address or an id
    #[arg(value_name = "USER")]
    user: String,
    /// Print a code that sets a new password at /reset
    #[arg(long)]
    code: bool,
    /// Print the code as JSON
    #[arg(long, requires = "code")]
    json: bool,
}

#[derive(clap::Args)]
pub struct SetEmail {
    #[command(flatten)]
    account: Account,
    /// Where codes and notices go from now on
    #[arg(value_parser = EmailAddress::parse)]
    address: EmailAddress,
}

#[derive(clap::Args)]
pub struct Rename {
    #[command(flatten)]
    account: Account,
    /// The new username
    name: String,
}

pub async fn set_password(app: &App, command: SetPassword) -> Result<(), CommandError> {
    let user = find_account(app, &command.user).await?;
    let name = user.display_name();
    if command.code {
        if !user.is_enabled() {
            return Err(CommandError::Failed(format!(
                "{name} is disabled, and no code would work: see `vestibule user enable`"
            )));
        }
        let code = make_code(app, &user).await?.ok_or_else(superseded)?;
        let life = times::life(CODE_LIFE);
        eprintln!("This code sets a new password for {name} at /reset, once, within {life}.");
        return if command.json {
            print(&json!({ "code": code.to_string() }))
        } else {
            print(&code)
        };
    }
    if !set_password_for(app, &user, &read_password()?).await? {
        return Err(superseded());
    }
    eprintln!("The password of {name} was set, and all sessions ended.");
    Ok(())
}

pub async fn set_email(app: &App, command: SetEmail) -> Result<(), CommandError> {
    let SetEmail { account, address } = command;
    let email = address.as_typed();
    if !app.config.registration.domains.accept(address.domain()) {
        return Err(CommandError::Failed(format!(
            "{email} has a domain that VESTIBULE_REGISTRATION_DOMAINS leaves out"
        )));
    }
    let user = find_account(app, &account.user).await?;
    let change = change_email_for(app, &user, &address).await?;
    let taken = "belongs to another account, or can be given back to one for three days";
    let user = changed(change, || format!("{email} {taken}"))?;
    eprintln!("The email of {} is {email} now.", user.display_name());
    print_user(&user, account.json)
}

pub async fn rename_account(app: &App, command: Rename) -> Result<(), CommandError> {
    let Rename { account, name } = command;
    let user = find_account(app, &account.user).await?;
    let usernames = app.config.usernames;
    if usernames.mode == UsernameMode::None {
        return Err(CommandError::Usage(
            "accounts have no usernames: VESTIBULE_USERNAME is none".to_owned(),
        ));
    }
    let email = EmailAddress::parse(&user.email).ok();
    let username = Username::give(&name, usernames, email.as_ref())
        .map_err(|error| CommandError::Usage(format!("{name:?} is no username: {error}")))?;
    let change = rename(app, &user, &username).await?;
    let taken = "belongs to another account, looks like the username of one, or is kept for one";
    let renamed = changed(change, || format!("{name:?} {taken}"))?;
    eprintln!("{} is called {} now.", user.display_name(), renamed.display_name());
    print_user(&renamed, account.json)
}

/// The user with the new name.
fn changed(change: NameChange, taken: impl Fn() -> String) -> Result<User, CommandError> {
    match change {
        NameChange::Changed(user) => Ok(user),
        NameChange::Taken => Err(CommandError::Failed(taken())),
        NameChange::Superseded => Err(superseded()),
    }
}

fn superseded() -> CommandError {
    CommandError::Failed("the account was changed at this moment: try again".to_owned())
}

/// From a prompt without echo, asked twice, or the first line of standard input; never from an argument, which
/// every user of the machine can read.
pub fn read_password() -> Result<Zeroizing<String>, CommandError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let password = Zeroizing::new(rpassword::prompt_password("Password: ")?);
        let again = Zeroizing::new(rpassword::prompt_password("The same password again: ")?);
        if password != again {
            return Err(CommandError::Failed("the two passwords differ: try again".to_owned()));
        }
        return Ok(password);
    }
    let mut line = Zeroizing::new(String::new());
    stdin.lock().read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
