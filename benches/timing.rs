//! Whether time tells who has an account: the same requests for accounts that exist and for accounts
//! that do not, in random order, against the release build, compared by rank (Mann-Whitney).
//!
//! `cargo bench --bench timing [-- --pairs 1000] [--kind login]` exits 1 when one kind can be told
//! apart better than 0.45 to 0.55. With `TEST_POSTGRES_URL` it measures PostgreSQL as well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot go on has failed"
)]

#[path = "timing/limits.rs"]
mod limits;
#[path = "timing/mail_sink.rs"]
mod mail_sink;
#[path = "timing/ranks.rs"]
mod ranks;
#[path = "timing/server.rs"]
mod server;

use std::process::ExitCode;
use std::time::Duration;

use ranks::Distributions;
use server::{Connection, Server};
use vestibule::random;

/// Accounts of either kind, asked for in turn: none may fail a hundred times in a row.
const ACCOUNTS: usize = 50;

/// Pairs of each kind, unless `--pairs` says otherwise: chance alone then moves the figure by 0.013
/// (one standard deviation), a quarter of what is allowed.
const PAIRS: usize = 1000;

/// Between two samples, so that none pays for the mail of the one before it.
const PAUSE: Duration = Duration::from_millis(15);

/// Between asking for a code and what is timed then: its mail is out. What that costs meanwhile is
/// measured as `page-after-forgot`.
const MAIL_IS_OUT: Duration = Duration::from_millis(60);

/// What is done and which part of it is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Login,
    LoginByAddress,
    Forgot,
    /// What comes at once after a code was asked for, while its mail goes out.
    PageAfterForgot,
    Guess,
    Resend,
}

const KINDS: [(&str, Kind); 6] = [
    ("login", Kind::Login),
    ("login-by-address", Kind::LoginByAddress),
    ("forgot", Kind::Forgot),
    ("page-after-forgot", Kind::PageAfterForgot),
    ("reset-guess", Kind::Guess),
    ("resend", Kind::Resend),
];

/// An account that exists or one that does not; the names are of one length.
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
    let mut all_alike = true;
    for (database, url) in databases {
        let server = Server::start(url.as_deref());
        let accounts = accounts(&server);
        for (name, kind) in KINDS {
            if only.as_deref().is_none_or(|only| only == name) {
                let measured = measure(&server, kind, &accounts, pairs);
                println!("| {database} | {name} | {pairs} | {}", measured.row());
                all_alike &= measured.are_alike();
            }
        }
    }
    if all_alike { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

/// Index 0: those that do not exist; index 1: those that do.
fn accounts(server: &Server) -> [Vec<Account>; 2] {
    let of = |stem| (0..ACCOUNTS).map(|number| Account::new(stem, number)).collect::<Vec<_>>();
    let [nobody, known] = [of("ghosty"), of("person")];
    let mut connection = server.connect();
    for account in &known {
        let answer = connection.register(&account.name, &account.email);
        assert_eq!(answer.location.as_deref(), Some("/account"), "{}", account.name);
    }
    [nobody, known]
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

#[expect(clippy::disallowed_methods, reason = "a program of one thread that has to wait")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// As many of either kind, shuffled (Fisher-Yates): what is measured first or second of a pair
/// differs by that alone.
fn order(pairs: usize) -> Vec<bool> {
    let mut order: Vec<bool> = (0..2 * pairs).map(|number| number % 2 == 0).collect();
    for last in (1..order.len()).rev() {
        let drawn = u64::from_le_bytes(random::bytes()) % (last as u64 + 1);
        order.swap(last, usize::try_from(drawn).unwrap());
    }
    order
}

fn sample(to: &mut Connection, kind: Kind, account: &Account) -> Duration {
    to.forget_cookies();
    let Account { name, email } = account;
    match kind {
        Kind::Login => to.post("/login", &[("username", name), ("password", "not the one")], 422),
        Kind::LoginByAddress => {
            to.post("/login", &[("username", email), ("password", "not the one")], 422)
        }
        Kind::Forgot => ask(to, account),
        Kind::PageAfterForgot => {
            ask(to, account);
            to.get("/reset", 200)
        }
        Kind::Guess => {
            ask(to, account);
            pause(MAIL_IS_OUT);
            let new = "velvet anchor pudding";
            let fields = [("code", "CCCC-CCCC"), ("password", new), ("password_confirm", new)];
            to.post("/reset", &fields, 422)
        }
        Kind::Resend => {
            ask(to, account);
            pause(MAIL_IS_OUT);
            to.post("/reset/resend", &[], 303)
        }
    }
}

fn ask(to: &mut Connection, account: &Account) -> Duration {
    to.post("/forgot", &[("username", &account.name), ("email", &account.email)], 303)
}
