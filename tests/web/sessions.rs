//! The page of sessions and trusted devices: what it shows, and that each is ended by its owner alone.

use axum::http::StatusCode;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of};

const PATH: &str = "/account/sessions";
const REVOKE: &str = "/account/sessions/revoke";

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A browser that calls itself Firefox, in which ann has logged in.
async fn firefox(site: &Site) -> Browser {
    let mut browser = site.browser();
    browser.user_agent = Some(FIREFOX);
    browser.log_in("ann", PASSWORD).await;
    site.wait(1);
    browser
}

/// The ids that the page has in its forms.
async fn ids(browser: &mut Browser, field: &str) -> Vec<String> {
    browser.open(PATH).await;
    browser.all_attributes(&format!("main input[name={field}]"), "value")
}

on_both_databases! {
    async fn each_session_is_shown_with_its_browser_address_and_times(site: Site) {
        let mut ann = site.registered("ann").await;
        site.registered("bob").await;
        firefox(&site).await;
        site.wait(3600);
        ann.open(PATH).await;
        assert_eq!(ann.title(), "Sessions – Vestibule");
        let entries = ann.all_text("main > ul > li");
        assert_eq!(entries.len(), 2, "{entries:?}");
        assert!(entries[0].starts_with("Unknown browser This browser"), "{entries:?}");
        assert!(entries[0].contains("Last seen 22 November 2026, 19:00 UTC"), "{entries:?}");
        assert!(entries[1].starts_with("Firefox on Linux Logged in 22 November 2026, 18:00 UTC"), "{entries:?}");
        assert!(entries[1].ends_with("Log out there"), "{entries:?}");
        assert_eq!(ann.text().matches("This browser").count(), 2, "the session and the device");
    }

    async fn a_session_that_is_ended_is_gone_with_its_next_request(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut other = firefox(&site).await;
        ann.open(PATH).await.press("Log out there").await;
        assert_eq!(ann.visited, [REVOKE, PATH]);
        assert_eq!(ann.flashes(), ["You've been logged out there."]);
        assert!(!ann.text().contains("Log out there"));
        other.open("/session").await;
        assert_eq!(other.status, StatusCode::UNAUTHORIZED);
        other.open("/account").await;
        assert_eq!(other.path(), "/login?next=/account");
        assert_eq!(other.flashes(), ["You were logged out. Log in to continue."]);
        ann.open("/account/history").await;
        assert_eq!(ann.all_text(".entries strong")[0], "Logged out elsewhere");
    }

    async fn all_other_sessions_are_ended_at_once_and_nobody_elses(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut bob = site.registered("bob").await;
        let mut others = [firefox(&site).await, firefox(&site).await];
        ann.open(PATH).await.press("Log out everywhere else").await;
        assert_eq!(ann.flashes(), ["You've been logged out everywhere else."]);
        for other in &mut others {
            assert!(!other.is_logged_in().await);
        }
        assert!(ann.is_logged_in().await);
        assert!(bob.is_logged_in().await);
        ann.open(PATH).await;
        assert!(!ann.text().contains("Log out everywhere else"));
    }

    async fn one_can_end_the_own_session(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut other = firefox(&site).await;
        let id = ids(&mut other, "session").await.remove(0);
        let answer = ann.post(REVOKE, &[("session", &id)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["location"], "/login");
        ann.keep(&answer);
        ann.open("/login").await;
        assert_eq!(ann.flashes(), ["You've been logged out."]);
        assert!(!ann.is_logged_in().await);
        assert!(other.is_logged_in().await);
    }

    async fn nobody_ends_a_session_or_forgets_a_device_of_another(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut other = firefox(&site).await;
        let session = ids(&mut ann, "session").await.remove(0);
        let device = ids(&mut ann, "device").await.remove(0);
        let mut eve = site.registered("eve").await;
        for (field, id) in [("session", &session), ("device", &device)] {
            let answer = eve.post(REVOKE, &[(field, id)]).await;
            assert_eq!(answer.headers()["location"], PATH);
            eve.open(PATH).await;
            assert_eq!(eve.flashes(), ["That was removed already."]);
        }
        assert!(ann.is_logged_in().await && other.is_logged_in().await);
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 3);
        assert_eq!(site.count("select count(*) from vestibule_history where kind in ('sessions_ended', 'device_forgotten')").await, 0);
    }

    async fn a_form_that_comes_late_or_twice_says_so(site: Site) {
        let mut ann = site.registered("ann").await;
        firefox(&site).await;
        let id = ids(&mut ann, "session").await.remove(0);
        for flash in ["You've been logged out there.", "That was removed already."] {
            ann.post(REVOKE, &[("session", &id)]).await;
            ann.open(PATH).await;
            assert_eq!(ann.flashes(), [flash]);
        }
        ann.post("/logout", &[]).await;
        let answer = ann.post(REVOKE, &[("session", &id)]).await;
        assert_eq!(answer.headers()["location"], "/login?next=/account/sessions");
        ann.keep(&answer);
        ann.open("/login?next=/account/sessions").await;
        assert_eq!(ann.flashes(), ["You were logged out. Log in to continue."]);
    }

    async fn two_tabs_that_end_a_session_at_once_record_it_once(site: Site) {
        let mut ann = site.registered("ann").await;
        firefox(&site).await;
        let id = ids(&mut ann, "session").await.remove(0);
        let fields = [("session", id.as_str())];
        let tabs = futures_util::future::join_all((0..4).map(|_| ann.post(REVOKE, &fields))).await;
        assert!(tabs.iter().all(|answer| answer.status() == StatusCode::SEE_OTHER));
        assert_eq!(site.count("select count(*) from vestibule_history where kind = 'sessions_ended'").await, 1);
    }

    async fn a_forgotten_device_is_new_at_its_next_login(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut other = firefox(&site).await;
        let devices = ids(&mut ann, "device").await;
        assert_eq!(devices.len(), 2);
        assert!(ann.all_text(".more li")[0].starts_with("Firefox on Linux First login"));
        let answer = ann.post(REVOKE, &[("device", &devices[0])]).await;
        assert_eq!(answer.headers()["location"], PATH);
        ann.open(PATH).await;
        assert_eq!(ann.flashes(), ["That browser is no longer trusted."]);
        assert!(other.is_logged_in().await, "the session there goes on");
        let before = site.mails_to("ann").await.len();
        other.open("/account").await.press("Log out").await;
        other.log_in("ann", PASSWORD).await;
        assert_eq!(site.mails_to("ann").await[before..], ["new_device"]);
    }

    async fn a_session_from_before_a_new_password_is_not_shown(site: Site) {
        let mut ann = site.registered("ann").await;
        firefox(&site).await;
        let fields = [("current_password", PASSWORD), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let answer = ann.post("/account/password", &fields).await;
        ann.keep(&answer);
        ann.open(PATH).await;
        assert_eq!(ann.all_text("main > ul > li").len(), 1);
        assert_eq!(ids(&mut ann, "device").await.len(), 1, "no browser is trusted with the password before");
    }

    async fn a_session_of_an_earlier_version_is_shown_without_its_browser(site: Site) {
        let mut ann = site.registered("ann").await;
        let stored = "update vestibule_sessions set data = '{\"user_id\":\"' || user_id || '\",\"credential_version\":1,\"remember\":true}'";
        vestibule::db::sql(stored).execute(site.db().writer()).await.unwrap();
        ann.open(PATH).await;
        assert!(ann.all_text("main > ul > li")[0].starts_with("Unknown browser This browser Logged in"));
    }
}

#[tokio::test]
async fn a_form_with_none_or_several_of_the_fields_is_refused() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    let mut other = firefox(&site).await;
    let id = ids(&mut ann, "session").await.remove(0);
    for fields in [
        &[][..],
        &[("session", "")],
        &[("others", "yes")],
        &[("others", "0")],
        &[("session", &id), ("others", "1")],
        &[("device", &id), ("others", "1")],
        &[("session", &id), ("device", &id)],
    ] {
        let answer = ann.post(REVOKE, fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
    }
    assert!(other.is_logged_in().await);
}

#[tokio::test]
async fn nothing_of_the_header_of_a_browser_is_repeated() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let mut ann = site.browser();
    ann.user_agent = Some("<script>alert(1)</script> (Windows NT 10.0) \"Firefox/140.0 zzmark");
    ann.log_in("ann", PASSWORD).await;
    for path in ["/account", "/account/sessions", "/account/history"] {
        ann.open(path).await;
        assert!(ann.text().contains("Firefox on Windows"), "{path}: {}", ann.text());
        assert!(!ann.html.contains("alert(1)") && !ann.html.contains("zzmark"), "{path}");
    }
    let mails = site.mails().await;
    assert!(mails[0].text.contains("Device:      Firefox on Windows"), "{}", mails[0].text);
}

#[tokio::test]
async fn the_page_shows_no_key_of_a_session_or_device() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    let cookies =
        ["vestibule", "vestibule-device"].map(|name| ann.cookie(name).expect("set").clone());
    ann.open(PATH).await;
    assert!(cookies.iter().all(|cookie| !ann.html.contains(cookie.as_str())));
    let json = body_of(ann.post("/account/export", &[]).await).await;
    assert!(cookies.iter().all(|cookie| !json.contains(cookie.as_str())));
}

#[tokio::test]
async fn nobody_sees_the_pages_of_an_account_without_a_login() {
    let site = Site::on_sqlite().await;
    for path in [PATH, "/account/history", "/account/history?before=x"] {
        let mut stranger = site.browser();
        stranger.open(path).await;
        assert!(stranger.path().starts_with("/login?next=/account/"), "{}", stranger.path());
    }
    for (path, page) in [(REVOKE, PATH), ("/account/export", "/account")] {
        let answer = site.browser().post(path, &[("others", "1")]).await;
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!(location, format!("/login?next={page}"));
    }
}
