//! Whether response times reveal that an account exists. Sends the same requests for accounts that exist
//! and accounts that do not, in random order, and compares the times by rank (Mann-Whitney).
//!
//! `cargo bench --bench timing [-- --pairs 1000] [--kind login]` exits 1 if the AUC of a kind of request
//! is not within 0.45 and 0.55. With `TEST_POSTGRES_URL` it measures PostgreSQL as well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed measurement ends the program"
)]

#[path = "shared/limits.rs"]
mod limits;
#[path = "shared/mail_sink.rs"]
mod mail_sink;
#[path = "shared/process.rs"]
mod process;
#[path = "timing/ranks.rs"]
mod ranks;
#[path = "timing/server.rs"]
mod server;

use std::process::ExitCode;
use std::time::Duration;

use ranks::Distributions;
use server::{Connection, PASSWORD, Server};
use vestibule::random;

/// The number of existing and of other accounts, used in turn: a hundred failures in a row stop logins.
const ACCOUNTS: usize = 50;

/// Pairs of each kind by default. One standard deviation of the AUC is then 0.013, a quarter of what is
/// allowed.
const PAIRS: usize = 1000;

/// Between two samples, so that the email of one does not slow the next.
const PAUSE: Duration = Duration::from_millis(15);

/// Between a code request and the request that is timed, so that the email has been sent. The time before
/// that is measured as `page-after-forgot`.
const MAIL_DELIVERY: Duration = Duration::from_millis(60);

/// The request that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Login,
    LoginByAddress,
    /// With accounts whose hashes were imported.
    LoginImported,
    Forgot,
    ForgottenUsername,
    /// A page right after a code request, while the email is sent.
    PageAfterForgot,
    Guess,
    Resend,
    LoginCode,
    LoginCodeGuess,
    /// With `VESTIBULE_REGISTRATION=verified`, a username and an address that are taken or not.
    Register,
    GuessRegistered,
    ResendRegistered,
}

const KINDS: [(&str, Kind); 13] = [
    ("login", Kind::Login),
    ("login-by-address", Kind::LoginByAddress),
    ("login-imported", Kind::LoginImported),
    ("forgot", Kind::Forgot),
    ("forgotten-username", Kind::ForgottenUsername),
    ("page-after-forgot", Kind::PageAfterForgot),
    ("reset-guess", Kind::Guess),
    ("resend", Kind::Resend),
    ("register", Kind::Register),
    ("register-guess", Kind::GuessRegistered),
    ("register-resend", Kind::ResendRegistered),
    ("login-code", Kind::LoginCode),
    ("login-code-guess", Kind::LoginCodeGuess),
];

/// An account that exists or not. All names have the same length.
struct Account {
    name: String,
    email: String,
}

impl Account {
    fn new(stem: &str, number: usize) -> Self {
        let name = format!("{stem}{number:02}");
        Self { email: format!("{name}@meadow.example"), name }
    }
}

fn main() -> ExitCode {
    let (pairs, only) = (argument("--pairs"), argument("--kind"));
    let pairs = pairs.map_or(PAIRS, |pairs| pairs.parse().expect("--pairs takes a number"));
    let mut databases = vec![("SQLite", None)];
    databases.extend(std::env::var("TEST_POSTGRES_URL").ok().map(|url| ("PostgreSQL", Some(url))));
    println!("| database | kind | n each | median known | median unknown | AUC | |");
    println!("|---|---|---|---|---|---|---|");
    let accounts = ["ghosty", "person"].map(accounts);
    let mut all_similar = true;
    for (database, url) in databases {
        let known = accounts[1].iter().map(|account| (&*account.name, &*account.email));
        let start = |are_imported| Server::start(url.as_deref(), known.clone(), are_imported);
        let server = start(false);
        for (name, kind) in KINDS {
            if only.as_deref().is_none_or(|only| only == name) {
                // While there are imported hashes, all refusals take longer.
                let of_imported = (kind == Kind::LoginImported).then(|| start(true));
                let server = of_imported.as_ref().unwrap_or(&server);
                let measured = measure(server, kind, &accounts, pairs);
                println!("| {database} | {name} | {pairs} | {}", measured.row());
                all_similar &= measured.are_similar();
            }
        }
    }
    if all_similar { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn accounts(stem: &str) -> Vec<Account> {
    (0..ACCOUNTS).map(|number| Account::new(stem, number)).collect()
}

fn measure(
    server: &Server,
    kind: Kind,
    accounts: &[Vec<Account>; 2],
    pairs: usize,
) -> Distributions {
    let mut connection = server.connect();
    for turn in 0..40 {
        sample(&mut connection, kind, &accounts[turn % 2][turn / 2]);
    }
    let mut measured = Distributions::default();
    for (turn, is_known) in order(pairs).into_iter().enumerate() {
        let account = &accounts[usize::from(is_known)][turn % ACCOUNTS];
        pause(PAUSE);
        measured.add(is_known, sample(&mut connection, kind, account));
    }
    measured
}

#[expect(clippy::disallowed_methods, reason = "a benchmark may block its thread")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// As many existing accounts as others, shuffled (Fisher-Yates): whether a request is the first or second
/// of a pair must not matter.
fn order(pairs: usize) -> Vec<bool> {
    let mut order: Vec<bool> = (0..2 * pairs).map(|number| number % 2 == 0).collect();
    for last in (1..order.len()).rev() {
        let other = u64::from_le_bytes(random::bytes()) % (last as u64 + 1);
        order.swap(last, usize::try_from(other).unwrap());
    }
    order
}

fn sample(to: &mut Connection, kind: Kind, account: &Account) -> Duration {
    to.forget_cookies();
    let Account { name, email } = account;
    match kind {
        Kind::Login | Kind::LoginImported => {
            to.post("/login", &[("username", name), ("password", "not the one")], 422)
        }
        Kind::LoginByAddress => {
            to.post("/login", &[("username", email), ("password", "not the one")], 422)
        }
        Kind::Forgot => request_code(to, account),
        Kind::ForgottenUsername => to.post("/forgot/username", &[("email", email)], 303),
        Kind::PageAfterForgot => {
            request_code(to, account);
            to.get("/reset", 200)
        }
        Kind::Guess => {
            request_code(to, account);
            pause(MAIL_DELIVERY);
            let new = "velvet anchor pudding";
            let fields = [("code", "CCCC-CCCC"), ("password", new), ("password_confirm", new)];
            to.post("/reset", &fields, 422)
        }
        Kind::Resend => {
            request_code(to, account);
            pause(MAIL_DELIVERY);
            to.post("/reset/resend", &[], 303)
        }
        Kind::Register => register(to, account),
        Kind::GuessRegistered => {
            confirm(to, account, "/register/confirm", &[("code", "CCCC-CCCC")], 422)
        }
        Kind::ResendRegistered => confirm(to, account, "/register/resend", &[], 303),
        Kind::LoginCode => request_login_code(to, name),
        Kind::LoginCodeGuess => {
            request_login_code(to, name);
            pause(MAIL_DELIVERY);
            to.post("/login/code/confirm", &[("code", "CCCC-CCCC")], 422)
        }
    }
}

fn register(to: &mut Connection, Account { name, email }: &Account) -> Duration {
    let fields = [("username", &**name), ("email", email), ("password", PASSWORD)];
    to.post("/register", &[&fields[..], &[("password_confirm", PASSWORD)]].concat(), 303)
}

/// A form on the page that asks for the code of a registration.
fn confirm(
    to: &mut Connection,
    account: &Account,
    path: &str,
    fields: &[(&str, &str)],
    expected: u16,
) -> Duration {
    register(to, account);
    pause(MAIL_DELIVERY);
    to.post(path, fields, expected)
}

fn request_login_code(to: &mut Connection, name: &str) -> Duration {
    to.post("/login/code", &[("username", name)], 303)
}

fn request_code(to: &mut Connection, account: &Account) -> Duration {
    to.post("/forgot", &[("username", &account.name), ("email", &account.email)], 303)
}
