//! The event log: each event is a line with the account and the request, without secrets, and no line
//! can be forged.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::{Extension, Router};
use serde_json::{Value, json};
use vestibule::Config;
use vestibule::config::{LogFormat, Rate};
use vestibule::event::Event;
use vestibule::models::outbox::Email;
use vestibule::models::user::find_user_by_username;

use crate::support::apps::{self, AppLogin, WIKI};
use crate::support::log::Log;
use crate::support::outbox::{DAY, START, TestDatabase, TestOutbox, code, email};
use crate::support::program::Folder;
use crate::support::smtp::FakeSmtp;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of, form_request};

const NAME: &str = "wilhelmina";
const PEER: &str = "203.0.113.9";

/// The fields of every event.
const ON_EVERY_LINE: [&str; 4] = ["timestamp", "level", "target", "event"];

/// A browser at [`PEER`].
fn at_peer(router: Router) -> Browser {
    let peer: SocketAddr = format!("{PEER}:4711").parse().unwrap();
    Browser::new(router.layer(Extension(ConnectInfo(peer))))
}

async fn with(site: &Site, change: impl FnOnce(&mut Config)) -> Browser {
    at_peer(vestibule::site(&site.app_with(change).await))
}

/// Checks the common fields of a line and returns the others.
fn own_fields(line: &Value) -> Value {
    let fields = line.as_object().unwrap();
    assert!(fields["timestamp"].as_str().unwrap().ends_with('Z'), "not UTC: {line}");
    assert_eq!(fields["target"], "vestibule", "{line}");
    let event = Event::ALL.iter().find(|(name, ..)| *name == fields["event"]);
    let (_, _, documented) = event.expect("an event");
    let mut own = serde_json::Map::from_iter([("event".to_owned(), fields["event"].clone())]);
    for (name, value) in fields {
        assert!(!value.is_object() && !value.is_array(), "not flat: {line}");
        if documented.contains(&name.as_str()) {
            own.insert(name.clone(), value.clone());
        } else {
            let is_known =
                ON_EVERY_LINE.contains(&&**name) || ["request", "peer", "actor"].contains(&&**name);
            assert!(is_known, "{name} is not documented: {line}");
        }
    }
    Value::Object(own)
}

/// A visit, its log, and every secret in it.
struct Visit {
    site: Site,
    log: Log,
    secrets: Vec<String>,
}

impl Visit {
    async fn new() -> Self {
        let log = Log::start(LogFormat::Json);
        let secrets = [PASSWORD, OTHER_PASSWORD, "not the password", "meadow.example", NAME];
        let secrets = secrets.map(str::to_owned).to_vec();
        Self { site: Site::on_sqlite().await, log, secrets }
    }

    fn browser(&self) -> Browser {
        at_peer(self.site.router.clone())
    }

    /// Sends a request and returns its events. Checks that each names the request and the peer.
    async fn send(&mut self, browser: &mut Browser, request: Request<Body>) -> Vec<Value> {
        let from = self.log.lines();
        let answer = browser.send(request).await;
        browser.keep_cookies(answer.headers());
        for name in ["vestibule", "vestibule-device"] {
            self.secrets.extend(browser.cookie(name).cloned());
        }
        let id = request_id(&answer);
        let lines = self.log.events(from);
        for line in &lines {
            assert_eq!(
                (line["request"].as_str(), line["peer"].as_str()),
                (Some(&*id), Some(PEER)),
                "{line}"
            );
        }
        lines.iter().map(own_fields).collect()
    }

    async fn post(
        &mut self,
        browser: &mut Browser,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Vec<Value> {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(browser, form_request(path, body)).await
    }

    async fn get(&mut self, browser: &mut Browser, path: &str) -> Vec<Value> {
        self.send(browser, Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn log_in(&mut self, browser: &mut Browser, name: &str, password: &str) -> Vec<Value> {
        self.post(browser, "/login", &[("username", name), ("password", password)]).await
    }

    async fn ask(&mut self, browser: &mut Browser, name: &str) -> Vec<Value> {
        self.site.wait(1);
        let events =
            self.post(browser, "/forgot", &[("username", name), ("email", &email_of(name))]).await;
        self.keep_code().await;
        events
    }

    async fn keep_code(&mut self) -> String {
        let code = self.site.newest_code().await;
        self.secrets.extend([code.clone(), code.replace('-', "")]);
        code
    }

    async fn guess(&mut self, browser: &mut Browser, code: &str) -> Vec<Value> {
        let fields =
            [("code", code), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        self.post(browser, "/reset", &fields).await
    }

    fn holds_no_secret(&self) {
        let text = self.log.text();
        for secret in &self.secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in the log: {text}");
        }
    }
}

fn request_id(answer: &Response<Body>) -> String {
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

async fn id_of(site: &Site, name: &str) -> String {
    find_user_by_username(site.db().reader(), name).await.unwrap().unwrap().id
}

fn new_account<'a>(name: &'a str, email: &'a str) -> [(&'a str, &'a str); 4] {
    [("username", name), ("email", email), ("password", PASSWORD), ("password_confirm", PASSWORD)]
}

#[tokio::test]
async fn registering_and_logging_in_and_out_is_logged_with_account_peer_and_request() {
    let mut visit = Visit::new().await;
    let (mut here, mut there) = (visit.browser(), visit.browser());
    let email = email_of(NAME);
    let registered = visit.post(&mut here, "/register", &new_account(NAME, &email)).await;
    let account = id_of(&visit.site, NAME).await;
    assert_eq!(registered, [json!({"event": "registered", "account": account})]);
    assert_eq!(
        visit.post(&mut there, "/register", &new_account(NAME, "other@meadow.example")).await,
        [json!({"event": "register_refused", "reason": "taken"})]
    );
    assert_eq!(
        visit.log_in(&mut there, NAME, "not the password").await,
        [json!({"event": "login_refused", "account": account})]
    );
    assert_eq!(
        visit.log_in(&mut there, "not the password", "x").await,
        [json!({"event": "login_refused"})],
        "a password typed as the username is not logged"
    );
    assert_eq!(
        visit.log_in(&mut there, &email, PASSWORD).await,
        [
            json!({"event": "device_new", "account": account}),
            json!({"event": "login", "account": account})
        ]
    );
    assert_eq!(
        visit.post(&mut there, "/logout", &[]).await,
        [json!({"event": "session_ended", "account": account, "reason": "logout", "sessions": 1})]
    );
    assert_eq!(visit.post(&mut there, "/logout", &[]).await, [] as [Value; 0]);
    assert_eq!(
        visit.log_in(&mut there, NAME, PASSWORD).await,
        [json!({"event": "login", "account": account})],
        "the browser is known"
    );
    assert_eq!(visit.get(&mut here, "/account").await, [] as [Value; 0]);
    assert_eq!(
        visit.get(&mut visit.browser(), "/account/password").await,
        [json!({"event": "access_refused", "path": "/account/password"})]
    );
    visit.holds_no_secret();
}

#[tokio::test]
async fn ending_sessions_forgetting_devices_and_downloading_data_is_logged() {
    let mut visit = Visit::new().await;
    let (mut here, mut there) = (visit.browser(), visit.browser());
    visit.post(&mut here, "/register", &new_account(NAME, &email_of(NAME))).await;
    let account = id_of(&visit.site, NAME).await;
    for field in ["session", "others"] {
        visit.log_in(&mut there, NAME, PASSWORD).await;
        here.open("/account/sessions").await;
        let value = here.attribute(&format!("main input[name={field}]"), "value").unwrap();
        assert_eq!(
            visit.post(&mut here, "/account/sessions/revoke", &[(field, &value)]).await,
            [
                json!({"event": "session_ended", "account": account, "reason": "ended_by_user", "sessions": 1})
            ]
        );
    }
    here.open("/account/sessions").await;
    let device = here.attribute("main input[name=device]", "value").unwrap();
    assert_eq!(
        visit.post(&mut here, "/account/sessions/revoke", &[("device", &device)]).await,
        [json!({"event": "device_forgotten", "account": account})]
    );
    assert_eq!(
        visit.post(&mut here, "/account/export", &[]).await,
        [json!({"event": "data_exported", "account": account})]
    );
    visit.holds_no_secret();
}

#[tokio::test]
async fn changing_the_password_is_logged_with_the_sessions_that_it_ended() {
    let mut visit = Visit::new().await;
    let (mut here, mut there) = (visit.browser(), visit.browser());
    visit.post(&mut here, "/register", &new_account(NAME, &email_of(NAME))).await;
    let account = id_of(&visit.site, NAME).await;
    visit.log_in(&mut there, NAME, PASSWORD).await;
    let fields = |current| {
        [
            ("current_password", current),
            ("password", OTHER_PASSWORD),
            ("password_confirm", OTHER_PASSWORD),
        ]
    };
    assert_eq!(
        visit.post(&mut here, "/account/password", &fields("not the password")).await,
        [json!({"event": "current_password_refused", "account": account})]
    );
    assert_eq!(
        visit.post(&mut here, "/account/password", &fields(PASSWORD)).await,
        [
            json!({"event": "password_changed", "account": account}),
            json!({"event": "session_ended", "account": account, "reason": "password_change", "sessions": 2}),
        ]
    );
    assert_eq!(
        visit.post(&mut there, "/account/password", &fields(PASSWORD)).await,
        [json!({"event": "access_refused", "path": "/account/password"})]
    );
    visit.holds_no_secret();
}

#[tokio::test]
async fn a_code_is_logged_when_requested_resent_refused_and_used() {
    let mut visit = Visit::new().await;
    let (mut here, mut there) = (visit.browser(), visit.browser());
    visit.post(&mut here, "/register", &new_account(NAME, &email_of(NAME))).await;
    let account = id_of(&visit.site, NAME).await;
    let refused = |reason| json!({"event": "code_refused", "account": account, "purpose": "password_reset", "reason": reason});
    let dead =
        |reason| json!({"event": "code_refused", "purpose": "password_reset", "reason": reason});
    assert_eq!(
        visit.ask(&mut there, NAME).await,
        [json!({"event": "code_asked", "account": account, "purpose": "password_reset"})]
    );
    let first = visit.keep_code().await;
    visit.site.wait(1);
    assert_eq!(
        visit.post(&mut there, "/reset/resend", &[]).await,
        [json!({"event": "code_resent", "account": account, "purpose": "password_reset"})]
    );
    for _ in 0..5 {
        assert_eq!(visit.guess(&mut there, &first).await, [refused("wrong")]);
    }
    assert_eq!(visit.guess(&mut there, &first).await, [dead("too_many")]);
    visit.ask(&mut there, NAME).await;
    visit.site.wait(601);
    assert_eq!(visit.guess(&mut there, &first).await, [dead("expired")]);
    visit.ask(&mut there, NAME).await;
    let code = visit.keep_code().await;
    let mut second_tab = there.tab();
    assert_eq!(
        visit.guess(&mut there, &code).await,
        [
            json!({"event": "password_reset", "account": account}),
            json!({"event": "session_ended", "account": account, "reason": "reset", "sessions": 1}),
        ]
    );
    assert_eq!(visit.guess(&mut second_tab, &code).await, [] as [Value; 0], "its session is over");
    let nobody = [("username", "nobody"), ("email", "wilhelmina@meadow.example")];
    assert_eq!(
        visit.post(&mut there, "/forgot", &nobody).await,
        [json!({"event": "code_asked", "purpose": "password_reset"})]
    );
    visit.holds_no_secret();
}

#[tokio::test]
async fn what_is_refused_is_logged_with_the_rule_that_refused_it() {
    let mut visit = Visit::new().await;
    let mut strict = with(&visit.site, |config| {
        config.limits.login_ip = Some(Rate { count: 1, period: 900 });
    })
    .await;
    visit.log_in(&mut strict, NAME, "not the password").await;
    assert_eq!(
        visit.log_in(&mut strict, NAME, "not the password").await,
        [json!({"event": "limited", "limit": "login_ip", "retry_after": 900})]
    );
    let mut there = visit.browser();
    visit.post(&mut there, "/register", &new_account(NAME, &email_of(NAME))).await;
    let account = id_of(&visit.site, NAME).await;
    visit.site.wait(900);
    let mut stern = with(&visit.site, |config| {
        config.limits.login_account = Some(Rate { count: 1, period: 900 });
    })
    .await;
    visit.log_in(&mut stern, NAME, "not the password").await;
    assert_eq!(
        visit.log_in(&mut stern, NAME, "not the password").await,
        [
            json!({"event": "limited", "account": account, "limit": "login_account", "retry_after": 900})
        ]
    );
    let small = with(&visit.site, |config| {
        config.limits.mail_site = Some(Rate { count: 12, period: 900 });
    })
    .await;
    let mut events = Vec::new();
    for number in 0..4 {
        let (name, email) = (format!("name{number}"), format!("name{number}@meadow.example"));
        events.extend(visit.post(&mut small.tab(), "/register", &new_account(&name, &email)).await);
    }
    let reached = json!({"event": "mail_limit_reached", "limit": "mail_site", "retry_after": 900});
    assert_eq!(events.iter().filter(|event| **event == reached).count(), 1, "{events:?}");
    let mut here = visit.browser();
    let from_elsewhere = Request::post("/login").header("origin", "https://evil.example:444/x?y");
    assert_eq!(
        visit.send(&mut here, from_elsewhere.body(Body::empty()).unwrap()).await,
        [json!({"event": "cross_site_refused", "origin": "https://evil.example:444"})]
    );
    let from_nowhere = Request::post("/login").body(Body::empty()).unwrap();
    assert_eq!(visit.send(&mut here, from_nowhere).await, [json!({"event": "cross_site_refused"})]);
    let refused = |reason, status| json!({"event": "request_refused", "path": "/login", "reason": reason, "status": status});
    let large = form_request("/login", "a".repeat(64 * 1024 + 1));
    assert_eq!(visit.send(&mut here, large).await, [refused("too_large", 413)]);
    let twice = form_request("/login", "username=a&username=b".to_owned());
    assert_eq!(visit.send(&mut here, twice).await, [refused("unreadable", 422)]);
    let mut json = form_request("/login", "{}".to_owned());
    json.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    assert_eq!(visit.send(&mut here, json).await, [refused("not_a_form", 415)]);
    let rebound = Request::get("/dev/mailbox").header("host", "evil.example:8000");
    assert_eq!(
        visit.send(&mut here, rebound.body(Body::empty()).unwrap()).await,
        [json!({"event": "host_refused"})]
    );
    let forwarded = Request::get("/dev/mailbox").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(
        visit.send(&mut here, forwarded.body(Body::empty()).unwrap()).await,
        [json!({"event": "mailbox_refused"})]
    );
    assert_eq!(visit.get(&mut here, "/nowhere").await, [] as [Value; 0]);
    visit.holds_no_secret();
}

#[tokio::test]
async fn a_failure_is_logged_under_the_reference_shown_to_the_visitor() {
    let mut visit = Visit::new().await;
    let mut here = visit.browser();
    visit.post(&mut here, "/register", &new_account(NAME, &email_of(NAME))).await;
    visit.site.db().close().await;
    here.open("/account").await;
    let shown = here.all_text("main code").concat();
    assert_eq!(here.headers["x-request-id"], shown);
    let lines = visit.log.events(1);
    let failed = lines.iter().find(|line| line["event"] == "request_failed").unwrap();
    assert_eq!(failed["request"], shown);
    let failed = own_fields(failed);
    assert_eq!((&failed["status"], &failed["path"]), (&json!(503), &json!("/account")));
    assert!(!failed["cause"].as_str().unwrap().is_empty());
    visit.holds_no_secret();
}

/// Texts that try to start a line, an object or a colour.
const FORGED: [&str; 6] = [
    "x\r\n2026-11-22T18:00:00Z  INFO vestibule: event=\"forged\"",
    "x\n{\"event\":\"forged\"}",
    "forged\",\"event\":\"forged",
    "\u{1b}[31mforged\u{1b}[0m\u{9b}2J",
    "forged\u{2028}forged\u{202e}\u{85}\u{b}\u{c}\u{0}\u{7f}",
    "forged%0d%0aforged%1b%5b2J",
];

/// `text` without the bytes that a header cannot contain.
fn header(text: &str) -> HeaderValue {
    let bytes: Vec<u8> = text.bytes().filter(|byte| *byte >= 32 && *byte != 127).collect();
    HeaderValue::from_bytes(&bytes).unwrap()
}

/// Sends `text` in every field of every form and in every header. Returns the number of requests.
async fn forge(site: &Site, text: &str) -> usize {
    let mut browser =
        with(site, |config| config.trusted_proxies = vec!["203.0.113.9/32".parse().unwrap()]).await;
    browser.register("bobby", "bobby@meadow.example", PASSWORD).await;
    browser.post("/forgot", &[("username", "bobby"), ("email", "bobby@meadow.example")]).await;
    let names = [
        "username",
        "email",
        "password",
        "password_confirm",
        "current_password",
        "code",
        "next",
        "remember",
    ];
    let fields = names.map(|name| (name, text));
    let path_text = url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let headers = [
        "user-agent",
        "x-forwarded-for",
        "referer",
        "x-request-id",
        "cookie",
        "accept-encoding",
        "x-forwarded-proto",
    ];
    let mut sent = 0;
    for path in [
        "/login",
        "/register",
        "/forgot",
        "/reset",
        "/account/password",
        "/dev/mailbox",
        "/nowhere",
    ] {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        for target in
            [path.to_owned(), format!("{path}?next={path_text}"), format!("{path}/{path_text}")]
        {
            for ours in [true, false] {
                let mut request = form_request(&target, body.clone());
                for name in headers {
                    request.headers_mut().insert(name, header(text));
                }
                if !ours {
                    request.headers_mut().insert("origin", header(text));
                    request.headers_mut().insert("host", header(text));
                }
                let (parts, body) = request.into_parts();
                let mut get = Request::get(&target).body(Body::empty()).unwrap();
                *get.headers_mut() = parts.headers.clone();
                for request in [Request::from_parts(parts, body), get] {
                    let answer = browser.send(request).await;
                    assert!(!answer.status().is_server_error());
                    sent += 1;
                }
            }
        }
    }
    sent
}

#[tokio::test]
async fn nothing_that_is_sent_can_forge_a_line_of_json() {
    for text in FORGED {
        let log = Log::start(LogFormat::Json);
        let site = Site::on_sqlite().await;
        assert!(forge(&site, text).await > 50);
        let lines = log.events(0);
        assert!(lines.len() > 15, "{}", lines.len());
        for line in lines {
            own_fields(&line);
        }
        assert!(!log.text().contains("forged"), "{}", log.text());
    }
}

#[tokio::test]
async fn nothing_that_is_sent_can_forge_a_line_of_text() {
    for text in FORGED {
        let log = Log::start(LogFormat::Text);
        let site = Site::on_sqlite().await;
        forge(&site, text).await;
        assert!(log.lines() > 15);
        for line in log.text().lines() {
            assert!(line.contains(" vestibule: event=\""), "{line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(!line.contains("forged"), "{line:?}");
        }
    }
}

#[test]
fn texts_of_other_programs_stay_on_their_line() {
    for text in FORGED {
        for format in [LogFormat::Json, LogFormat::Text] {
            let log = Log::start(format);
            let origin = text.to_owned() + &"x".repeat(1000);
            Event::Fault { reason: "a_reason", cause: &text }.write();
            Event::CrossSiteRefused { origin: Some(&origin) }.write();
            assert_eq!(log.lines(), 2, "{}", log.text());
            for line in log.text().lines() {
                assert!(!line.contains(char::is_control), "{line:?}");
                assert!(line.len() < 1000, "{line:?}");
            }
            if format == LogFormat::Json {
                let fields = own_fields(&log.events(0)[0]);
                assert_eq!(fields["event"], "fault");
                let cause = fields["cause"].as_str().unwrap();
                assert!(
                    !cause.contains(char::is_control),
                    "a host program may log it as it is: {cause:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_request_id_is_accepted_from_a_trusted_proxy_only_and_only_when_plain() {
    let site = Site::on_sqlite().await;
    let own = at_peer(site.router.clone());
    let trusting = with(&site, |config| {
        config.trusted_proxies = vec!["203.0.113.0/24".parse().unwrap()];
    })
    .await;
    let long = "a".repeat(65);
    let plain = ["7f9c-AB", "a", &long[..64]];
    let other = ["", "a b", "a\"b", "a_b", "a,b", "\u{e9}", &long];
    let answered = async |browser: &Browser, id: &str| {
        let request = Request::get("/login").header("x-request-id", header(id));
        request_id(&browser.send(request.body(Body::empty()).unwrap()).await)
    };
    for id in plain {
        assert_eq!(answered(&trusting, id).await, id);
        assert_ne!(answered(&own, id).await, id, "no proxy is trusted");
    }
    for id in other {
        assert_eq!(answered(&trusting, id).await.len(), 26, "{id}");
    }
    assert_ne!(answered(&own, "").await, answered(&own, "").await);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let site = Site::on_sqlite().await;
    let browser = site.browser();
    for path in ["/", "/login", "/nowhere", "/healthz", "/favicon.ico", "/account", "/reset/resend"]
    {
        let answer = browser.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(request_id(&answer).len(), 26, "{path}");
    }
}

#[tokio::test]
async fn each_delivery_of_mail_is_logged_with_a_masked_address() {
    let server = FakeSmtp::start().await;
    let log = Log::start(LogFormat::Json);
    server.refuse("no@example.com", "550 5.1.1 <no@example.com> unknown");
    let mut outbox = TestOutbox::open(TestDatabase::sqlite(), &server.url()).await;
    let mut seen = async |put: Vec<Email>, wait: i64| {
        for email in &put {
            outbox.put(email).await;
        }
        outbox.clock.advance(wait);
        let from = log.lines();
        outbox.deliver().await;
        log.events(from).iter().map(own_fields).collect::<Vec<_>>()
    };
    let sent = seen(vec![email("wilhelmina@example.com")], 0).await;
    assert_eq!(
        (&sent[0]["event"], &sent[0]["kind"]),
        (&json!("mail_sent"), &json!("password_changed"))
    );
    let lines = seen(vec![email("no@example.com")], 0).await;
    assert_eq!(
        (&lines[0]["event"], &lines[0]["to"], &lines[0]["wait"]),
        (&json!("mail_refused"), &json!("n…@example.com"), &json!(60))
    );
    assert!(lines[0]["cause"].as_str().unwrap().contains("5.1.1"), "{lines:?}");
    server.refuse("busy@example.com", "451 4.7.1 later");
    let lines = seen(vec![email("busy@example.com")], 0).await;
    assert_eq!(
        (&lines[0]["event"], &lines[0]["to"], &lines[0]["account"]),
        (&json!("mail_deferred"), &json!("b…@example.com"), &Value::Null)
    );
    server.allow("busy@example.com");
    let lines = seen(vec![], 4).await;
    assert_eq!(
        (&lines[0]["event"], &lines[0]["to"]),
        (&json!("mail_sent"), &json!("b…@example.com"))
    );
    let lines = seen(vec![], DAY).await;
    assert_eq!(
        (&lines[0]["event"], &lines[0]["reason"]),
        (&json!("mail_given_up"), &json!("refused"))
    );
    server.go_down().await;
    let code = Email { expires_at: START + DAY + 600, ..code("wilhelmina@example.com") };
    let lines = seen(vec![code], 0).await;
    assert_eq!(
        (&lines[0]["event"], &lines[0]["reason"]),
        (&json!("mail_waits"), &json!("server_away"))
    );
    let lines = seen(vec![], 600).await;
    assert_eq!(lines[0]["event"], "mail_expired");
    assert!(!log.text().contains("wilhelmina") && !log.text().contains("no@"), "{}", log.text());
}

#[tokio::test]
async fn a_line_about_an_email_names_its_account() {
    let server = FakeSmtp::start().await;
    let mut outbox = TestOutbox::open(TestDatabase::sqlite(), &server.url()).await;
    let mut tx = outbox.db.begin().await.unwrap();
    let id = outbox.outbox.enqueue(&mut tx, &email("ann@example.com"), Some("u1")).await.unwrap();
    tx.commit().await.unwrap();
    let log = Log::start(LogFormat::Json);
    outbox.deliver().await;
    let line = own_fields(&log.events(0)[0]);
    let (event, account, mail) = (&line["event"], &line["account"], &line["mail"]);
    assert_eq!((event, account, mail), (&json!("mail_sent"), &json!("u1"), &json!(id)));
}

#[tokio::test]
async fn a_mail_server_without_the_required_tls_is_logged() {
    let server = FakeSmtp::start().await;
    let log = Log::start(LogFormat::Json);
    let url = server.url().replace("smtp://", "smtps://");
    let mut outbox = TestOutbox::open(TestDatabase::sqlite(), &url).await;
    outbox.put(&email("wilhelmina@example.com")).await;
    outbox.deliver().await;
    let fields = own_fields(&log.events(0)[0]);
    assert_eq!(
        (&fields["event"], &fields["reason"]),
        (&json!("mail_waits"), &json!("server_away"))
    );
    assert!(fields["cause"].as_str().unwrap().contains("does not speak TLS"), "{fields}");
    assert!(server.mails().is_empty());
}

#[test]
fn the_program_logs_its_start_its_stop_and_accounts_that_are_added() {
    let folder = Folder::new();
    let settings = [
        ("VESTIBULE_LOG", "json"),
        ("VESTIBULE_LISTEN", "0.0.0.0:0"),
        ("VESTIBULE_DEV_MAILBOX", "anyone"),
    ];
    let added = folder.run(
        &["user", "add", NAME, "wilhelmina@meadow.example", "--json"],
        &settings[..1],
        PASSWORD,
    );
    let user: Value = serde_json::from_str(&added.out).unwrap();
    let line = added.err.lines().next().unwrap();
    assert_eq!(
        own_fields(&serde_json::from_str(line).unwrap()),
        json!({"event": "user_added", "account": user["id"]})
    );
    assert!(line.contains("\"actor\":\"operator\"") && !line.contains(NAME), "{line}");
    let program = folder.serve(&settings);
    assert_eq!(program.post("/login", "", &[("username", NAME), ("password", "x")]).status, 422);
    program.terminate();
    let (_, log) = program.ended();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = lines.iter().map(|line| own_fields(line)["event"].clone()).collect();
    assert_eq!(names, ["started", "mailbox_open", "login_refused", "stopping", "stopped"]);
    assert_eq!(lines[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(lines[2]["peer"], "127.0.0.1");
    assert_eq!(lines[4]["reason"], "finished");
}

#[test]
#[ignore = "run by the test below, in its own process"]
fn panics() {
    vestibule::commands::log::start(LogFormat::Json);
    let typed = "not the password";
    std::thread::spawn(move || panic!("{typed} was typed")).join().unwrap_err();
    std::thread::spawn(|| panic!("a bug")).join().unwrap_err();
}

#[test]
fn a_panic_is_one_line_without_what_was_typed() {
    let program = std::env::current_exe().unwrap();
    let ran = std::process::Command::new(program)
        .args(["--ignored", "--exact", "events::panics"])
        .output()
        .unwrap();
    let log = String::from_utf8(ran.stderr).unwrap();
    assert!(!log.contains("not the password"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let causes: Vec<_> = lines.iter().map(|line| own_fields(line)["cause"].clone()).collect();
    assert_eq!(causes, ["a panic", "a bug"]);
    assert!(lines[0]["path"].as_str().unwrap().contains("events.rs:"), "{log}");
}

#[tokio::test]
async fn a_health_check_does_not_write_a_line() {
    let log = Log::start(LogFormat::Text);
    let site = Site::on_sqlite().await;
    let mut browser = site.browser();
    browser.open("/healthz").await.open("/readyz").await;
    assert_eq!((browser.status, log.text().as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn checks_and_tickets_are_logged_with_the_reason_of_a_refusal() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let session = format!("vestibule={}", ann.cookie("vestibule").unwrap());
    let app = site.app_with(apps::with_apps).await;
    let (proxy, visitor) = (apps::at(&app, apps::PROXY), apps::at(&app, PEER));
    let log = Log::start(LogFormat::Json);
    let login = AppLogin::start(&proxy, WIKI, &session).await;
    login.finish(&proxy, "https://example.org", &login.browser_cookie).await;
    login.finish(&proxy, WIKI, &login.browser_cookie).await;
    let login = AppLogin::start(&proxy, WIKI, &session).await;
    login.finish(&proxy, WIKI, "").await;
    let login = AppLogin::start(&proxy, WIKI, &session).await;
    site.wait(30);
    login.finish(&proxy, WIKI, &login.browser_cookie).await;
    let login = AppLogin::start(&proxy, WIKI, &session).await;
    let entered = login.finish(&proxy, WIKI, &login.browser_cookie).await;
    let cookie = apps::set_cookie(entered.headers()).0;
    apps::ask_proxy(&proxy, WIKI, &cookie).await;
    apps::ask_proxy(&visitor, WIKI, &cookie).await;
    apps::ask_proxy(&proxy, "https://evil.example/secret", &cookie).await;
    apps::get(&proxy, "/forward/nginx", &[("cookie", &cookie)]).await;
    let login = AppLogin::start(&proxy, WIKI, &session).await;
    ann.post("/logout", &[]).await;
    login.finish(&proxy, WIKI, &login.browser_cookie).await;
    let told: Vec<_> = log.events(0).iter().map(own_fields).collect();
    let reason = |event: &str, reason: &str| json!({"event": event, "reason": reason});
    let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
    let expected = [
        reason("ticket_refused", "other_app"),
        reason("ticket_refused", "unknown"),
        reason("ticket_refused", "other_browser"),
        reason("ticket_refused", "expired"),
        json!({"event": "app_login", "account": user.id, "app": WIKI}),
        json!({"event": "signing_key_added", "number": 1}),
        reason("forward_refused", "not_a_trusted_proxy"),
        reason("forward_refused", "unknown_app"),
        reason("forward_refused", "unreadable"),
        json!({"event": "session_ended", "account": user.id, "reason": "logout", "sessions": 1}),
        reason("ticket_refused", "session_ended"),
    ];
    assert_eq!(told, expected);
    let text = log.text();
    for secret in [
        cookie.as_str(),
        &session,
        &login.callback,
        &login.browser_cookie,
        "evil.example",
        "meadow",
    ] {
        let secret = secret.rsplit('=').next().unwrap();
        assert!(!text.contains(secret), "{secret}");
    }
}
