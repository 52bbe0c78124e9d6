//! The program when its disk is full, when it is killed, and when it is told to stop under load.

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use vestibule::db::{Db, Location, sql};
use vestibule::random;

use crate::support::program::{Folder, Program};
use crate::support::smtp::{FakeSmtp, Received};
use crate::support::{OTHER_PASSWORD, PASSWORD, email_of, until};

/// How often the program is killed; more by hand.
const ROUNDS: &str = "VESTIBULE_TEST_KILLS";

const UNLIMITED: [(&str, &str); 4] = [
    ("VESTIBULE_LIMIT_REGISTER_IP", "off"),
    ("VESTIBULE_LIMIT_LOGIN_IP", "off"),
    ("VESTIBULE_LIMIT_FORGOT_IP", "off"),
    ("VESTIBULE_HASH_QUEUE", "1000"),
];

fn register(program: &Program, name: &str) -> u16 {
    let email = email_of(name);
    let fields = [
        ("username", name),
        ("email", email.as_str()),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    program.try_post("/register", "", &fields).map_or(0, |answer| answer.status)
}

fn can_log_in(program: &Program, name: &str, password: &str) -> bool {
    let answer = program.post("/login", "", &[("username", name), ("password", password)]);
    assert!([303, 422].contains(&answer.status), "{name}: {}", answer.head);
    answer.status == 303
}

/// Nothing in a log that lets anybody in or tells who is who.
fn assert_tells_no_secrets(log: &str, cookies: &[String]) {
    for secret in [PASSWORD, OTHER_PASSWORD, "@meadow.example"] {
        let told = log.lines().find(|line| line.contains(secret));
        let is_masked = |line: &str| secret.starts_with('@') && line.contains("…@");
        assert!(told.is_none_or(is_masked), "{told:?}");
    }
    for cookie in cookies {
        let id = cookie.split('=').nth(1).unwrap();
        assert!(!log.contains(id), "a session's id is in the log");
    }
}

#[test]
fn a_full_disk_refuses_forms_keeps_what_was_acknowledged_and_recovers() {
    let folder = Folder::new();
    let program = folder.serve_with_full_disk_errors(&UNLIMITED);
    let cookie = program.register_ann(PASSWORD);
    let wal = std::fs::metadata(folder.0.join("vestibule.db-wal")).unwrap().len();
    // Room for a few more, then in the middle of a transaction none.
    program.limit_files(Some(wal + 100_000));
    let mut told = Vec::new();
    let refused = (0..200).map(|number| format!("user{number}")).find(|name| {
        let status = register(&program, name);
        assert!([303, 503].contains(&status), "{name}: {status}");
        if status == 303 {
            told.push(name.clone());
        }
        status == 503
    });
    let refused = refused.expect("the disk was full at last");
    // Not another byte.
    program.limit_files(Some(0));
    let account = program.get("/account", &cookie);
    assert_eq!(account.status, 200, "pages that need no write go on: {}", account.head);
    assert!(account.body.contains("Your account was created"), "the flash is shown");
    for path in ["/login", "/register", "/forgot", "/readyz", "/dev/mailbox"] {
        assert_eq!(program.get(path, "").status, 200, "{path}");
    }
    for path in ["/login", "/forgot"] {
        let fields = [("username", "ann"), ("password", PASSWORD), ("email", "ann@meadow.example")];
        let answer = program.post(path, "", &fields);
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
    let out = program.post("/logout", &cookie, &[]);
    assert!(out.status == 503 && !out.head.contains("set-cookie"), "{}", out.head);
    assert_eq!(program.get("/account", &cookie).status, 200, "who was not logged out still is");
    program.limit_files(None);
    assert_eq!(register(&program, "later"), 303, "it passes without a restart");
    assert_eq!(program.post("/logout", &cookie, &[]).status, 303);
    assert_eq!(program.get("/account", &cookie).status, 303);
    program.kill_now();
    let (_, log) = program.ended();
    let program = folder.serve(&UNLIMITED);
    for name in told.iter().map(String::as_str).chain(["ann", "later"]) {
        assert!(can_log_in(&program, name, PASSWORD), "{name} was told to have an account");
    }
    // Refused before the account was there, or after: then it is whole.
    let again = register(&program, &refused);
    assert_eq!(again, 303);
    assert!(can_log_in(&program, &refused, PASSWORD));
    assert!(log.contains("database or disk is full") || log.contains("disk I/O error"), "{log}");
    assert_tells_no_secrets(&log, &[cookie]);
}

/// What one visitor was told.
enum Told {
    Registered(String),
    /// Sent, and perhaps not answered.
    Resetting(String),
    Reset(String),
}

/// Registers, asks for a code, and sets a new password with it, again and again until the program
/// is gone.
fn visit(program: &Program, server: &FakeSmtp, told: &Sender<Told>, runtime: &Handle) {
    loop {
        let name = format!("u{}", random::id(0).to_lowercase());
        if register(program, &name) != 303 {
            return;
        }
        told.send(Told::Registered(name.clone())).unwrap();
        let email = email_of(&name);
        let asked = [("username", name.as_str()), ("email", email.as_str())];
        let Some(asked) = program.try_post("/forgot", "", &asked) else { return };
        if asked.status != 303 {
            return;
        }
        let code = runtime.block_on(code_to(program, server, &email));
        let Some(code) = code else { return };
        told.send(Told::Resetting(name.clone())).unwrap();
        let fields = [
            ("code", code.as_str()),
            ("password", OTHER_PASSWORD),
            ("password_confirm", OTHER_PASSWORD),
        ];
        let Some(reset) = program.try_post("/reset", &asked.cookie(), &fields) else { return };
        if reset.status != 303 {
            return;
        }
        told.send(Told::Reset(name)).unwrap();
    }
}

/// The code that was mailed to `email`; `None` once the program is gone.
async fn code_to(program: &Program, server: &FakeSmtp, email: &str) -> Option<String> {
    let is_code = |line: &&str| line.len() == 9 && line.as_bytes()[4] == b'-';
    let mailed = server.until(|server| {
        let texts: Vec<_> = server.mails_to(email).iter().map(Received::text).collect();
        let texts: Vec<String> = texts.into_iter().filter(|text| text.contains("/reset")).collect();
        let mut lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
        lines.find(is_code).map(str::to_owned)
    });
    tokio::select! {
        code = mailed => Some(code),
        () = program.gone() => None,
    }
}

/// What everybody was told over all rounds.
#[derive(Default)]
struct Known {
    registered: Vec<String>,
    /// Whether the answer came.
    reset: HashMap<String, bool>,
}

impl Known {
    fn add(&mut self, told: Told) {
        match told {
            Told::Registered(name) => self.registered.push(name),
            Told::Resetting(name) => {
                self.reset.entry(name).or_insert(false);
            }
            Told::Reset(name) => {
                self.reset.insert(name, true);
            }
        }
    }

    /// Each account opens with the password that its owner was told, and with no other.
    fn assert_holds(&self, program: &Program) {
        for name in &self.registered {
            let (old, new) =
                (can_log_in(program, name, PASSWORD), can_log_in(program, name, OTHER_PASSWORD));
            match self.reset.get(name) {
                None => assert!(old && !new, "{name}: {old} {new}"),
                Some(true) => assert!(new && !old, "{name}: {old} {new}"),
                Some(false) => assert!(new != old, "{name}: {old} {new}"),
            }
        }
    }
}

async fn column(db: &Db, query: &'static str) -> Vec<String> {
    let rows = sql(query).fetch_all::<(String,)>(db.reader()).await.unwrap();
    rows.into_iter().map(|(text,)| text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_at_any_time_keeps_what_it_acknowledged_and_leaves_nothing_half_done() {
    let server = FakeSmtp::start().await;
    let folder = Folder::new();
    let url = server.url();
    let settings: Vec<_> =
        UNLIMITED.into_iter().chain([("VESTIBULE_SMTP_URL", url.as_str())]).collect();
    let rounds = std::env::var(ROUNDS).map_or(3, |rounds| rounds.parse().unwrap());
    let (mut known, runtime) = (Known::default(), Handle::current());
    for _ in 0..rounds {
        let program = folder.serve_with_log(&settings);
        let (tell, told) = channel();
        tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    let (program, server, tell) = (&program, &server, tell.clone());
                    let runtime = &runtime;
                    scope.spawn(move || visit(program, server, &tell, runtime));
                }
                drop(tell);
                // At some instant of what the others are at.
                let last = 5 + usize::from(random::bytes::<1>()[0] % 8);
                for told in told.iter().take(last) {
                    known.add(told);
                }
                program.kill_now();
                for told in &told {
                    known.add(told);
                }
            });
        });
    }
    let program = folder.serve_with_log(&settings);
    tokio::task::block_in_place(|| known.assert_holds(&program));
    let db = Db::open(&Location::Sqlite(folder.0.join("vestibule.db"))).await.unwrap();
    let users = column(&db, "select email from vestibule_users").await;
    let all_mail_is_sent = async {
        server.until(|server| (server.mails().len() >= users.len()).then_some(())).await;
        until(async || column(&db, "select id from vestibule_outbox").await.is_empty()).await;
    };
    tokio::time::timeout(Duration::from_mins(1), all_mail_is_sent).await.unwrap();
    db.close().await;
    let mails = server.mails();
    let to = |subject: &str, email: &str| {
        let is_it = |mail: &&Received| {
            mail.to[0] == email && mail.header("Subject").unwrap().contains(subject)
        };
        mails.iter().filter(is_it).count()
    };
    for email in &users {
        assert!(to("new account", email) > 0, "{email} has an account without its email");
    }
    for (name, _) in known.reset.iter().filter(|(_, is_told)| **is_told) {
        assert!(to("was changed", &email_of(name)) > 0, "{name}");
    }
    for mail in &mails {
        assert!(users.contains(&mail.to[0]), "an email to {} without an account", mail.to[0]);
    }
    let mut ids: Vec<_> = mails.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    ids.sort();
    ids.dedup();
    let (twice, reset) =
        (mails.len() - ids.len(), known.reset.values().filter(|told| **told).count());
    println!(
        "{rounds} kills: {} accounts told, {} in all, {reset} resets told, {} mails, {twice} of them twice",
        known.registered.len(),
        users.len(),
        mails.len(),
    );
    assert!(twice <= 8 * rounds, "at most one email of each connection is sent again");
    assert_tells_no_secrets(&folder.log(), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_stopped_under_load_with_a_hanging_mail_server_exits_in_time_and_loses_nothing() {
    let server = FakeSmtp::start().await;
    server.be_silent(true);
    let url = server.url();
    let folder = Folder::new();
    let own = [("VESTIBULE_SMTP_URL", url.as_str()), ("VESTIBULE_LOG", "json")];
    let settings: Vec<_> = UNLIMITED.into_iter().chain(own).collect();
    let program = folder.serve_with_log(&settings);
    let (tell, told) = channel();
    let (names, asked) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for visitor in 0..4 {
                let (program, tell) = (&program, tell.clone());
                scope.spawn(move || {
                    let names = (0..).map(|number| format!("user{visitor}-{number}"));
                    for name in names.take_while(|name| register(program, name) == 303) {
                        tell.send(name).unwrap();
                    }
                });
            }
            drop(tell);
            let mut names: Vec<_> = told.iter().take(8).collect();
            // The mail worker begins when it likes, and must have begun to be hung up.
            while server.connections() == 0 {
                names.push(told.recv().unwrap());
            }
            let asked = Instant::now();
            program.terminate();
            names.extend(told.iter());
            (names, asked)
        })
    });
    let (status, _) = program.ended();
    assert_eq!(status, 0, "{}", folder.log());
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let cut_off = r#""event":"stopped","reason":"out_of_time""#;
    assert!(folder.log().contains(cut_off), "{}", folder.log());
    let program = folder.serve_with_log(&settings);
    for name in &names {
        assert!(can_log_in(&program, name, PASSWORD), "{name} was told to have an account");
    }
    let db = Db::open(&Location::Sqlite(folder.0.join("vestibule.db"))).await.unwrap();
    let waiting = "select kind from vestibule_outbox where kind = 'registered'";
    assert_eq!(
        column(&db, waiting).await.len(),
        column(&db, "select id from vestibule_users").await.len()
    );
    db.close().await;
}
