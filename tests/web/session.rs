//! Sessions: their cookie, their rows, when they end.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use tower_sessions::SessionStore;
use vestibule::db::sql;

use crate::support::{OTHER_PASSWORD, PASSWORD, Site};

/// The header that sets the cookie with this name.
fn set_cookie(answer: &Response<Body>, name: &str) -> String {
    let lines = answer.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let mut found = lines.filter(|line| line.starts_with(&format!("{name}=")));
    found.next().expect("the cookie is set").to_owned()
}

const DAY: i64 = 24 * 60 * 60;

on_both_databases! {
    async fn an_anonymous_get_sets_no_cookie_and_writes_nothing(site: Site) {
        for path in ["/", "/login", "/register", "/forgot", "/reset", "/logout", "/account", "/nowhere", "/dev/mailbox"] {
            let answer = site.browser().send(Request::get(path).body(Body::empty()).unwrap()).await;
            assert!(answer.headers().get("set-cookie").is_none(), "{path}");
            let mut visitor = site.browser();
            visitor.set_cookie("vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
            visitor.open(path).await;
        }
        for table in ["select count(*) from vestibule_sessions", "select count(*) from vestibule_rate_limits", "select count(*) from vestibule_one_time_codes", "select count(*) from vestibule_outbox"] {
            assert_eq!(site.count(table).await, 0, "{table}");
        }
    }

    async fn the_table_holds_a_digest_of_the_id_and_never_the_id(site: Site) {
        let ann = site.registered("ann").await;
        let id = ann.cookie("vestibule").unwrap().clone();
        let rows = sql("select id_hash, data, user_id from vestibule_sessions").fetch_all::<(Vec<u8>, String, Option<String>)>(site.db().reader()).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].0.len(), 32);
        assert!(!rows[0].1.contains(&id), "{}", rows[0].1);
        assert!(!rows[0].1.contains("argon2") && !rows[0].1.contains("ann@"), "nor the user: {}", rows[0].1);
        assert!(rows[0].2.is_some());
        let mut thief = site.browser();
        thief.set_cookie("vestibule", &base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &rows[0].0[..16]));
        assert!(!thief.is_logged_in().await, "the table's content must not log anybody in");
    }

    async fn a_session_that_an_earlier_version_stored_is_still_logged_in(site: Site) {
        let mut ann = site.registered("ann").await;
        ann.open("/account").await;
        let stored = "update vestibule_sessions set data = '{\"user_id\":\"' || user_id || '\",\"credential_version\":1,\"remember\":true,\"username\":\"ann\",\"notices\":[\"registered\",\"You are logged in.\"],\"code_unseen\":true}'";
        sql(stored).execute(site.db().writer()).await.unwrap();
        ann.open("/account").await;
        assert_eq!(ann.flashes(), ["Your account was created.", "You are logged in."]);
        assert!(ann.is_logged_in().await);
    }

    async fn logging_in_gives_a_new_id_and_ends_the_old_session(site: Site) {
        site.registered("ann").await;
        let mut ann = site.browser();
        ann.ask_for_code("ann", "ann@meadow.example").await;
        let planted = ann.cookie("vestibule").expect("a session for the code").clone();
        ann.log_in("ann", PASSWORD).await;
        assert_ne!(ann.cookie("vestibule"), Some(&planted));
        let mut attacker = site.browser();
        attacker.set_cookie("vestibule", &planted);
        assert!(!attacker.is_logged_in().await);
        assert!(ann.is_logged_in().await);
    }

    async fn a_made_up_id_is_never_adopted(site: Site) {
        site.registered("ann").await;
        let mut ann = site.browser();
        ann.set_cookie("vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
        ann.log_in("ann", PASSWORD).await;
        assert_ne!(ann.cookie("vestibule").unwrap(), "AAAAAAAAAAAAAAAAAAAAAA");
    }

    async fn logging_out_ends_the_session_on_the_server(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut copy = ann.tab();
        ann.press("Log out").await;
        assert_eq!(ann.visited, ["/logout", "/login"]);
        assert!(!copy.is_logged_in().await);
        assert_eq!(site.count("select count(*) from vestibule_sessions where user_id is not null").await, 0);
    }

    async fn nothing_is_kept_after_logging_out(site: Site) {
        let mut ann = site.registered("ann").await;
        ann.press("Log out").await;
        assert_eq!(ann.flashes(), ["You've been logged out."]);
        assert_eq!(ann.cookie("vestibule"), None);
        assert_eq!(site.count("select count(*) from vestibule_sessions").await, 0);
        ann.open("/login").await;
        assert!(ann.flashes().is_empty(), "a flash is shown once");
    }

    async fn a_request_in_flight_does_not_restore_a_revoked_session(site: Site) {
        let ann = site.registered("ann").await;
        let store = vestibule::models::session::SqlSessionStore::new(
            site.app.db.clone(),
            site.app.clock.clone(),
            site.app.config.sessions,
        );
        let id = ann.cookie("vestibule").unwrap().parse().unwrap();
        let mut record = store.load(&id).await.unwrap().unwrap();
        assert!(!format!("{:?}", record.data).contains("argon2"), "no hash in the session's data");
        ann.post("/logout", &[]).await;
        record.data.insert("late".into(), true.into());
        store.save(&record).await.unwrap();
        assert!(store.load(&id).await.unwrap().is_none());
    }

    async fn a_session_slides_while_it_is_used_and_ends_when_it_is_not(site: Site) {
        let mut ann = site.registered("ann").await;
        for _ in 0..4 {
            site.wait(11 * 60 * 60);
            assert!(ann.is_logged_in().await, "used within 12 hours");
        }
        site.wait(12 * 60 * 60 + 1);
        assert!(!ann.is_logged_in().await, "unused for 12 hours");
    }

    async fn the_last_use_of_a_session_is_written_every_few_minutes_at_most(site: Site) {
        let mut ann = site.registered("ann").await;
        let seen = "select max(last_seen_at) from vestibule_sessions";
        ann.open("/account").await;
        let before = site.count(seen).await;
        site.wait(4 * 60);
        ann.open("/account").await;
        assert_eq!(site.count(seen).await, before);
        site.wait(2 * 60);
        ann.open("/account").await;
        assert!(site.count(seen).await > before);
    }

    async fn a_remembered_session_lives_two_weeks_unused_and_thirty_days_in_all(site: Site) {
        site.registered("ann").await;
        let mut ann = site.browser();
        ann.open("/login").await;
        ann.fill("Username or email", "ann").fill("Password", PASSWORD).tick("Keep me logged in on this device");
        ann.press("Log in").await;
        site.wait(13 * DAY);
        assert!(ann.is_logged_in().await);
        site.wait(13 * DAY);
        assert!(ann.is_logged_in().await);
        site.wait(4 * DAY + 1);
        assert!(!ann.is_logged_in().await, "thirty days are over");
    }

    async fn a_change_of_password_elsewhere_ends_every_other_session(site: Site) {
        let mut phone = site.registered("ann").await;
        let mut laptop = site.browser();
        laptop.log_in("ann", PASSWORD).await;
        laptop.open("/account/password").await;
        laptop.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD);
        laptop.press("Change password").await;
        assert_eq!(laptop.path(), "/account");
        assert!(laptop.is_logged_in().await);
        assert!(!phone.is_logged_in().await);
    }

    async fn an_account_has_a_hundred_sessions_at_most_and_the_least_used_go_first(site: Site) {
        let mut idle = site.registered("ann").await;
        site.wait(600);
        let mut used = site.browser();
        used.log_in("ann", PASSWORD).await;
        site.registered("bob").await;
        for _ in 0..99 {
            site.wait(1);
            site.browser().log_in("ann", PASSWORD).await;
        }
        let anns = "select count(*) from vestibule_sessions join vestibule_users on vestibule_users.id = vestibule_sessions.user_id where username = 'ann'";
        assert_eq!(site.count(anns).await, 100);
        assert!(used.is_logged_in().await);
        assert!(!idle.is_logged_in().await);
        assert_eq!(site.count("select count(*) from vestibule_sessions where user_id is not null").await, 101, "bob's is not counted");
    }

    async fn expired_sessions_are_deleted_and_valid_ones_stay(site: Site) {
        site.registered("ann").await;
        let mut bob = site.registered("bob").await;
        site.browser().ask_for_code("nobody", "nobody@meadow.example").await;
        site.wait(11 * 60 * 60);
        assert!(bob.is_logged_in().await);
        site.wait(2 * 60 * 60);
        let gone = vestibule::tasks::sweep::sweep(&site.app).await.unwrap();
        assert!(gone >= 3, "{gone}");
        assert_eq!(site.count("select count(*) from vestibule_sessions").await, 1);
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes").await, 0);
        assert!(bob.is_logged_in().await);
    }
}

#[tokio::test]
async fn the_cookie_ends_with_the_browser_unless_remember_me_is_ticked() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let fields = [("username", "ann"), ("password", PASSWORD)];
    let answer = site.browser().post("/login", &fields).await;
    let cookie = set_cookie(&answer, "vestibule");
    assert!(cookie.starts_with("vestibule="), "{cookie}");
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains("Max-Age") && !cookie.contains("Expires") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let answer = site.browser().post("/login", &[fields[0], fields[1], ("remember", "on")]).await;
    let cookie = set_cookie(&answer, "vestibule");
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
}

#[tokio::test]
async fn a_head_request_does_not_consume_a_flash() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.post("/logout", &[]).await;
    let fields = [
        ("username", "ann"),
        ("email", "x@meadow.example"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    let answer = ann.post("/register", &fields).await;
    let cookie = set_cookie(&answer, "vestibule");
    ann.set_cookie("vestibule", cookie.split(['=', ';']).nth(1).unwrap());
    ann.send(Request::head("/login").body(Body::empty()).unwrap()).await;
    ann.open("/login").await;
    assert_eq!(ann.flashes().len(), 1);
}

#[tokio::test]
async fn a_remembered_cookie_stays_remembered_when_the_session_is_written_again() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.press("Log out").await;
    ann.fill("Username or email", "ann")
        .fill("Password", PASSWORD)
        .tick("Keep me logged in on this device");
    ann.press("Log in").await;
    let answer = ann.post("/forgot", &[("username", "ann"), ("email", "ann@meadow.example")]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = set_cookie(&answer, "vestibule");
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
}

#[tokio::test]
async fn on_https_the_cookie_is_bound_to_the_host_and_its_removal_too() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let production = site
        .changed(|config| {
            config.base_url =
                vestibule::config::BaseUrl::parse("https://accounts.example").unwrap();
        })
        .await;
    let login = Request::post("/login")
        .header("origin", "https://accounts.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("username=ann&password=moss+lantern+quartz"));
    let answer = production.send(login.unwrap()).await;
    let cookie = set_cookie(&answer, "__Host-vestibule");
    assert!(cookie.starts_with("__Host-vestibule=") && cookie.contains("; Secure"), "{cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
    let mut stale = production;
    stale.set_cookie("__Host-vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
    stale.open("/login").await;
    let removal = stale.headers["set-cookie"].to_str().unwrap();
    for part in ["__Host-vestibule=", "Max-Age=0", "Path=/", "; Secure", "; HttpOnly"] {
        assert!(removal.contains(part), "{removal}");
    }
    assert!(
        stale.headers["strict-transport-security"].to_str().unwrap().contains("max-age=63072000")
    );
}
