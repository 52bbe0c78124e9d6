//! `vestibule user`: add an account, show one, list any number.

use std::io::{BufRead, IsTerminal};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;
use zeroize::Zeroizing;

use super::CommandError;
use crate::accounts::email::EmailAddress;
use crate::accounts::login_name::LoginName;
use crate::accounts::new_password::choose_password;
use crate::accounts::password::Password;
use crate::accounts::username::Username;
use crate::app::App;
use crate::config::Config;
use crate::db::Location;
use crate::event::Event;
use crate::models::user::{NewUser, User, insert_user, search_users};
use crate::times;

/// The arguments.
pub fn command() -> Command {
    Command::new("user")
        .about("Add an account, show one, list any number")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(add_command())
        .subcommand(show_command())
        .subcommand(list_command())
        .after_help(format!(
            "Examples:\n  vestibule user add ann ann@example.com\n  vestibule user show ann\n  vestibule user list --search example.com\n\n{}",
            super::ENVIRONMENT_HELP
        ))
}

fn add_command() -> Command {
    Command::new("add")
        .about("Add an account; the password is asked for, or read from standard input")
        .arg(Arg::new("username").required(true).value_name("USERNAME").help("3–30 characters: letters, numbers, and single . - _ in between"))
        .arg(Arg::new("email").required(true).value_name("EMAIL").help("Where codes and notices go"))
        .arg(json_flag())
        .after_help("Examples:\n  vestibule user add ann ann@example.com\n  vestibule user add ann ann@example.com < password.txt")
}

fn show_command() -> Command {
    Command::new("show")
        .about("Show the one account with this username or email; fail when there is none")
        .arg(Arg::new("login").required(true).value_name("USERNAME or EMAIL"))
        .arg(json_flag())
        .after_help("Example:\n  vestibule user show ann@example.com --json")
}

fn list_command() -> Command {
    let limit = Arg::new("limit").long("limit").value_name("COUNT");
    Command::new("list")
        .about("List accounts by username: any number, also none")
        .arg(
            Arg::new("search")
                .long("search")
                .value_name("PART")
                .help("Only those whose username or address contains PART"),
        )
        .arg(
            limit
                .value_parser(clap::value_parser!(i64).range(1..))
                .help("The most to print; all, unless it is given"),
        )
        .arg(json_flag())
        .after_help(
            "Examples:\n  vestibule user list\n  vestibule user list --search example.com --json",
        )
}

fn json_flag() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON")
}

/// Runs it.
pub async fn run(matches: &ArgMatches) -> Result<(), CommandError> {
    let config = super::settings(matches)?;
    if matches!(matches.subcommand(), Some(("add", _))) {
        super::log::start(config.log);
    } else {
        require_database(&config)?;
    }
    let app = App::start(config).await.map_err(CommandError::failed)?;
    let ended = match matches.subcommand() {
        Some(("add", rest)) => add(&app, rest).await,
        Some(("show", rest)) => show(&app, rest).await,
        Some(("list", rest)) => list(&app, rest).await,
        _ => Err(CommandError::Usage("see `vestibule user --help`".to_owned())),
    };
    app.db.close().await;
    ended
}

/// Reading must not create an empty database in the wrong folder.
fn require_database(config: &Config) -> Result<(), CommandError> {
    match &config.database {
        Location::Sqlite(path) if !path.exists() => Err(CommandError::Failed(format!(
            "there is no database at {}: run this where the site runs, or set VESTIBULE_DATABASE_URL",
            path.display()
        ))),
        _ => Ok(()),
    }
}

async fn add(app: &App, matches: &ArgMatches) -> Result<(), CommandError> {
    let wrong = |field: &str, value: &str, why: &dyn std::fmt::Display| {
        CommandError::Usage(format!("{field} {value:?}: {why}"))
    };
    let (username, email) = (text(matches, "username"), text(matches, "email"));
    let name = Username::parse(username).map_err(|why| wrong("username", username, &why))?;
    let address = EmailAddress::parse(email).map_err(|why| wrong("email", email, &why))?;
    let typed = read_password()?;
    let chosen = choose_password(app, &app.hasher, &typed, [name.as_str(), email]).await;
    let password = chosen.map_err(CommandError::failed)?.map_err(CommandError::failed)?;
    let user = insert(app, &name, &address, &password).await?;
    Event::UserAdded { account: &user.id }.write();
    eprintln!("The account was created.");
    print(&user, matches.get_flag("json"))
}

async fn insert(
    app: &App,
    username: &Username,
    email: &EmailAddress,
    password: &Password,
) -> Result<User, CommandError> {
    let password_hash = app.hasher.hash(password.as_bytes()).await.map_err(CommandError::failed)?;
    let new = NewUser {
        username: username.as_str(),
        email: email.as_typed(),
        email_key: email.key(),
        password_hash: &password_hash,
        password_set_in: None,
    };
    let now = app.clock.now();
    match insert_user(app.db.writer(), new, now).await.map_err(CommandError::failed)? {
        Some(user) => Ok(user),
        None => Err(CommandError::Failed(format!(
            "the username {:?} or the address {:?} belongs to an account already; see `vestibule user show`",
            username.as_str(),
            email.as_typed()
        ))),
    }
}

async fn show(app: &App, matches: &ArgMatches) -> Result<(), CommandError> {
    let login = text(matches, "login");
    let user = LoginName::parse(login).find_user(&app.db).await.map_err(CommandError::failed)?;
    let user = user.ok_or_else(|| {
        CommandError::Failed(format!("no account has the username or address {login:?}"))
    })?;
    print(&user, matches.get_flag("json"))
}

async fn list(app: &App, matches: &ArgMatches) -> Result<(), CommandError> {
    let most = matches.get_one::<i64>("limit").copied().unwrap_or(i64::MAX);
    let part = matches.get_one::<String>("search").map_or("", String::as_str);
    let users = search_users(app.db.reader(), part, most).await.map_err(CommandError::failed)?;
    if i64::try_from(users.len()) == Ok(most) {
        eprintln!("These are the first {most}: there may be more, see --limit and --search.");
    }
    if matches.get_flag("json") {
        return super::print(&users.iter().map(as_json).collect::<serde_json::Value>());
    }
    users.iter().try_for_each(|user| print(user, false))
}

/// From a prompt without echo, or the first line of standard input; never from an argument, which
/// every user of the machine can read.
fn read_password() -> Result<Zeroizing<String>, CommandError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return rpassword::prompt_password("Password: ")
            .map(Zeroizing::new)
            .map_err(CommandError::failed);
    }
    let mut line = Zeroizing::new(String::new());
    stdin.lock().read_line(&mut line).map_err(CommandError::failed)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

fn print(user: &User, json: bool) -> Result<(), CommandError> {
    if json {
        return super::print(&as_json(user));
    }
    let since = times::iso(user.created_at);
    super::print(&format!("{}\t{}\t{since}\t{}", user.username, user.email, user.id))
}

fn as_json(user: &User) -> serde_json::Value {
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "created_at": times::iso(user.created_at),
    })
}
