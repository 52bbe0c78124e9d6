//! A node that is killed, and a database that goes away, while people use the site.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Response, StatusCode, header};
use futures_util::future::{join, join_all};
use tokio::sync::watch;
use tokio::time::timeout;
use vestibule::clock::Clock;
use vestibule::db::{Db, sql};
use vestibule::models::outbox::LEASE_SECONDS;
use vestibule::random;

use crate::support::cluster::Cluster;
use crate::support::nodes::{NODES, Nodes};
use crate::support::smtp::Received;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, email_of, until};

const UNLIMITED: [(&str, &str); 3] = [
    ("VESTIBULE_LIMIT_REGISTER_IP", "off"),
    ("VESTIBULE_LIMIT_LOGIN_IP", "off"),
    ("VESTIBULE_LIMIT_FORGOT_IP", "off"),
];

/// Visitors at once.
const VISITORS: usize = 6;

/// How long a visitor waits for a code before another visit: what a killed node held comes later.
const PATIENCE: Duration = Duration::from_secs(4);

/// What visitors were told.
#[derive(Default)]
struct Told {
    /// Who was told to have an account, with what is known of the reset of its password: none was
    /// sent, it was not answered, it was.
    accounts: HashMap<String, Option<bool>>,
    /// Whom a code was promised.
    promised: HashSet<String>,
    /// How often each status came that is no success.
    failures: BTreeMap<u16, usize>,
}

/// The load on a site.
struct Load {
    told: Mutex<Told>,
    visits: watch::Sender<usize>,
    is_over: watch::Sender<bool>,
}

impl Load {
    fn new() -> Self {
        let (visits, is_over) = (watch::Sender::new(0), watch::Sender::new(false));
        Self { told: Mutex::default(), visits, is_over }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so many more whole visits.
    async fn more(&self, visits: usize) {
        let mut done = self.visits.subscribe();
        let most = *done.borrow() + visits;
        done.wait_for(|done| *done >= most).await.unwrap();
    }

    /// Visits of some people at once, until it is over.
    async fn run(&self, nodes: &Nodes) {
        join_all((0..VISITORS).map(async |_| {
            while !*self.is_over.borrow() {
                if self.visit(nodes).await.is_some() {
                    self.visits.send_modify(|visits| *visits += 1);
                }
            }
        }))
        .await;
    }

    /// Registers, logs in, asks for a code and sets a new password with it; `None` when something
    /// of it failed.
    async fn visit(&self, nodes: &Nodes) -> Option<()> {
        let mut person = nodes.front.browser();
        let name = format!("u{}", random::id(0).to_lowercase());
        let email = email_of(&name);
        let who = [("username", name.as_str()), ("email", email.as_str())];
        let old = [("password", PASSWORD), ("password_confirm", PASSWORD)];
        self.post(&mut person, "/register", &[who[0], who[1], old[0], old[1]]).await?;
        self.told().accounts.insert(name.clone(), None);
        self.post(&mut person, "/logout", &[]).await?;
        self.post(&mut person, "/login", &[who[0], old[0]]).await?;
        let mut lost = nodes.front.browser();
        self.post(&mut lost, "/forgot", &who).await?;
        self.told().promised.insert(email.clone());
        let code = timeout(PATIENCE, nodes.code_to(&email)).await.ok()?;
        let new = [("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        self.told().accounts.insert(name.clone(), Some(false));
        self.post(&mut lost, "/reset", &[("code", &code), new[0], new[1]]).await?;
        self.told().accounts.insert(name.clone(), Some(true));
        Some(())
    }

    async fn post(
        &self,
        person: &mut Browser,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Option<Response<axum::body::Body>> {
        let answer = person.post(path, fields).await;
        if answer.status() == StatusCode::SEE_OTHER {
            person.keep(&answer);
            return Some(answer);
        }
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key(header::RETRY_AFTER), "{path}");
        }
        *self.told().failures.entry(answer.status().as_u16()).or_default() += 1;
        None
    }

    /// Each account opens with the password that its owner was told, and with no other.
    async fn assert_holds(&self, nodes: &Nodes) {
        let accounts = self.told().accounts.clone();
        let can_log_in = async |name: &str, password: &str| {
            let fields = [("username", name), ("password", password)];
            let status = nodes.front.browser().post("/login", &fields).await.status();
            assert!([303, 422].contains(&status.as_u16()), "{name}: {status}");
            status == StatusCode::SEE_OTHER
        };
        join_all(accounts.iter().map(async |(name, reset)| {
            let (old, new) =
                join(can_log_in(name, PASSWORD), can_log_in(name, OTHER_PASSWORD)).await;
            match reset {
                None => assert!(old && !new, "{name}: {old} {new}"),
                Some(true) => assert!(new && !old, "{name}: {old} {new}"),
                Some(false) => assert!(new != old, "{name}: {old} {new}"),
            }
        }))
        .await;
    }

    /// Every letter that was promised is out: the first of each account, codes, and the news of each
    /// reset.
    fn assert_mailed(&self, nodes: &Nodes) {
        let told = self.told();
        let subjects = |email: &str| -> Vec<String> {
            let mails = nodes.server.mails_to(email);
            mails.iter().map(|mail| mail.header("Subject").unwrap()).collect()
        };
        let got = |name: &str, words: &str| {
            let subjects = subjects(&email_of(name));
            assert!(subjects.iter().any(|subject| subject.contains(words)), "{name}: {subjects:?}");
        };
        for (name, reset) in &told.accounts {
            got(name, "new account");
            if *reset == Some(true) {
                got(name, "was changed");
            }
        }
        for email in &told.promised {
            got(email.split('@').next().unwrap(), "code");
        }
    }
}

/// The ids of the letters that went out, in order.
fn mailed(mails: &[Received]) -> Vec<String> {
    let ids = mails.iter().map(|mail| mail.header("Message-ID").unwrap());
    ids.map(|id| id.trim_matches('<').split('@').next().unwrap().to_owned()).collect()
}

/// Those that went out more than once.
fn mailed_twice(mails: &[Received]) -> HashSet<String> {
    let mut seen = HashSet::new();
    mailed(mails).into_iter().filter(|id| !seen.insert(id.clone())).collect()
}

async fn waiting(db: &Db) -> Vec<String> {
    let rows =
        sql("select id from vestibule_outbox").fetch_all::<(String,)>(db.reader()).await.unwrap();
    rows.into_iter().map(|(id,)| id).collect()
}

/// Waits until the nodes that live have sent what they can, and sends what was claimed before `since`
/// and is nobody's any more, as a node does when the claims are over. Answers which those were.
async fn send_what_was_held(nodes: &Nodes, db: &Db, since: i64) -> HashSet<String> {
    let living =
        "select count(*) from vestibule_outbox where claimed_until = 0 or claimed_until > $1";
    let is_left = async || {
        let living = sql(living).bind(since + LEASE_SECONDS);
        living.fetch_optional::<(i64,)>(db.reader()).await.unwrap() == Some((0,))
    };
    timeout(Duration::from_secs(20), until(is_left)).await.expect("the living send theirs");
    let held: HashSet<_> = waiting(db).await.into_iter().collect();
    nodes.worker(db, LEASE_SECONDS + 1).deliver_due().await.unwrap();
    assert_eq!(waiting(db).await, [""; 0]);
    held
}

/// Kills a node when the mail server is at letters of it, and lets the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_under_load_fails_only_its_own_requests_and_loses_nothing() {
    let Some(nodes) = Nodes::start(&UNLIMITED).await else { return };
    nodes.server.be_slow(Duration::from_millis(50));
    let (load, db) = (Load::new(), nodes.db().await);
    let under_way = async || {
        let claimed = "select count(*) from vestibule_outbox where claimed_until > 0";
        let rows = sql(claimed).fetch_optional::<(i64,)>(db.reader()).await.unwrap();
        rows.is_some_and(|(letters,)| letters >= 3)
    };
    let faults = async {
        load.more(VISITORS).await;
        until(under_way).await;
        nodes.programs[1].kill_now();
        let killed_at = Clock::System.now();
        load.more(2 * VISITORS).await;
        load.is_over.send_replace(true);
        killed_at
    };
    let all = join(load.run(&nodes), faults);
    let ((), killed_at) = timeout(Duration::from_mins(1), all).await.unwrap();
    let failures = load.told().failures.clone();
    assert!(failures.keys().all(|status| *status == 502), "{failures:?}");
    assert!(failures.values().sum::<usize>() <= VISITORS, "more than were under way: {failures:?}");
    load.assert_holds(&nodes).await;

    let held = send_what_was_held(&nodes, &db, killed_at).await;
    assert!(held.len() <= 16, "a node claims sixteen at a time: {held:?}");
    load.assert_mailed(&nodes);
    let twice = mailed_twice(&nodes.server.mails());
    println!(
        "{} accounts, {} mails, {failures:?} failed; the killed node held {} letters, {} of them went out twice",
        load.told().accounts.len(),
        nodes.server.mails().len(),
        held.len(),
        twice.len()
    );
    assert!(twice.is_subset(&held), "twice: {twice:?}, held: {held:?}");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_under_load_loses_nothing_and_is_used_again_by_all() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(nodes) = Nodes::start_on(&cluster.url(), &UNLIMITED).await else { return };
    let load = Load::new();
    let faults = async {
        load.more(VISITORS).await;
        tokio::task::block_in_place(|| cluster.stop());
        let fields = [("username", "ann"), ("password", PASSWORD)];
        join_all((0..NODES).map(async |number| {
            let node = nodes.node(number).browser();
            assert_eq!(node.post("/login", &fields).await.status(), 503, "node {number}");
        }))
        .await;
        assert_eq!(nodes.front.browser().open("/login").await.status, StatusCode::OK);
        tokio::task::block_in_place(|| cluster.start_again());
        timeout(Duration::from_secs(20), load.more(VISITORS)).await.expect("by themselves");
        tokio::task::block_in_place(|| cluster.restart());
        let restarted_at = Clock::System.now();
        timeout(Duration::from_secs(20), load.more(VISITORS)).await.expect("once more");
        load.is_over.send_replace(true);
        restarted_at
    };
    let all = join(load.run(&nodes), faults);
    let ((), restarted_at) = timeout(Duration::from_mins(1), all).await.unwrap();
    let failures = load.told().failures.clone();
    assert!(failures.keys().all(|status| *status == 503), "{failures:?}");
    load.assert_holds(&nodes).await;
    let db = nodes.db().await;
    // What went out while its row could not be deleted is deleted later. Claims whose answer was lost
    // with the connection are nobody's.
    let is_deleted = async || {
        let out: HashSet<_> = mailed(&nodes.server.mails()).into_iter().collect();
        waiting(&db).await.iter().all(|id| !out.contains(id))
    };
    timeout(Duration::from_secs(20), until(is_deleted)).await.expect("nothing is left to go twice");
    let held = send_what_was_held(&nodes, &db, restarted_at).await.len();
    load.assert_mailed(&nodes);
    let mails = nodes.server.mails();
    println!(
        "{} accounts, {} mails, {failures:?} failed; {held} claims were lost",
        load.told().accounts.len(),
        mails.len()
    );
    assert_eq!(mailed_twice(&mails), HashSet::new());
    db.close().await;
}
