//! Nobody can find out who has an account: responses are the same to the byte, and so is the work for
//! them (ASVS 6.3.8). `cargo bench --bench timing` measures whether it takes the same time.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use vestibule::accounts::disable_account::disable;
use vestibule::accounts::mail_link::{LINK_LIFE, make_link};
use vestibule::config::{HashCost, Rate, RegistrationMode};
use vestibule::mail::worker::Worker;
use vestibule::models::mail_link::LinkPurpose;
use vestibule::models::user::{User, find_user_by_username};

use crate::support::outbox::mailer;
use crate::support::smtp::FakeSmtp;
use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of};

/// Of equal length, so that only the account differs.
const KNOWN: &str = "zzknown";
const NOBODY: &str = "zznobod";
const ADDRESS: &str = "zzknown@meadow.example";
const NO_ADDRESS: &str = "zznobod@meadow.example";

/// Typed usernames and addresses. Only the first pair is an account.
const CLAIMS: [(&str, &str); 6] = [
    (KNOWN, ADDRESS),
    (NOBODY, NO_ADDRESS),
    (KNOWN, NO_ADDRESS),
    (NOBODY, ADDRESS),
    (" ZzKnown ", "ZZknown@MEADOW.example"),
    (" ZzNobod ", "ZZnobod@MEADOW.example"),
];

/// More than any limit allows here.
const MOST_TRIES: usize = 40;

/// Everything that a response contains.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: StatusCode,
    /// In their order.
    headers: Vec<String>,
    body: String,
}

/// The pages that one person opened, with everything that they returned.
struct Journey {
    browser: Browser,
    typed: Vec<String>,
    seen: Vec<(String, Seen)>,
}

impl Journey {
    fn new(browser: Browser, typed: &[&str]) -> Self {
        let lower = typed.iter().map(|text| text.trim().to_ascii_lowercase());
        let typed = typed.iter().map(|text| text.trim().to_owned()).chain(lower).collect();
        Self { browser, typed, seen: Vec::new() }
    }

    async fn get(&mut self, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = self.browser.send(request).await;
        self.note(format!("GET {path}"), answer).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> StatusCode {
        let answer = self.browser.post(path, fields).await;
        self.note(format!("POST {path}"), answer).await
    }

    /// A form and the page that follows it.
    async fn send(&mut self, path: &str, fields: &[(&str, &str)], then: &str) -> StatusCode {
        let status = self.post(path, fields).await;
        self.get(then).await;
        status
    }

    /// Again and again, until it is too often.
    async fn send_until_refused(&mut self, path: &str, fields: &[(&str, &str)], then: &str) {
        for _ in 0..MOST_TRIES {
            if self.send(path, fields, then).await == StatusCode::TOO_MANY_REQUESTS {
                return;
            }
        }
        panic!("{path} is not limited");
    }

    async fn note(&mut self, step: String, answer: Response<Body>) -> StatusCode {
        self.browser.keep_cookies(answer.headers());
        let status = answer.status();
        let lines = answer.headers().iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let headers = lines.map(|line| self.masked(&without_id(&line))).collect();
        let body = self.masked(&body_of(answer).await);
        self.seen.push((self.masked(&step), Seen { status, headers, body }));
        status
    }

    fn masked(&self, text: &str) -> String {
        let mut longest_first: Vec<&String> = self.typed.iter().collect();
        longest_first.sort_by_key(|typed| std::cmp::Reverse(typed.len()));
        longest_first.into_iter().fold(text.to_owned(), |text, typed| text.replace(typed, "…"))
    }
}

/// The ids of the session and of the request are as long as ever, and else nobody's business.
fn without_id(line: &str) -> String {
    if let Some(id) = line.strip_prefix("x-request-id: ") {
        return format!("x-request-id: {}", "x".repeat(id.len()));
    }
    let Some((name, rest)) = line.split_once("vestibule=") else { return line.to_owned() };
    let (id, attributes) = rest.split_once(';').unwrap_or((rest, ""));
    format!("{name}vestibule={};{attributes}", "x".repeat(id.len()))
}

fn assert_alike(journeys: &[Journey]) {
    for journey in &journeys[1..] {
        assert_eq!(journey.seen.len(), journeys[0].seen.len(), "{:?}", journey.typed);
        for (number, (seen, known)) in journey.seen.iter().zip(&journeys[0].seen).enumerate() {
            assert_eq!(seen, known, "step {number} of {:?}", journey.typed);
        }
    }
}

/// Asks, guesses in every journey, asks again early and late, and goes on until nothing more is taken.
async fn recover(site: &Site, journey: &mut Journey, (name, email): (&str, &str)) {
    let claim = [("username", name), ("email", email)];
    let guess = |code| reset_fields(code, OTHER_PASSWORD);
    assert_eq!(journey.send("/forgot", &claim, "/reset").await, StatusCode::SEE_OTHER);
    journey.get("/forgot").await;
    journey.post("/reset", &guess("not a code")).await;
    journey.post("/reset", &reset_fields("CCCC-CCCC", "short")).await;
    for _ in 0..6 {
        journey.send("/reset", &guess("CCCC-CCCC"), "/reset").await;
    }
    for seconds in [0, 0, 29, 1, 0, 60] {
        site.wait(seconds);
        journey.send("/reset/resend", &[], "/reset").await;
    }
    journey.post("/reset", &guess("CCCC-CCCC")).await;
    site.wait(600);
    journey.send("/reset", &guess("CCCC-CCCC"), "/reset").await;
    journey.send("/forgot", &claim, "/reset").await;
    for _ in 0..MOST_TRIES {
        if journey.post("/reset", &guess("CCCC-CCCC")).await == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        journey.send("/reset/resend", &[], "/reset").await;
        site.wait(180);
    }
    for path in ["/reset", "/forgot", "/login", "/account", "/"] {
        journey.get(path).await;
    }
    journey.send_until_refused("/forgot", &claim, "/reset").await;
    journey.send("/reset/resend", &[], "/reset").await;
}

/// Registers, guesses, asks for other codes early and late, and goes on until nothing more is taken.
async fn register(site: &Site, journey: &mut Journey, (name, email): (&str, &str)) {
    let (registration, confirm) = (registration(name, email), "/register/confirm?next=/account");
    let weak = [("username", name), ("email", email), ("password", name), ("password_confirm", "")];
    journey.post("/register", &weak).await;
    assert_eq!(journey.send("/register", &registration, confirm).await, StatusCode::SEE_OTHER);
    journey.send("/register", &registration, confirm).await;
    for code in ["", "not a code", "CCCC-CCCC", "CCCC-CCCC"] {
        journey.post("/register/confirm", &[("code", code), ("username", "another")]).await;
    }
    for seconds in [0, 0, 29, 1, 0, 60] {
        site.wait(seconds);
        journey.send("/register/resend?next=/account", &[], confirm).await;
    }
    site.wait(600);
    journey.send("/register/confirm", &[("code", "CCCC-CCCC")], confirm).await;
    for _ in 0..MOST_TRIES {
        let guessed = journey.post("/register/confirm", &[("code", "CCCC-CCCC")]).await;
        if guessed == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        site.wait(600);
        journey.send("/register/resend", &[], confirm).await;
    }
    for path in ["/register", "/login", "/account", "/"] {
        journey.get(path).await;
    }
    journey.send_until_refused("/register", &registration, confirm).await;
    journey.send("/register/resend", &[], confirm).await;
}

fn registration<'a>(name: &'a str, email: &'a str) -> [(&'a str, &'a str); 5] {
    let new = OTHER_PASSWORD;
    let [username, email] = [("username", name), ("email", email)];
    [username, email, ("password", new), ("password_confirm", new), ("next", "/account")]
}

fn reset_fields<'a>(code: &'a str, password: &'a str) -> [(&'a str, &'a str); 3] {
    [("code", code), ("password", password), ("password_confirm", password)]
}

/// Everybody comes from one address here.
async fn without_address_limits(site: &Site) -> Browser {
    site.changed(|config| {
        let limits = &mut config.limits;
        (limits.forgot_ip, limits.login_ip) = (None, None);
        limits.forgot_account = Some(Rate { count: 25, period: 24 * 60 * 60 });
        limits.mail_address = Some(Rate { count: 90, period: 24 * 60 * 60 });
    })
    .await
}

on_both_databases! {
    async fn resetting_a_password_shows_the_same_whether_there_is_an_account(site: Site) {
        site.registered(KNOWN).await;
        let fresh = without_address_limits(&site).await;
        let mut journeys = Vec::new();
        for claim in CLAIMS {
            site.wait(2 * 24 * 60 * 60);
            let mut journey = Journey::new(fresh.tab(), &[claim.0, claim.1]);
            recover(&site, &mut journey, claim).await;
            journeys.push(journey);
        }
        assert_alike(&journeys);
        assert!(journeys[0].seen.len() > 60, "{}", journeys[0].seen.len());
    }

    async fn logging_in_with_a_code_shows_the_same_whether_there_is_an_account(site: Site) {
        site.registered(KNOWN).await;
        for logins in [
            [KNOWN, NOBODY, " ZzKnown", " ZzNobod"],
            [ADDRESS, NO_ADDRESS, "ZZknown@MEADOW.example ", "ZZnobod@MEADOW.example "],
        ] {
            let mut journeys = Vec::new();
            for login in logins {
                site.wait(2 * 24 * 60 * 60);
                let fresh = site.changed(|config| {
                    config.login_code = true;
                    config.limits.forgot_ip = None;
                }).await;
                let mut journey = Journey::new(fresh, &[login]);
                let claim = [("username", login), ("next", "/account")];
                let confirm = "/login/code/confirm?next=/account";
                assert_eq!(journey.send("/login/code", &claim, confirm).await, StatusCode::SEE_OTHER);
                for code in ["not a code", "CCCC-CCCC", "CCCC-CCCC", "CCCC-CCCC"] {
                    journey.send("/login/code/confirm", &[("code", code)], confirm).await;
                }
                for seconds in [0, 0, 29, 1] {
                    site.wait(seconds);
                    journey.send("/login/code/resend", &[], confirm).await;
                }
                journey.send_until_refused("/login/code/confirm", &[("code", "CCCC-CCCC")], confirm).await;
                site.wait(600);
                journey.get(confirm).await;
                journey.send_until_refused("/login/code", &claim, confirm).await;
                journeys.push(journey);
            }
            assert_alike(&journeys);
        }
    }

    async fn registering_shows_the_same_whether_the_address_or_the_username_has_an_account(site: Site) {
        site.registered(KNOWN).await;
        let mut journeys = Vec::new();
        for (name, email) in CLAIMS {
            site.wait(2 * 24 * 60 * 60);
            let fresh = site.changed(|config| {
                config.registration.mode = RegistrationMode::Verified;
                config.limits.forgot_ip = None;
                config.limits.register_ip = Some(Rate { count: 20, period: 24 * 60 * 60 });
            }).await;
            let mut journey = Journey::new(fresh, &[name, email]);
            register(&site, &mut journey, (name, email)).await;
            journeys.push(journey);
        }
        assert_alike(&journeys);
        assert!(journeys[0].seen.len() > 60, "{}", journeys[0].seen.len());
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
    }

    async fn links_that_do_not_work_show_the_same_whatever_became_of_them(site: Site) {
        site.registered(KNOWN).await;
        let user = find_user_by_username(site.db().reader(), KNOWN).await.unwrap().unwrap();
        for (purpose, other, path) in [
            (LinkPurpose::NotMe, LinkPurpose::Unlock, "/not-me"),
            (LinkPurpose::Unlock, LinkPurpose::NotMe, "/unlock"),
        ] {
            let expired = link(&site, purpose, Some(&user)).await;
            site.wait(LINK_LIFE);
            let used = link(&site, purpose, Some(&user)).await;
            let answer = site.browser().post(&format!("{path}/{used}"), &[]).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            let another = link(&site, other, Some(&user)).await;
            let nobodys = link(&site, purpose, None).await;
            let (mut journeys, mut works) = (Vec::new(), Vec::new());
            for token in ["A".repeat(22), expired, used, another, nobodys.clone()] {
                let address = format!("{path}/{token}");
                let mut journey = Journey::new(site.browser(), &[&token]);
                let ((), work) = work_of(async {
                    journey.get(&address).await;
                    assert_eq!(journey.post(&address, &[]).await, StatusCode::NOT_FOUND);
                }).await;
                journey.get(&address).await;
                journeys.push(journey);
                works.extend((token != nobodys).then_some(work));
            }
            assert_alike(&journeys);
            // Nobody can have a link that was made for nobody: it is in no email.
            assert_eq!(works.len(), 4);
            assert!(works[0].iter().any(|line| line.contains("vestibule_mail_links")), "{:#?}", works[0]);
            works.dedup();
            assert_eq!(works.len(), 1, "{works:#?}");
        }
    }

    async fn failed_logins_show_the_same_whether_there_is_an_account(site: Site) {
        site.registered(KNOWN).await;
        let fresh = without_address_limits(&site).await;
        for logins in [
            [KNOWN, NOBODY, " ZzKnown", " ZzNobod"],
            [ADDRESS, NO_ADDRESS, "ZZknown@MEADOW.example ", "ZZnobod@MEADOW.example "],
        ] {
            let mut journeys = Vec::new();
            for login in logins {
                site.wait(24 * 60 * 60);
                let mut journey = Journey::new(fresh.tab(), &[login]);
                let fields = [("username", login), ("password", "not the one"), ("next", "/account")];
                journey.send_until_refused("/login", &fields, "/login").await;
                journey.post("/login", &[("username", login), ("password", "")]).await;
                journeys.push(journey);
            }
            assert_alike(&journeys);
            assert_eq!(journeys[0].seen.len(), 23, "eleven tries, each with the page after it");
        }
    }

    async fn a_disabled_account_shows_and_costs_the_same_as_none(site: Site) {
        site.registered(KNOWN).await;
        let user = find_user_by_username(site.db().reader(), KNOWN).await.unwrap().unwrap();
        disable(&site.app, &user).await.unwrap();
        let fresh = without_address_limits(&site).await;
        let (mut journeys, mut works) = (Vec::new(), Vec::new());
        for claim in [CLAIMS[0], CLAIMS[1]] {
            site.wait(2 * 24 * 60 * 60);
            let mut journey = Journey::new(fresh.tab(), &[claim.0, claim.1]);
            recover(&site, &mut journey, claim).await;
            let fields = [("username", claim.0), ("password", PASSWORD), ("next", "/account")];
            journey.send_until_refused("/login", &fields, "/login").await;
            journeys.push(journey);
            site.wait(2 * 24 * 60 * 60);
            let browser = site.changed(|config| {
                config.login_code = true;
                config.registration.mode = RegistrationMode::Verified;
                config.limits.forgot_ip = None;
            }).await;
            let fields = [("username", claim.0), ("password", PASSWORD)];
            let mut work = work_for(&browser, claim.0, claim.1).await;
            work.push(("right password", work_of(browser.post("/login", &fields)).await.1));
            works.push(work);
        }
        assert_alike(&journeys);
        assert_eq!(works[0], works[1]);
        assert_eq!(site.mails_to(KNOWN).await, ["registered", "register_code", "register_code"]);
    }

    async fn the_same_statements_and_hashes_are_run_whether_there_is_an_account(site: Site) {
        site.registered(KNOWN).await;
        let mut works = Vec::new();
        for (name, email) in &CLAIMS[..4] {
            site.wait(24 * 60 * 60);
            let browser = site.changed(|config| {
                config.login_code = true;
                config.registration.mode = RegistrationMode::Verified;
                config.limits.forgot_ip = None;
            }).await;
            works.push(work_for(&browser, name, email).await);
        }
        for (number, (name, email)) in CLAIMS[..4].iter().enumerate() {
            for (step, known) in &works[0] {
                let (_, work) = works[number].iter().find(|(other, _)| other == step).unwrap();
                assert_eq!(work, known, "{step} of {name} {email}");
            }
        }
        let count = |of: &str, what: &str| {
            let (_, work) = works[0].iter().find(|(step, _)| of == *step).unwrap();
            work.iter().filter(|line| line.starts_with(what)).count()
        };
        assert_eq!(count("login", "hashed"), 1);
        assert_eq!(count("login by address", "hashed"), 1);
        assert_eq!(count("forgot", "insert into vestibule_outbox"), 1);
        assert_eq!(count("forgot", "committed"), 2, "what it counts, and the code with its mail");
        assert_eq!(count("resend", "insert into vestibule_outbox"), 1);
        assert_eq!(count("guess", "update vestibule_one_time_codes"), 1);
        assert_eq!(count("register", "hashed"), 1);
        assert_eq!(count("register", "insert into vestibule_registrations"), 1);
        assert_eq!(count("register", "insert into vestibule_outbox"), 1);
        assert_eq!(count("resend the registration's code", "insert into vestibule_outbox"), 1);
        assert_eq!(count("guess at the registration's code", "update vestibule_one_time_codes"), 1);
    }

    async fn a_weaker_stored_hash_costs_a_wrong_password_as_much_as_no_account(site: Site) {
        site.registered(KNOWN).await;
        let cost = HashCost { memory_kib: 128, iterations: 2, threads: 1, queue: 9 };
        let browser = site.changed(|config| config.hash = cost).await;
        for login in [KNOWN, NOBODY] {
            let fields = [("username", login), ("password", "not the one")];
            let (_, work) = work_of(browser.post("/login", &fields)).await;
            let numbers = |line: &str| line.split(' ').filter_map(|word| word.parse::<u32>().ok()).product::<u32>();
            let hashed: u32 = work.iter().filter(|line| line.starts_with("hashed")).map(|line| numbers(line)).sum();
            assert_eq!(hashed, 128 * 2, "{login}: {work:#?}");
        }
    }

    async fn the_mail_worker_does_the_same_for_a_decoy(site: Site) {
        site.registered(KNOWN).await;
        let server = FakeSmtp::start().await;
        let app = &site.app;
        let mailer = mailer(&server.url());
        let mut worker = Worker::new(app.db.clone(), app.outbox.clone(), mailer);
        worker.deliver_due().await.unwrap();
        let mut works = Vec::new();
        for (name, email) in &CLAIMS[..4] {
            site.wait(1);
            site.browser().ask_for_code(name, email).await;
            works.push(work_of(worker.deliver_due()).await.1);
        }
        for (work, claim) in works.iter().zip(CLAIMS) {
            assert_eq!(*work, works[0], "{claim:?}");
        }
        assert!(works[0].iter().any(|line| line.contains("update vestibule_outbox")), "{:#?}", works[0]);
        assert_eq!(site.count("select count(*) from vestibule_outbox").await, 0);
        assert_eq!(server.mails_to(ADDRESS).len(), 2, "the registration's and one code");
        assert_eq!(server.mails_to(NO_ADDRESS).len(), 0);
    }
}

/// The work of each kind of request, in the order in which one person makes them.
async fn work_for(browser: &Browser, name: &str, email: &str) -> Vec<(&'static str, Vec<String>)> {
    let claim = [("username", name), ("email", email)];
    let guess = reset_fields("CCCC-CCCC", OTHER_PASSWORD);
    let login = |typed| [("username", typed), ("password", "not the one")];
    let registration = registration(name, email);
    let mut browser = browser.tab();
    let mut works = Vec::new();
    for (step, path, fields) in [
        ("login", "/login", &login(name)[..]),
        ("login by address", "/login", &login(email)),
        ("forgot", "/forgot", &claim),
        ("guess", "/reset", &guess),
        ("resend", "/reset/resend", &[]),
        ("early resend", "/reset/resend", &[]),
        ("guess at the second code", "/reset", &guess),
        ("forgot again", "/forgot", &claim),
        ("login code", "/login/code", &[("username", name)]),
        ("guess at the login code", "/login/code/confirm", &[("code", "CCCC-CCCC")]),
        ("login code resend", "/login/code/resend", &[]),
        ("login code by address", "/login/code", &[("username", email)]),
        ("guess at the reset beside the login", "/reset", &guess),
        ("guess at the login beside the reset", "/login/code/confirm", &[("code", "DDDD-DDDD")]),
        ("register", "/register", &registration),
        ("guess at the registration's code", "/register/confirm", &[("code", "CCCC-CCCC")]),
        ("resend the registration's code", "/register/resend", &[]),
        ("register again", "/register", &registration),
    ] {
        let (answer, work) = work_of(browser.post(path, fields)).await;
        assert!(!work.is_empty(), "{step}");
        browser.keep_cookies(answer.headers());
        works.push((step, work));
    }
    for path in
        ["/login", "/login/code", "/login/code/confirm", "/forgot", "/reset", "/register/confirm"]
    {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (answer, work) = work_of(browser.send(request)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        browser.keep_cookies(answer.headers());
        works.push((path, work));
    }
    works
}

/// The token of a new link.
async fn link(site: &Site, purpose: LinkPurpose, user: Option<&User>) -> String {
    let mut tx = site.db().begin().await.unwrap();
    let token = make_link(&site.app, &mut tx, purpose, user, ADDRESS).await.unwrap();
    tx.commit().await.unwrap();
    token
}
