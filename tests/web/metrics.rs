//! The metrics: what each page counts, and under which names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::http::{Method, Request, StatusCode};
use vestibule::config::{HashCost, Listen, Rate, RegistrationMode};
use vestibule::mail::worker::Worker;
use vestibule::{App, Config};

use crate::support::outbox::mailer;
use crate::support::program::{Answer, Folder};
use crate::support::proxies::is_there;
use crate::support::smtp::FakeSmtp;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of, email_of};

const ONCE: Option<Rate> = Some(Rate { count: 1, period: 3600 });

/// The same site with metrics and other settings, which counts from 0.
async fn counted(site: &Site, change: impl FnOnce(&mut Config)) -> App {
    let listen = Listen::parse("127.0.0.1:0").ok();
    site.app_with(|config| {
        config.metrics_listen = listen;
        change(config);
    })
    .await
}

fn visitor(app: &App) -> Browser {
    Browser::new(vestibule::site(app))
}

async fn text(app: &App) -> String {
    let request = Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let answer = Browser::new(vestibule::metrics_router(app)).send(request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    body_of(answer).await
}

/// The values by name and labels, without `vestibule_`.
async fn metrics(app: &App) -> BTreeMap<String, f64> {
    let text = text(app).await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.strip_prefix("vestibule_").unwrap().to_owned(), value.parse().unwrap())
    });
    values.collect()
}

/// The label values of a counter that were counted, with how often: `success 1`.
async fn counts(app: &App, name: &str) -> Vec<String> {
    let begin = format!("{name}_total{{");
    let all = metrics(app).await;
    let counted = all.iter().filter(|(name, value)| name.starts_with(&begin) && **value > 0.0);
    let label = |labels: &str| {
        let labels = labels[begin.len()..].trim_end_matches('}').split(',');
        let values: Vec<_> = labels.map(|label| label.split('"').nth(1).unwrap()).collect();
        values.join(" ")
    };
    counted.map(|(name, value)| format!("{} {value}", label(name))).collect()
}

async fn gauge(app: &App, name: &str) -> Option<f64> {
    metrics(app).await.get(name).copied()
}

on_both_databases! {
    async fn a_login_is_counted_by_its_outcome(site: Site) {
        site.registered("ann").await;
        let limit = Some(Rate { count: 2, period: 3600 });
        let app = counted(&site, |config| config.limits.login_account = limit).await;
        let mut browser = visitor(&app);
        browser.log_in("ann", PASSWORD).await;
        let mut stranger = visitor(&app);
        stranger.open("/login").await.press("Log in").await;
        assert_eq!(counts(&app, "logins").await, ["success 1"], "an empty form is no login");
        for _ in 0..2 {
            stranger.log_in("ann", "not the password").await;
        }
        stranger.log_in("ann", PASSWORD).await;
        assert_eq!(stranger.status, StatusCode::TOO_MANY_REQUESTS);
        stranger.log_in("nobody", "not the password").await;
        assert_eq!(counts(&app, "logins").await, ["limited 1", "refused 3", "success 1"]);
        assert_eq!(counts(&app, "limits").await, ["login_account 1"]);
        let (waited, all) = (gauge(&app, "hash_wait_seconds_count").await, 4.0);
        assert_eq!(waited, Some(all), "one hash for each password that was compared");
    }

    async fn a_registration_is_counted_by_its_outcome(site: Site) {
        let limit = Some(Rate { count: 2, period: 3600 });
        let app = counted(&site, |config| config.limits.register_ip = limit).await;
        let mut browser = visitor(&app);
        browser.register("ann", &email_of("ann"), "short").await;
        assert_eq!(browser.status, StatusCode::UNPROCESSABLE_ENTITY);
        browser.register("ann", &email_of("ann"), PASSWORD).await;
        assert_eq!(browser.path(), "/account");
        visitor(&app).register("ann", &email_of("bob"), OTHER_PASSWORD).await;
        assert_eq!(counts(&app, "registrations").await, ["created 1", "refused 1", "taken 1"]);
        let mut limited = visitor(&app);
        limited.register("cid", &email_of("cid"), PASSWORD).await;
        assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
        let expected = ["created 1", "limited 1", "refused 1", "taken 1"];
        assert_eq!(counts(&app, "registrations").await, expected);
        assert_eq!(counts(&app, "limits").await, ["register_ip 1"]);

        let closed = counted(&site, |config| config.registration.mode = RegistrationMode::Closed);
        let closed = closed.await;
        let fields = [("username", "dan"), ("email", "dan@meadow.example"), ("password", PASSWORD)];
        visitor(&closed).post("/register", &fields).await;
        assert_eq!(counts(&closed, "registrations").await, ["refused 1"]);
    }

    async fn a_registration_with_a_code_is_counted_when_the_code_comes_back(site: Site) {
        let verified = |config: &mut Config| config.registration.mode = RegistrationMode::Verified;
        let app = counted(&site, verified).await;
        let mut ann = visitor(&app);
        ann.register("ann", &email_of("ann"), PASSWORD).await;
        assert_eq!(counts(&app, "registrations").await, [""; 0]);
        ann.fill("Code", &site.newest_code().await).press("Create account").await;
        assert_eq!(counts(&app, "registrations").await, ["created 1"]);
        let mut bob = visitor(&app);
        site.wait(1);
        bob.register("ann", &email_of("bob"), PASSWORD).await;
        bob.fill("Code", &site.newest_code().await).press("Create account").await;
        assert_eq!(counts(&app, "registrations").await, ["created 1", "taken 1"]);
        bob.fill("Username", "-").press("Create account").await;
        bob.fill("Username", "bob").press("Create account").await;
        assert_eq!(counts(&app, "registrations").await, ["created 2", "refused 1", "taken 1"]);
        assert_eq!(counts(&app, "codes").await, ["register right 2", "register sent 2"]);
    }

    async fn a_code_is_counted_by_purpose_and_outcome(site: Site) {
        site.registered("ann").await;
        let app = counted(&site, |config| {
            config.limits.reset_code = 2;
            config.limits.forgot_account = Some(Rate { count: 3, period: 3600 });
        })
        .await;
        let ask = async |name: &str| {
            let mut browser = visitor(&app);
            site.wait(1);
            browser.ask_for_code(name, &email_of(name)).await;
            browser
        };
        let mut ann = ask("ann").await;
        let code = site.newest_code().await;
        ann.reset("CCCC-CCCC", OTHER_PASSWORD).await;
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login", "{}", ann.text());
        let reset = |outcomes: &[&str]| {
            outcomes.iter().map(|outcome| format!("password_reset {outcome}")).collect::<Vec<_>>()
        };
        assert_eq!(counts(&app, "codes").await, reset(&["right 1", "sent 1", "wrong 1"]));
        let mut late = ask("ann").await;
        let code = site.newest_code().await;
        site.wait(app.config.code_ttl);
        late.reset(&code, PASSWORD).await;
        let expected = reset(&["expired 1", "right 1", "sent 2", "wrong 1"]);
        assert_eq!(counts(&app, "codes").await, expected);
        let mut guesser = ask("nobody").await;
        for _ in 0..3 {
            guesser.reset("CCCC-CCCC", PASSWORD).await;
        }
        let expected = reset(&["expired 1", "limited 1", "right 1", "sent 3", "wrong 3"]);
        assert_eq!(counts(&app, "codes").await, expected, "also for nobody");
        for _ in 0..3 {
            ask("ann").await;
        }
        let codes = metrics(&app).await;
        assert!(codes["codes_total{purpose=\"password_reset\",outcome=\"limited\"}"] > 1.0);
        assert!(counts(&app, "limits").await.iter().any(|limit| limit.starts_with("forgot_account")));
    }

    async fn a_code_whose_email_exceeds_a_limit_is_counted_as_limited(site: Site) {
        let app = counted(&site, |config| config.limits.mail_domain = ONCE).await;
        for name in ["ann", "bob"] {
            site.registered(name).await;
            visitor(&app).ask_for_code(name, &email_of(name)).await;
        }
        let codes = counts(&app, "codes").await;
        assert_eq!(codes, ["password_reset limited 1", "password_reset sent 1"]);
    }

    async fn a_login_by_code_is_counted_as_a_login_and_as_a_code(site: Site) {
        site.registered("ann").await;
        let app = counted(&site, |config| config.login_code = true).await;
        let mut browser = visitor(&app);
        site.wait(1);
        browser.open("/login/code").await;
        browser.fill("Username or email", "ann").press("Email me a code").await;
        browser.fill("Code", &site.newest_code().await).press("Log in").await;
        assert_eq!(browser.path(), "/account", "{}", browser.text());
        assert_eq!(counts(&app, "codes").await, ["log_in right 1", "log_in sent 1"]);
        assert_eq!(counts(&app, "logins").await, ["success 1"]);
    }

    async fn an_email_is_counted_by_what_the_server_did_with_it(site: Site) {
        for name in ["ann", "bob", "cid", "dan"] {
            site.registered(name).await;
        }
        let server = FakeSmtp::start().await;
        server.refuse(&email_of("bob"), "550 5.1.1 no such user");
        server.refuse(&email_of("cid"), "451 4.7.1 greylisted");
        let app = counted(&site, |_| ()).await;
        visitor(&app).ask_for_code("nobody", &email_of("nobody")).await;
        let worker = Worker::new(app.db.clone(), app.outbox.clone(), mailer(&server.url()));
        worker.counting(app.metrics.clone()).deliver_due().await.unwrap();
        assert_eq!(counts(&app, "mails").await, ["deferred 1", "refused 1", "sent 2"]);

        server.go_down().await;
        site.wait(3600);
        let worker = Worker::new(app.db.clone(), app.outbox.clone(), mailer(&server.url()));
        worker.counting(app.metrics.clone()).deliver_due().await.unwrap();
        assert!(metrics(&app).await["mails_total{outcome=\"deferred\"}"] > 1.0, "the server is away");
    }

    async fn what_the_database_knows_is_asked_when_the_metrics_are_read(site: Site) {
        let app = counted(&site, |_| ()).await;
        for name in ["sessions", "outbox_length", "outbox_oldest_seconds"] {
            assert_eq!(gauge(&app, name).await, Some(0.0), "{name}");
        }
        let mut ann = site.registered("ann").await;
        site.browser().ask_for_code("nobody", &email_of("nobody")).await;
        assert_eq!(gauge(&app, "sessions").await, Some(1.0), "an anonymous session is none");
        site.wait(59);
        assert_eq!(gauge(&app, "outbox_length").await, Some(2.0), "decoys wait, too");
        assert_eq!(gauge(&app, "outbox_oldest_seconds").await, Some(60.0));
        assert!(gauge(&app, "database_seconds").await.unwrap() > 0.0);
        ann.open("/account").await.press("Log out").await;
        assert_eq!(gauge(&app, "sessions").await, Some(0.0));
    }

    async fn without_the_database_its_metrics_are_left_out(site: Site) {
        let app = counted(&site, |config| config.database_wait = Duration::from_millis(200)).await;
        let with_database = metrics(&app).await;
        app.db.close().await;
        let without = metrics(&app).await;
        let left_out: Vec<_> = with_database.keys().filter(|name| !without.contains_key(*name)).collect();
        assert_eq!(left_out, ["database_seconds", "outbox_length", "outbox_oldest_seconds", "sessions"]);
    }
}

#[tokio::test]
async fn every_outcome_begins_at_zero() {
    let site = Site::on_sqlite().await;
    let all = metrics(&site.app).await;
    let mut expected = Vec::new();
    for outcome in ["success", "refused", "limited"] {
        expected.push(format!("logins_total{{outcome=\"{outcome}\"}}"));
    }
    for outcome in ["created", "taken", "refused", "limited"] {
        expected.push(format!("registrations_total{{outcome=\"{outcome}\"}}"));
    }
    for purpose in ["password_reset", "log_in", "change_email", "verify_email", "register"] {
        for outcome in ["sent", "right", "wrong", "expired", "limited"] {
            expected.push(format!("codes_total{{purpose=\"{purpose}\",outcome=\"{outcome}\"}}"));
        }
    }
    for outcome in ["sent", "refused", "deferred"] {
        expected.push(format!("mails_total{{outcome=\"{outcome}\"}}"));
    }
    for limit in ["login_ip", "login_account", "register_ip", "forgot_ip", "mail_site"] {
        expected.push(format!("limits_total{{limit=\"{limit}\"}}"));
    }
    for name in ["request_seconds", "hash_wait_seconds"] {
        expected.extend(["count", "sum"].map(|part| format!("{name}_{part}")));
        expected.push(format!("{name}_bucket{{le=\"+Inf\"}}"));
    }
    expected.push("hash_queue".to_owned());
    for name in expected {
        assert_eq!(all.get(&name), Some(&0.0), "{name} in {all:?}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_the_route_and_never_by_what_was_typed() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let app = counted(&site, |_| ()).await;
    let mut browser = visitor(&app);
    browser.log_in("ann", PASSWORD).await;
    for path in ["/not-me/abcdef", "/not-me/ghijkl", "/nowhere", "/ann@meadow.example", "/%ff"] {
        browser.open(path).await;
    }
    for method in ["PATCH", "BREW", "OPTIONS"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).uri("/logout");
        browser.send(request.body(axum::body::Body::empty()).unwrap()).await;
    }
    browser.open("/healthz").await;
    let requests = counts(&app, "requests").await;
    let expected = [
        "/account 200 1",
        "/healthz 200 1",
        "/login 200 1",
        "/login 303 1",
        "/logout 405 3",
        "/not-me/{token} 404 2",
        "unknown 404 3",
    ];
    assert_eq!(requests, expected);
    assert_eq!(gauge(&app, "request_seconds_count").await, Some(12.0));
    let text = text(&app).await;
    for secret in ["ann", "meadow", "abcdef", "nowhere"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    visitor(&site.app).open("/login").await;
    assert_eq!(counts(&site.app, "requests").await, [""; 0], "without the setting");
}

#[tokio::test]
async fn under_a_path_the_routes_have_it() {
    let site = Site::on_sqlite().await;
    let app = counted(&site, |config| {
        config.base_url = vestibule::config::BaseUrl::parse("http://localhost:8000/auth").unwrap();
    })
    .await;
    let mut browser = visitor(&app);
    browser.open("/auth/login").await.open("/login").await;
    assert_eq!(counts(&app, "requests").await, ["/auth/login 200 1", "unknown 404 1"]);
}

#[tokio::test]
async fn the_hash_queue_shows_what_waits_for_a_thread() {
    let site = Site::on_sqlite().await;
    let slow = HashCost { memory_kib: 64 * 1024, iterations: 40, threads: 1, queue: 9 };
    let app = counted(&site, |config| config.hash = slow).await;
    let hashes: Vec<_> = (0..3)
        .map(|_| {
            let hasher = app.hasher.clone();
            tokio::spawn(async move { hasher.hash(b"slow").await })
        })
        .collect();
    crate::support::until(async || gauge(&app, "hash_queue").await == Some(2.0)).await;
    hashes.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn only_the_metrics_are_on_their_address_and_only_there() {
    let site = Site::on_sqlite().await;
    let app = counted(&site, |_| ()).await;
    assert_eq!(visitor(&app).open("/metrics").await.status, StatusCode::NOT_FOUND);
    let mut browser = Browser::new(vestibule::metrics_router(&app));
    for path in ["/", "/login", "/metrics/", "/healthz"] {
        assert_eq!(browser.open(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

/// Every name in `text` that begins as our metrics do, without the parts of a histogram.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: &char| c.is_ascii_lowercase() || *c == '_';
    let found = text.match_indices("vestibule_").map(|(at, _)| {
        let name: String = text[at..].chars().take_while(is_part).collect();
        let parts = ["_bucket", "_count", "_sum"].into_iter();
        parts.fold(name, |name, part| name.strip_suffix(part).unwrap_or(&name).to_owned())
    });
    found.collect()
}

/// The metrics of the program.
async fn metric_names() -> BTreeSet<String> {
    let text = text(&Site::on_sqlite().await.app).await;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut names: BTreeSet<String> =
        types.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    // They have a line only after the first request.
    names.insert("vestibule_requests_total".to_owned());
    names
}

#[tokio::test]
async fn the_documentation_the_dashboard_and_the_alerts_name_the_metrics() {
    let all = metric_names().await;
    assert_eq!(all.len(), 13, "{all:?}");
    let (page, dashboard, alerts) = (
        include_str!("../../docs/metrics.md"),
        include_str!("../../docs/metrics/dashboard.json"),
        include_str!("../../docs/metrics/alerts.yml"),
    );
    assert_eq!(names(page), all);
    assert_eq!(names(dashboard), all);
    assert!(names(alerts).is_subset(&all), "{:?}", names(alerts));
    assert!(names(include_str!("../../docs/metrics/alerts.test.yml")).is_subset(&all));
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let documented = page.lines().filter_map(|line| line.strip_prefix("| `Vestibule"));
    let documented = documented.map(|line| format!("Vestibule{}", line.split('`').next().unwrap()));
    assert_eq!(alerts.map(str::to_owned).collect::<Vec<_>>(), documented.collect::<Vec<_>>());
}

#[tokio::test]
async fn prometheus_reads_the_metrics_and_the_alerts() {
    const PROMTOOL: &str = "/usr/bin/promtool";
    if !is_there(PROMTOOL) {
        return;
    }
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let ended = Command::new(PROMTOOL).args(arguments).current_dir(docs).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    let site = Site::on_sqlite().await;
    let app = counted(&site, |_| ()).await;
    visitor(&app).open("/login").await;
    let mut promtool = Command::new(PROMTOOL);
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(text(&app).await.as_bytes()).unwrap();
    let ended = promtool.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn the_program_serves_them_on_their_own_address_alone() {
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_METRICS_LISTEN", "127.0.0.1:0")]);
    let (_, address) = program.output.split_once("metrics  http://").unwrap();
    let address = address.split_once("/metrics\n").unwrap().0;
    program.get("/login", "");
    let ask = |address: &str, path: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(stream)
    };
    let answer = ask(address, "/metrics");
    assert_eq!(answer.status, 200);
    let line = "vestibule_requests_total{route=\"/login\",status=\"200\"} 1\n";
    assert!(answer.body.contains(line), "{}", answer.body);
    assert_eq!(ask(address, "/login").status, 404);
    assert_eq!(program.get("/metrics", "").status, 404);
    program.terminate();
    assert_eq!(program.ended().0, 0);
}

#[test]
fn a_wrong_or_taken_address_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (listen, status, what) in [
        ("metrics", 2, "VESTIBULE_METRICS_LISTEN=\"metrics\": expected an address"),
        (&*taken, 1, "choose another with --metrics-listen"),
    ] {
        let settings = [("VESTIBULE_METRICS_LISTEN", listen), ("VESTIBULE_LISTEN", "127.0.0.1:0")];
        let ended = Folder::new().run(&["serve"], &settings, "");
        assert_eq!(ended.status, status, "{}", ended.err);
        assert!(ended.err.contains(what), "{}", ended.err);
    }
}
