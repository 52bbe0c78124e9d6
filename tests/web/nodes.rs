//! Several nodes on one PostgreSQL behind nginx: to visitors they are one site.

mod faults;

use std::collections::HashSet;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::future::join_all;
use tokio::time::timeout;
use vestibule::db::{Db, Location, latest_version, sql};

use crate::support::new_schema;
use crate::support::nodes::{NODES, Nodes, start_all};
use crate::support::program::Folder;
use crate::support::smtp::FakeSmtp;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, body_of, email_of};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_migrate_once() {
    for _ in 0..3 {
        let Some(url) = new_schema().await else { return };
        let (server, folder) = (FakeSmtp::start().await, Folder::new());
        let nodes = tokio::task::block_in_place(|| start_all(&folder, &url, &server, &[]));
        assert_eq!(nodes.len(), NODES);
        for node in &nodes {
            let ready = tokio::task::block_in_place(|| node.get("/readyz", ""));
            assert_eq!(ready.status, 200, "{}", ready.head);
        }
        let db = Db::open(&Location::parse(&url).unwrap()).await.unwrap();
        let done = sql("select max(version) from vestibule_migrations where success");
        let done = done.fetch_optional(db.reader()).await.unwrap();
        assert_eq!(done, Some((latest_version(),)));
        db.close().await;
        assert!(!folder.log().contains("ERROR"), "{}", folder.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flow_works_when_each_request_goes_to_another_node() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let mut elsewhere = nodes.front.browser();
    let mut ann = nodes.front.browser();
    ann.register("ann", &email_of("ann"), PASSWORD).await;
    assert_eq!(ann.path(), "/account", "{}", ann.text());
    assert_eq!(ann.flashes(), ["Your account was created."]);
    ann.open("/account").await;
    assert_eq!((ann.status, ann.flashes().len()), (StatusCode::OK, 0));
    ann.press("Log out").await;
    assert_eq!(ann.flashes(), ["You've been logged out."]);
    assert!(!ann.is_logged_in().await);
    ann.log_in("ann", PASSWORD).await;
    elsewhere.log_in("ann", PASSWORD).await;
    assert_eq!((ann.path(), elsewhere.path()), ("/account", "/account"));
    ann.press("Log out").await;

    ann.click("Forgot your password?").await;
    ann.fill("Username", "ann").fill("Email", &email_of("ann"));
    ann.press("Email me a code").await;
    assert_eq!(ann.path(), "/reset");
    let code = nodes.code_to(&email_of("ann")).await;
    ann.fill("Code", &code).fill("New password", OTHER_PASSWORD);
    ann.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
    assert_eq!(ann.path(), "/login");
    assert_eq!(ann.flashes(), ["Your password was changed. Log in with the new one."]);
    for _ in 0..NODES {
        assert!(!elsewhere.is_logged_in().await, "the reset has ended it on every node");
    }
    ann.log_in("ann", PASSWORD).await;
    assert_eq!(ann.path(), "/login");
    ann.log_in("ann", OTHER_PASSWORD).await;
    assert_eq!(ann.path(), "/account");

    let answered = nodes.front.nodes();
    assert!(answered.len() > 25, "{answered:?}");
    assert!(answered.windows(2).all(|two| two[0] != two[1]), "{answered:?}");
    assert_eq!(answered.iter().collect::<HashSet<_>>().len(), NODES);
    let log = nodes.log();
    let strange = log.lines().find(|line| line.contains("WARN") || line.contains("ERROR"));
    assert_eq!(strange, None);
    assert!(log.contains(r#""event":"password_reset""#), "{log}");
}

/// One browser, as each node sees it.
async fn is_logged_in(nodes: &Nodes, browser: &Browser) -> Vec<bool> {
    join_all(
        (0..NODES)
            .map(async |number| browser.at(&nodes.node(number).router()).is_logged_in().await),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_revoked_on_one_node_is_refused_by_the_others_at_once() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let fronts = [0, 1, 2].map(|number| nodes.node(number).router());
    let mut ann = nodes.node(0).browser();
    ann.register("ann", &email_of("ann"), PASSWORD).await;
    assert_eq!(is_logged_in(&nodes, &ann).await, [true; NODES]);

    ann.at(&fronts[1]).post("/logout", &[]).await;
    assert_eq!(is_logged_in(&nodes, &ann).await, [false; NODES], "logged out on another node");

    let (mut home, mut work) = (nodes.node(0).browser(), nodes.node(2).browser());
    home.log_in("ann", PASSWORD).await;
    work.log_in("ann", PASSWORD).await;
    assert_eq!(is_logged_in(&nodes, &work).await, [true; NODES]);
    let mut home = home.at(&fronts[1]);
    home.open("/account/password").await;
    home.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD);
    home.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
    assert_eq!(is_logged_in(&nodes, &work).await, [false; NODES], "by a change of the password");
    assert_eq!(is_logged_in(&nodes, &home).await, [true; NODES]);

    let mut lost = nodes.node(1).browser();
    lost.ask_for_code("ann", &email_of("ann")).await;
    let code = nodes.code_to(&email_of("ann")).await;
    let mut lost = lost.at(&fronts[2]);
    lost.reset(&code, PASSWORD).await;
    assert_eq!(lost.path(), "/login", "{}", lost.text());
    assert_eq!(is_logged_in(&nodes, &home).await, [false; NODES], "by a reset");
    assert_eq!(lost.at(&fronts[0]).log_in("ann", PASSWORD).await.path(), "/account");
}

/// How many of the answers have each status.
async fn statuses(
    requests: impl Iterator<Item = impl Future<Output = axum::http::Response<axum::body::Body>>>,
) -> std::collections::BTreeMap<u16, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for answer in join_all(requests).await {
        *counts.entry(answer.status().as_u16()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_over_all_nodes_together() {
    let few = [("VESTIBULE_LIMIT_LOGIN_ACCOUNT", "5/15m"), ("VESTIBULE_LIMIT_REGISTER_IP", "4/1h")];
    let Some(nodes) = Nodes::start(&few).await else { return };
    let mut ann = nodes.front.of("192.0.2.1").browser();
    ann.register("ann", &email_of("ann"), PASSWORD).await;
    assert_eq!(ann.path(), "/account", "{}", ann.text());

    let visitor = nodes.front.of("192.0.2.66").browser();
    let wrong = [("username", "ann"), ("password", OTHER_PASSWORD)];
    let guesses = statuses((0..30).map(|_| visitor.post("/login", &wrong))).await;
    assert_eq!(guesses, [(422, 5), (429, 25)].into(), "five are compared");
    for number in 0..NODES {
        let right = [("username", "ann"), ("password", PASSWORD)];
        let answer = nodes.node(number).of("192.0.2.66").browser().post("/login", &right).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "not the right one, either");
    }

    let names: Vec<_> = (0..12).map(|number| format!("user{number}")).collect();
    let registrations = statuses(names.iter().map(async |name| {
        let email = email_of(name);
        let fields = [
            ("username", name.as_str()),
            ("email", email.as_str()),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        visitor.post("/register", &fields).await
    }))
    .await;
    assert_eq!(registrations, [(303, 4), (429, 8)].into());
    let mut other = nodes.front.of("198.51.100.1").browser();
    other.register("bob", &email_of("bob"), PASSWORD).await;
    assert_eq!(other.path(), "/account", "nginx tells visitors apart: {}", other.text());

    let mut lost = nodes.front.of("198.51.100.2").browser();
    lost.ask_for_code("bob", &email_of("bob")).await;
    let code = nodes.code_to(&email_of("bob")).await;
    let new = [("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
    let wrong = [("code", "CCCC-CCCC"), new[0], new[1]];
    let answers = join_all((0..20).map(|_| lost.post("/reset", &wrong))).await;
    let bodies = join_all(answers.into_iter().map(body_of)).await;
    let compared =
        bodies.iter().filter(|body| !body.contains("This code has no attempts left")).count();
    assert_eq!(compared, 5, "guesses at one code");
    let answer = lost.post("/reset", &[("code", code.as_str()), new[0], new[1]]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "the right one is too late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_stop_of_the_nodes_answers_every_request() {
    let Some(nodes) = Nodes::start(&[("VESTIBULE_LIMIT_REGISTER_IP", "off")]).await else { return };
    let told = std::sync::atomic::AtomicUsize::new(0);
    let names = ["a", "b", "c", "d"];
    let visits = join_all(names.map(async |prefix| {
        for number in 0..12 {
            let name = format!("roll-{prefix}{number}");
            let email = email_of(&name);
            let fields = [
                ("username", name.as_str()),
                ("email", email.as_str()),
                ("password", PASSWORD),
                ("password_confirm", PASSWORD),
            ];
            let answer = nodes.front.browser().post("/register", &fields).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{name}");
            if told.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 16 {
                nodes.programs[0].terminate();
            }
        }
    }));
    timeout(Duration::from_secs(30), visits).await.unwrap();
    let answered: HashSet<_> = nodes.front.nodes().into_iter().collect();
    assert!(answered.len() >= NODES, "{answered:?}");
}
