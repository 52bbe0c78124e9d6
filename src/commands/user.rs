//! `vestibule user`: add an account, show one, delete one, list any number; invite people; approve
//! accounts.

use std::io::{self, BufRead, IsTerminal, Write};

use zeroize::Zeroizing;

use super::account::{find_account, print_user, print_users};
use super::{CommandError, approval, invitation};
use crate::accounts::add_user::add_user;
use crate::accounts::delete_account::{Deletion, delete_account};
use crate::accounts::email::EmailAddress;
use crate::accounts::username::Username;
use crate::app::App;
use crate::config::{Config, UsernameMode};
use crate::db::Location;
use crate::models::user::search_users;

pub const EXAMPLES: &str = "Examples:
  vestibule user add ann ann@example.com
  vestibule user show ann
  vestibule user delete ann
  vestibule user list --search example.com
  vestibule user invite ann@example.com
  vestibule user approve ann";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Add an account; the password is asked for, or read from standard input
    #[command(
        allow_missing_positional = true,
        after_help = "Examples:\n  vestibule user add ann ann@example.com\n  vestibule user add ann ann@example.com < password.txt\n  VESTIBULE_USERNAME=none vestibule user add ann@example.com"
    )]
    Add {
        /// 3–30 characters: letters, numbers, and single . - _ in between, unless the settings say
        /// otherwise. Leave it out for an account without a username
        username: Option<String>,
        /// Where codes and notices go
        #[arg(value_parser = EmailAddress::parse)]
        email: EmailAddress,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the one account with this username, address or id; fail when there is none
    #[command(after_help = "Example:\n  vestibule user show ann@example.com --json")]
    Show {
        #[arg(value_name = "USER")]
        login: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete one account and everything that is stored about it
    #[command(
        after_help = "It asks first; without a terminal it needs --yes.\n\nExamples:\n  vestibule user delete ann\n  vestibule user delete ann@example.com --yes --json"
    )]
    Delete {
        /// A username, an address or an id
        #[arg(value_name = "USER")]
        user: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Print the deleted account as JSON
        #[arg(long)]
        json: bool,
    },
    /// Invite people by email to create an account
    #[command(after_help = super::help(invitation::EXAMPLES))]
    Invite(invitation::Invite),
    /// Approve accounts that wait, or list them
    #[command(after_help = super::help(approval::EXAMPLES))]
    Approve(approval::Approve),
    /// List accounts by username: any number, also none
    #[command(
        after_help = "Examples:\n  vestibule user list\n  vestibule user list --search example.com --json"
    )]
    List {
        /// Only those whose username or address contains PART
        #[arg(long, value_name = "PART")]
        search: Option<String>,
        /// The most to print; all, unless it is given
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..))]
        limit: Option<i64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(command: Command, config: Config) -> Result<(), CommandError> {
    if !matches!(command, Command::Show { .. } | Command::List { .. }) {
        super::log::start(config.log);
    }
    match (&command, &config.database) {
        (Command::Add { .. }, _) => {}
        (Command::Delete { yes: false, .. }, _) if !io::stdin().is_terminal() => {
            return Err(CommandError::Usage(
                "user delete asks before it deletes: without a terminal it needs --yes".to_owned(),
            ));
        }
        // Reading must not create an empty database in the wrong folder.
        (_, Location::Sqlite(path)) if !path.exists() => {
            let path = path.display();
            return Err(CommandError::Failed(format!(
                "there is no database at {path}: run this where the site runs, or set VESTIBULE_DATABASE_URL"
            )));
        }
        _ => {}
    }
    // Before the database is created.
    let username = match &command {
        Command::Add { username, .. } => parse_username(&config, username.as_deref())?,
        _ => None,
    };
    let app = App::start(config).await?;
    let result = match command {
        Command::Add { email, json, .. } => add(&app, username, email, json).await,
        Command::Show { login, json } => show(&app, &login, json).await,
        Command::Delete { user, yes, json } => delete(&app, &user, yes, json).await,
        Command::Invite(command) => invitation::run(&app, command).await,
        Command::Approve(command) => approval::run(&app, command).await,
        Command::List { search, limit, json } => {
            list(&app, &search.unwrap_or_default(), limit, json).await
        }
    };
    app.db.close().await;
    result
}

/// The username of a new account, if the settings allow or demand one.
fn parse_username(config: &Config, typed: Option<&str>) -> Result<Option<Username>, CommandError> {
    let usage = |message: String| CommandError::Usage(message);
    match (config.usernames.mode, typed) {
        (UsernameMode::Required, None) => {
            Err(usage("give a username and an address: VESTIBULE_USERNAME is required".to_owned()))
        }
        (UsernameMode::None, Some(_)) => {
            Err(usage("give the address alone: VESTIBULE_USERNAME is none".to_owned()))
        }
        (_, None) => Ok(None),
        (_, Some(typed)) => Username::parse(typed, config.usernames.rule)
            .map(Some)
            .map_err(|error| usage(format!("{typed:?} is no username: {error}"))),
    }
}

async fn add(
    app: &App,
    username: Option<Username>,
    email: EmailAddress,
    json: bool,
) -> Result<(), CommandError> {
    let typed = read_password()?;
    let Some(user) = add_user(app, username.as_ref(), &email, &typed).await? else {
        let username = username
            .map(|name| format!("the username {:?}, what looks like it, or ", name.as_str()));
        let (username, email) = (username.unwrap_or_default(), email.as_typed());
        return Err(CommandError::Failed(format!(
            "{username}the address {email:?} belongs to an account already; see `vestibule user show`"
        )));
    };
    eprintln!("The account was created.");
    print_user(&user, json)
}

async fn show(app: &App, login: &str, json: bool) -> Result<(), CommandError> {
    print_user(&find_account(app, login).await?, json)
}

async fn delete(app: &App, typed: &str, yes: bool, json: bool) -> Result<(), CommandError> {
    let user = find_account(app, typed).await?;
    let (name, email) = (user.display_name(), &user.email);
    if !yes && !confirm(&format!("Delete the account {name} ({email})?"))? {
        return Err(CommandError::Failed("nothing was deleted".to_owned()));
    }
    match delete_account(app, &user, None).await? {
        Deletion::Deleted => {
            eprintln!("The account was deleted.");
            print_user(&user, json)
        }
        Deletion::Gone => Err(CommandError::Failed(format!("{name} was deleted already"))),
        Deletion::Referenced(cause) => Err(CommandError::Failed(format!(
            "{name} was not deleted: another table refers to the account and forbids it ({cause})"
        ))),
    }
}

/// Asks on the terminal; only `y` and `yes` mean yes.
fn confirm(question: &str) -> Result<bool, CommandError> {
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

async fn list(app: &App, search: &str, limit: Option<i64>, json: bool) -> Result<(), CommandError> {
    let users = search_users(app.db.reader(), search, limit.unwrap_or(i64::MAX)).await?;
    if i64::try_from(users.len()).ok() == limit {
        let count = users.len();
        eprintln!("These are the first {count}: there may be more, see --limit and --search.");
    }
    print_users(&users, json)
}

/// From a prompt without echo, or the first line of standard input; never from an argument, which
/// every user of the machine can read.
fn read_password() -> Result<Zeroizing<String>, CommandError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(Zeroizing::new(rpassword::prompt_password("Password: ")?));
    }
    let mut line = Zeroizing::new(String::new());
    stdin.lock().read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
