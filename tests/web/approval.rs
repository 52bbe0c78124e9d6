//! Accounts that wait for the operator: nobody is logged in to them before they are approved.

use axum::http::StatusCode;
use serde_json::Value;
use vestibule::accounts::approval::{Approval, approve, tell_operator};
use vestibule::accounts::delete_account::delete_account;
use vestibule::config::{LogFormat, RegistrationMode, Sender};
use vestibule::db::{Db, Location, sql};
use vestibule::models::user::{User, find_user_by_username};
use vestibule::tasks::hooks::run_next;
use vestibule::tasks::sweep::sweep;
use vestibule::{App, Config};

use crate::support::log::Log;
use crate::support::program::Folder;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

const WAITING: &str = "Your account is waiting for approval. We'll email you when you can log in.";
const LOGGED_IN: &str = "select count(*) from vestibule_sessions where user_id is not null";

fn with_approval(config: &mut Config) {
    config.registration.mode = RegistrationMode::Approval;
    config.registration.notify = Sender::parse("boss@meadow.example").ok();
    config.login_code = true;
}

/// A browser in which `username` has confirmed a registration.
async fn confirmed(site: &Site, username: &str) -> Browser {
    site.wait(1);
    let mut browser = site.changed(with_approval).await;
    browser.register(username, &email_of(username), PASSWORD).await;
    let code = site.newest_code().await;
    site.wait(1);
    browser.fill("Code", &code).press("Create account").await;
    browser
}

async fn find(site: &Site, username: &str) -> User {
    find_user_by_username(site.db().reader(), username).await.unwrap().expect("an account")
}

/// The texts of the emails to the operator, oldest first.
async fn told(site: &Site) -> Vec<String> {
    let mails = site.mails().await.into_iter().rev();
    let mails = mails.filter(|mail| mail.to == "boss@meadow.example");
    mails
        .map(|mail| {
            mail.text.lines().find(|line| line.contains("waiting for your")).unwrap().to_owned()
        })
        .collect()
}

on_both_databases! {
    async fn an_account_waits_until_it_is_approved_and_both_sides_are_told(site: Site) {
        let mut ann = confirmed(&site, "ann").await;
        assert_eq!(ann.path(), "/login");
        assert_eq!(ann.flashes(), ["Email confirmed. We'll email you when you're approved."]);
        assert!(!ann.is_logged_in().await);
        assert_eq!(told(&site).await, ["1 account is waiting for your approval at Vestibule."]);
        assert_eq!(site.mails_to("ann").await, ["register_code"]);
        ann.log_in("ann", PASSWORD).await;
        assert_eq!((ann.status, ann.problems()), (StatusCode::UNPROCESSABLE_ENTITY, vec![WAITING.to_owned()]));
        assert!(!ann.is_logged_in().await);
        ann.log_in("ann", OTHER_PASSWORD).await;
        assert_eq!(ann.problems(), ["Incorrect username or password."]);
        site.wait(1);
        assert_eq!(approve(&site.app, &find(&site, "ann").await).await.unwrap(), Approval::Approved);
        assert_eq!(approve(&site.app, &find(&site, "ann").await).await.unwrap(), Approval::NotNeeded, "it was approved before");
        let mails = site.mails().await;
        assert_eq!((&*mails[0].kind, &*mails[0].to, &*mails[0].subject), ("approved", "ann@meadow.example", "Your account at Vestibule is ready"));
        assert!(mails[0].text.contains("Hello ann,") && mails[0].text.contains("http://localhost:8000/login"));
        assert_eq!(site.mails_to("ann").await, ["register_code", "approved"]);
        ann.log_in("ann", PASSWORD).await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(site.mails_to("ann").await, ["register_code", "approved"], "the browser is known");
    }

    async fn who_is_logged_in_to_another_account_stays_so(site: Site) {
        site.registered("zoe").await;
        site.wait(1);
        let mut ann = site.changed(with_approval).await;
        ann.register("ann", &email_of("ann"), PASSWORD).await;
        let code = site.newest_code().await;
        site.wait(1);
        ann.log_in("zoe", PASSWORD).await.open("/register/confirm").await;
        ann.fill("Code", &code).press("Create account").await;
        assert_eq!((ann.path(), ann.flashes()), ("/account", vec!["Email confirmed. We'll email you when you're approved.".to_owned()]));
        assert!(ann.text().contains(&email_of("zoe")) && find(&site, "ann").await.awaits_approval());
    }

    async fn neither_a_reset_nor_a_code_nor_a_session_lets_a_waiting_account_in(site: Site) {
        let mut ann = confirmed(&site, "ann").await;
        site.wait(1);
        ann.ask_for_code("ann", &email_of("ann")).await;
        ann.reset(&site.newest_code().await, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login", "{}", ann.text());
        assert!(!ann.is_logged_in().await);
        ann.log_in("ann", OTHER_PASSWORD).await;
        assert_eq!(ann.problems(), [WAITING]);
        site.wait(60);
        ann.open("/login/code").await.fill("Username or email", "ann").press("Email me a code").await;
        let code = site.newest_code().await;
        ann.fill("Code", &code).press("Log in").await;
        assert_eq!((ann.problems(), ann.all_attributes("[role=alert] a", "href")), (vec![WAITING.to_owned()], vec!["#code".to_owned()]));
        assert!(!ann.is_logged_in().await);
        assert_eq!(site.count(LOGGED_IN).await, 0);
        // As if one had begun all the same.
        let mut eve = site.registered("eve").await;
        sql("update vestibule_users set approval_asked_at = 1 where username = 'eve'").execute(site.db().writer()).await.unwrap();
        assert!(!eve.is_logged_in().await);
        let answer = eve.send(axum::http::Request::get("/session").body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }

    async fn the_operator_gets_one_email_an_hour_however_many_wait_and_hears_of_all(site: Site) {
        for name in ["ann", "bob", "cid"] {
            confirmed(&site, name).await;
        }
        let one = "1 account is waiting for your approval at Vestibule.";
        assert_eq!(told(&site).await, [one]);
        sweep(&site.app).await.unwrap();
        assert_eq!(told(&site).await.len(), 1);
        site.wait(3600);
        let app = site.app_with(with_approval).await;
        sweep(&app).await.unwrap();
        let three = "3 accounts are waiting for your approval at Vestibule.";
        assert_eq!(told(&site).await, [one, three]);
        site.wait(3601);
        sweep(&app).await.unwrap();
        assert_eq!(told(&site).await.len(), 2, "nobody is new");
        approve(&site.app, &find(&site, "bob").await).await.unwrap();
        confirmed(&site, "dan").await;
        assert_eq!(told(&site).await, [one, three, three]);
    }

    async fn two_confirmations_at_the_same_instant_send_the_operator_one_email(site: Site) {
        site.registered("ann").await;
        site.wait(1);
        let mut bob = site.changed(with_approval).await;
        bob.register("bob", &email_of("bob"), PASSWORD).await;
        let code = site.newest_code().await;
        site.wait(1);
        let app = site.app_with(with_approval).await;
        let mut tx = app.db.begin().await.unwrap();
        let ask = sql("update vestibule_users set approval_asked_at = 1 where username = 'ann'");
        ask.execute(tx.executor()).await.unwrap();
        tell_operator(&app, &mut tx).await.unwrap();
        let form = [("code", &*code)];
        let commit_later = async {
            for _ in 0..100 {
                site.count("select count(*) from vestibule_users").await;
            }
            tx.commit().await.unwrap();
        };
        let (answer, ()) = tokio::join!(bob.post("/register/confirm", &form), commit_later);
        assert_eq!(answer.headers()["location"], "/login");
        let one = "1 account is waiting for your approval at Vestibule.";
        assert_eq!(told(&site).await, [one]);
        site.wait(3600);
        sweep(&app).await.unwrap();
        assert_eq!(told(&site).await, [one, "2 accounts are waiting for your approval at Vestibule."]);
    }

    async fn the_hour_goes_on_when_those_who_waited_are_approved_or_deleted(site: Site) {
        confirmed(&site, "ann").await;
        approve(&site.app, &find(&site, "ann").await).await.unwrap();
        confirmed(&site, "bob").await;
        delete_account(&site.app, &find(&site, "bob").await, None).await.unwrap();
        let log = Log::start(LogFormat::Json);
        confirmed(&site, "cid").await;
        sweep(&site.app_with(with_approval).await).await.unwrap();
        assert_eq!(told(&site).await.len(), 1);
        assert!(log.text().contains("approval_asked") && !log.text().contains("limited"), "nobody is hindered: {}", log.text());
        site.wait(3600);
        sweep(&site.app_with(with_approval).await).await.unwrap();
        assert_eq!(told(&site).await, ["1 account is waiting for your approval at Vestibule."; 2]);
    }

    async fn nobody_is_approved_who_was_deleted(site: Site) {
        confirmed(&site, "ann").await;
        let ann = find(&site, "ann").await;
        delete_account(&site.app, &ann, None).await.unwrap();
        assert_eq!(approve(&site.app, &ann).await.unwrap(), Approval::Gone);
        assert_eq!(site.mails_to("ann").await, ["register_code"]);
    }

    async fn hooks_hear_of_an_account_when_it_may_log_in(site: Site) {
        let heard: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::default();
        let [new, gone] = ["new", "gone"].map(|what| {
            let heard = heard.clone();
            move |user: vestibule::CurrentUser| {
                heard.lock().unwrap().push(format!("{what} {}", user.username));
                std::future::ready(Ok(()))
            }
        });
        let mut config = site.app.config.clone();
        with_approval(&mut config);
        let app = App::builder(config).clock(site.app.clock.clone()).on_registered(new).on_deleted(gone).build().await.unwrap();
        for name in ["ann", "bob"] {
            confirmed(&site, name).await;
        }
        while run_next(&app).await.unwrap() {}
        assert!(heard.lock().unwrap().is_empty());
        approve(&app, &find(&site, "ann").await).await.unwrap();
        delete_account(&app, &find(&site, "bob").await, None).await.unwrap();
        while run_next(&app).await.unwrap() {}
        assert_eq!(*heard.lock().unwrap(), ["new ann"], "bob was never approved");
        confirmed(&site, "cid").await;
        let waiting = find(&site, "cid").await;
        approve(&app, &waiting).await.unwrap();
        while run_next(&app).await.unwrap() {}
        delete_account(&app, &waiting, None).await.unwrap();
        while run_next(&app).await.unwrap() {}
        assert_eq!(*heard.lock().unwrap(), ["new ann", "new cid", "gone cid"], "approved since it was read");
        let mut bob = confirmed(&site, "bob").await;
        assert_eq!(bob.flashes().len(), 1, "whoever was refused can try again");
        assert_eq!(bob.log_in("bob", PASSWORD).await.problems(), [WAITING]);
    }

    async fn an_approval_and_logins_at_the_same_instant_have_one_outcome(site: Site) {
        let ann = confirmed(&site, "ann").await;
        let user = find(&site, "ann").await;
        let fields = [("username", "ann"), ("password", PASSWORD)];
        let (approved, again, answer) = tokio::join!(approve(&site.app, &user), approve(&site.app, &user), ann.post("/login", &fields));
        let mut outcomes = [approved.unwrap(), again.unwrap()];
        outcomes.sort_unstable_by_key(|outcome| *outcome == Approval::NotNeeded);
        assert_eq!(outcomes, [Approval::Approved, Approval::NotNeeded]);
        assert!([StatusCode::SEE_OTHER, StatusCode::UNPROCESSABLE_ENTITY].contains(&answer.status()));
        assert_eq!(site.mails_to("ann").await.iter().filter(|kind| *kind == "approved").count(), 1);
        assert_eq!(ann.post("/login", &fields).await.status(), StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn the_command_lists_and_approves() {
    let folder = Folder::new();
    let run = |arguments: &[&str]| folder.run(&[&["user"], arguments].concat(), &[], PASSWORD);
    for name in ["ann", "bob"] {
        assert_eq!(run(&["add", name, &email_of(name)]).status, 0);
    }
    assert_eq!(run(&["approve", "--list", "--json"]).out.trim(), "[]");
    let url = format!("sqlite:{}", folder.0.join("vestibule.db").display());
    let db = Db::open(&Location::parse(&url).unwrap()).await.unwrap();
    sql("update vestibule_users set approval_asked_at = 1795370400 where username = 'ann'")
        .execute(db.writer())
        .await
        .unwrap();
    let listed: Value = serde_json::from_str(&run(&["approve", "--list", "--json"]).out).unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["username"], "ann");
    assert_eq!(listed[0]["approval_asked_at"], "2026-11-22T18:00:00Z");
    let keys = |user: &Value| user.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let fixed = ["created_at", "disabled", "email", "email_verified", "id", "username"];
    let shown: Value = serde_json::from_str(&run(&["show", "ann", "--json"]).out).unwrap();
    assert_eq!(keys(&shown), fixed);
    let all: Value = serde_json::from_str(&run(&["list", "--json"]).out).unwrap();
    assert_eq!(keys(&all[0]), fixed);
    let mistyped = run(&["approve", "ann", "bbo"]);
    assert_eq!((mistyped.status, &*mistyped.out), (1, ""), "nobody is approved");
    assert_eq!(run(&["disable", "ann"]).status, 0);
    let disabled = run(&["approve", "ann"]);
    assert!(disabled.status == 1 && disabled.err.contains("ann is disabled"), "{}", disabled.err);
    assert_eq!(run(&["enable", "ann"]).status, 0);
    for outcome in ["ann was approved.", "ann needs no approval."] {
        let approved = run(&["approve", "ANN@meadow.example", "bob", "--json"]);
        assert_eq!(approved.status, 0, "{}", approved.err);
        assert!(approved.err.contains(outcome), "{}", approved.err);
        assert!(approved.err.contains("bob needs no approval."), "{}", approved.err);
        let users: Value = serde_json::from_str(&approved.out).unwrap();
        assert_eq!((keys(&users[0]), &users[1]["username"]), (keys(&shown), &"bob".into()));
    }
    assert_eq!(run(&["approve"]).status, 2);
    assert_eq!(run(&["approve", "ann", "--list"]).status, 2);
}
