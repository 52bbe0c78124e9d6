//! `vestibule user`: add an account, show one, delete one, list any number; and which command does the rest.

use std::io::{self, BufRead, IsTerminal, Write};

use super::account::{Account, find_account, print_user, print_users};
use super::credentials::read_password;
use super::{CommandError, access, approval, credentials, invitation, start_on_existing};
use crate::accounts::add_user::add_user;
use crate::accounts::delete_account::{Deletion, delete_account};
use crate::accounts::email::EmailAddress;
use crate::accounts::username::Username;
use crate::app::App;
use crate::config::{Config, UsernameMode};
use crate::models::user::search_users;

pub const EXAMPLES: &str = "Examples:
  vestibule user add ann ann@example.com
  vestibule user show ann
  vestibule user disable ann
  vestibule user set-password ann --code
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
    Show(Account),
    /// Disable an account: end all that it has, and let nobody log in
    #[command(after_help = super::help(access::DISABLE_EXAMPLES))]
    Disable(Account),
    /// Enable an account that was disabled
    #[command(after_help = super::help(access::ENABLE_EXAMPLE))]
    Enable(Account),
    /// Set the password of an account, or get a code with which its owner sets it
    #[command(after_help = super::help(credentials::PASSWORD_EXAMPLES))]
    SetPassword(credentials::SetPassword),
    /// Give an account another address
    #[command(after_help = super::help(credentials::EMAIL_EXAMPLES))]
    SetEmail(credentials::SetEmail),
    /// Give an account another username
    #[command(after_help = super::help(credentials::RENAME_EXAMPLES))]
    Rename(credentials::Rename),
    /// Show where an account is logged in, or end all its sessions
    #[command(after_help = super::help(access::SESSIONS_EXAMPLES))]
    Sessions(access::Sessions),
    /// Print all that is stored about the owner of an account, as JSON
    #[command(after_help = super::help(access::EXPORT_EXAMPLE))]
    Export(Account),
    /// Delete one account and everything that is stored about it
    #[command(
        after_help = "It asks first; without a terminal it needs --yes.\n\nExamples:\n  vestibule user delete ann\n  vestibule user delete ann@example.com --yes --json"
    )]
    Delete {
        #[command(flatten)]
        account: Account,
        /// Do not ask
        #[arg(long)]
        yes: bool,
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

impl Command {
    fn only_reads(&self) -> bool {
        match self {
            Self::Show(_) | Self::List { .. } | Self::Export(_) => true,
            Self::Sessions(command) => !command.end,
            Self::Approve(command) => command.list,
            Self::Invite(command) => command.list,
            _ => false,
        }
    }

    async fn start(&self, config: Config) -> Result<App, CommandError> {
        match self {
            Self::Add { .. } => Ok(App::for_command(config).await?),
            _ if self.only_reads() => Ok(App::for_reading(config).await?),
            _ => start_on_existing(config).await,
        }
    }
}

pub async fn run(command: Command, config: Config) -> Result<(), CommandError> {
    if !matches!(command, Command::Show(_) | Command::List { .. }) {
        super::log::start(config.log);
    }
    if matches!(&command, Command::Delete { yes: false, .. }) && !io::stdin().is_terminal() {
        return Err(CommandError::Usage(
            "user delete asks before it deletes: without a terminal it needs --yes".to_owned(),
        ));
    }
    // Before the database is created.
    let username = match &command {
        Command::Add { username, email, .. } => {
            parse_username(&config, username.as_deref(), email)?
        }
        _ => None,
    };
    let app = command.start(config).await?;
    let result = match command {
        Command::Add { email, json, .. } => add(&app, username, email, json).await,
        Command::Show(account) => show(&app, account).await,
        Command::Disable(account) => access::disable(&app, account).await,
        Command::Enable(account) => access::enable(&app, account).await,
        Command::SetPassword(command) => credentials::set_password(&app, command).await,
        Command::SetEmail(command) => credentials::set_email(&app, command).await,
        Command::Rename(command) => credentials::rename_account(&app, command).await,
        Command::Sessions(command) => access::sessions(&app, command).await,
        Command::Export(account) => access::export_all(&app, &account.user).await,
        Command::Delete { account, yes } => delete(&app, account, yes).await,
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
fn parse_username(
    config: &Config,
    typed: Option<&str>,
    email: &EmailAddress,
) -> Result<Option<Username>, CommandError> {
    let usage = |message: String| CommandError::Usage(message);
    match (config.usernames.mode, typed) {
        (UsernameMode::Required, None) => {
            Err(usage("give a username and an address: VESTIBULE_USERNAME is required".to_owned()))
        }
        (UsernameMode::None, Some(_)) => {
            Err(usage("give the address alone: VESTIBULE_USERNAME is none".to_owned()))
        }
        (_, None) => Ok(None),
        (_, Some(typed)) => Username::give(typed, config.usernames, Some(email))
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
            "{username}the address {email:?} belongs to an account already, or is kept for one; see `vestibule user show`"
        )));
    };
    eprintln!("The account was created.");
    print_user(&user, json)
}

async fn show(app: &App, account: Account) -> Result<(), CommandError> {
    print_user(&find_account(app, &account.user).await?, account.json)
}

async fn delete(app: &App, account: Account, yes: bool) -> Result<(), CommandError> {
    let user = find_account(app, &account.user).await?;
    let (name, email) = (user.display_name(), &user.email);
    if !yes && !confirm(&format!("Delete the account {name} ({email})?"))? {
        return Err(CommandError::Failed("nothing was deleted".to_owned()));
    }
    match delete_account(app, &user, None).await? {
        Deletion::Deleted => {
            eprintln!("The account was deleted.");
            print_user(&user, account.json)
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
