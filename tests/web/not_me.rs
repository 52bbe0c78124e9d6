//! "This wasn't me": the link in notices.

use axum::http::StatusCode;
use vestibule::accounts::change_email::change_email_for;
use vestibule::accounts::disable_account::{disable, enable};
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::mail_link::LINK_LIFE;
use vestibule::db::sql;
use vestibule::models::user::find_user_by_username;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

/// The path of the link in the newest email of this kind.
async fn link(site: &Site, kind: &str) -> String {
    let mails = site.mails().await;
    let mail = mails.iter().find(|mail| mail.kind == kind).expect("a mail");
    let mut lines = mail.text.lines().filter_map(|line| line.strip_prefix("http://localhost:8000"));
    let path = lines.find(|path| path.starts_with("/not-me/")).expect("a link");
    assert!(mail.html.contains(path), "{}", mail.html);
    path.to_owned()
}

async fn press(browser: &mut Browser, link: &str) {
    browser.open(link).await;
    assert_eq!(browser.status, StatusCode::OK, "{}", browser.text());
    browser.press("This wasn't me").await;
}

on_both_databases! {
    async fn the_link_ends_sessions_codes_and_devices_and_blocks_the_password_until_a_reset(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut thief = site.browser();
        thief.log_in("ann", PASSWORD).await;
        let (mut asked, code) = site.with_code("ann").await;
        let link = link(&site, "new_device").await;
        let mut owner = site.browser();
        press(&mut owner, &link).await;
        assert_eq!(owner.path(), "/forgot", "{}", owner.text());
        assert_eq!(owner.flashes(), ["Everyone was logged out, and the password no longer works. Set a new one now."]);
        assert_eq!(owner.attribute("#username", "value").as_deref(), Some("ann"));
        assert!(!thief.is_logged_in().await && !ann.is_logged_in().await);
        asked.reset(&code, "harbour kettle ribbon").await;
        assert!(asked.problems()[0].starts_with("Incorrect code."), "{:?}", asked.problems());
        for browser in [&mut thief, &mut ann] {
            browser.log_in("ann", PASSWORD).await;
            assert_eq!(browser.problems(), ["Incorrect username or password."], "as for a wrong one");
        }
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 0);
        site.wait(1);
        owner.ask_for_code("ann", &email_of("ann")).await;
        let code = site.newest_code().await;
        owner.reset(&code, PASSWORD).await;
        assert_eq!(owner.problems(), ["This is your current password. Choose a new one."], "somebody else knows it");
        owner.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(owner.path(), "/login", "{}", owner.text());
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    /// What the operator changes is reported to a disabled account, too.
    async fn a_link_of_a_disabled_account_leads_nowhere_until_it_is_enabled(site: Site) {
        let mut ann = site.registered("ann").await;
        let earlier = link(&site, "registered").await;
        let user = async || find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        disable(&site.app, &user().await).await.unwrap().unwrap();
        let email = EmailAddress::parse("new@meadow.example").unwrap();
        change_email_for(&site.app, &user().await, &email).await.unwrap();
        let link = link(&site, "email_changed").await;
        let made_up = ann.open("/not-me/AAAAAAAAAAAAAAAAAAAAAA").await.html.clone();
        for path in [&link, &earlier] {
            assert_eq!(ann.open(path).await.html, made_up);
            assert_eq!(ann.post(path, &[]).await.status(), StatusCode::NOT_FOUND);
        }
        assert!(user().await.password_blocked_at.is_none());
        enable(&site.app, &user().await).await.unwrap().unwrap();
        assert_eq!(ann.open(&earlier).await.status, StatusCode::NOT_FOUND, "it ended with the disabling");
        press(&mut ann, &link).await;
        assert_eq!(ann.path(), "/forgot");
    }

    async fn opening_the_link_changes_nothing(site: Site) {
        let mut ann = site.registered("ann").await;
        let link = link(&site, "registered").await;
        for _ in 0..3 {
            let mut scanner = site.browser();
            scanner.open(&link).await;
            assert_eq!((scanner.status, scanner.title().as_str()), (StatusCode::OK, "This wasn't you? – Vestibule"));
            assert_eq!(scanner.headers["referrer-policy"], "same-origin");
            assert_eq!(scanner.headers["cache-control"], "no-store");
            assert!(scanner.cookie("vestibule").is_none());
        }
        assert!(ann.is_logged_in().await);
        assert!(site.browser().log_in("ann", PASSWORD).await.is_logged_in().await);
        press(&mut site.browser(), &link).await;
        assert!(!ann.is_logged_in().await);
    }

    async fn the_link_works_once_and_for_three_days(site: Site) {
        site.registered("ann").await;
        let first = link(&site, "registered").await;
        let owner = site.browser();
        let answers = tokio::join!(owner.post(&first, &[]), owner.post(&first, &[]));
        let mut statuses = [answers.0.status(), answers.1.status()];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::NOT_FOUND]);
        let mut later = site.browser();
        assert_eq!(later.open(&first).await.status, StatusCode::NOT_FOUND);
        assert!(later.text().contains("It was used already, or it has expired."), "{}", later.text());
        site.registered("bob").await;
        let second = link(&site, "registered").await;
        site.wait(LINK_LIFE);
        assert_eq!(later.open(&second).await.status, StatusCode::NOT_FOUND);
        assert_eq!(later.post(&second, &[]).await.status(), StatusCode::NOT_FOUND);
        assert!(site.browser().log_in("bob", PASSWORD).await.is_logged_in().await);
    }

    async fn a_double_click_leads_to_the_same_page_and_changes_nothing(site: Site) {
        site.registered("ann").await;
        let link = link(&site, "registered").await;
        let mut owner = site.browser();
        owner.open(&link).await;
        let (mut first, mut second) = (owner.tab(), owner.tab());
        tokio::join!(first.press("This wasn't me"), second.press("This wasn't me"));
        for browser in [&first, &second] {
            assert_eq!(browser.path(), "/forgot", "{}", browser.text());
            assert_eq!(browser.flashes(), ["Everyone was logged out, and the password no longer works. Set a new one now."]);
            assert_eq!(browser.attribute("#username", "value").as_deref(), Some("ann"));
        }
        assert_eq!(site.count("select credential_version from vestibule_users").await, 2);
        assert_eq!(site.count("select count(*) from vestibule_history where kind = 'not_me'").await, 1);
        // The same form, without the cookies of its answer, and later.
        assert_eq!(owner.tab().press("This wasn't me").await.path(), "/forgot");
        site.wait(60);
        assert_eq!(owner.tab().press("This wasn't me").await.status, StatusCode::NOT_FOUND);
        assert_eq!(site.count("select credential_version from vestibule_users").await, 2);
    }

    async fn the_browser_that_used_the_link_is_led_on_and_no_other(site: Site) {
        site.registered("ann").await;
        let link = link(&site, "registered").await;
        let mut owner = site.browser();
        let mut stranger = site.browser();
        stranger.open(&link).await;
        press(&mut owner, &link).await;
        site.wait(600);
        assert_eq!(owner.open(&link).await.path(), "/forgot");
        assert_eq!(owner.post(&link, &[]).await.headers()["location"], "/forgot");
        assert_eq!(owner.open("/not-me/AAAAAAAAAAAAAAAAAAAAAA").await.status, StatusCode::NOT_FOUND);
        let made_up = owner.html.clone();
        // With the page that was opened before, and with another form.
        assert_eq!(stranger.press("This wasn't me").await.status, StatusCode::NOT_FOUND);
        assert_eq!(stranger.html, made_up);
        assert_eq!(stranger.open(&link).await.html, made_up);
        assert_eq!(site.count("select credential_version from vestibule_users").await, 2);
    }

    async fn a_made_up_link_a_link_of_another_kind_and_one_of_a_deleted_account_do_nothing(site: Site) {
        site.registered("ann").await;
        let link = link(&site, "registered").await;
        let token = link.strip_prefix("/not-me/").unwrap();
        let mut pages = Vec::new();
        sql("delete from vestibule_users").execute(site.db().writer()).await.unwrap();
        for path in [link.clone(), format!("/unlock/{token}"), "/not-me/AAAAAAAAAAAAAAAAAAAAAA".into(), "/not-me/x".into()] {
            let mut browser = site.browser();
            assert_eq!(browser.open(&path).await.status, StatusCode::NOT_FOUND, "{path}");
            pages.push(browser.html.clone());
            let answer = browser.post(&path, &[]).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(answer.headers().get("set-cookie").is_none());
        }
        pages.dedup();
        assert_eq!(pages.len(), 1, "all look the same");
    }

    async fn who_registered_with_the_address_of_somebody_else_loses_the_account_to_them(site: Site) {
        let mut mallory = site.registered("ann").await;
        let link = link(&site, "registered").await;
        let mut owner = site.browser();
        press(&mut owner, &link).await;
        assert!(!mallory.is_logged_in().await);
        assert_ne!(mallory.log_in("ann", PASSWORD).await.path(), "/account");
        owner.fill("Email", &email_of("ann")).press("Email me a code").await;
        owner.reset(&site.newest_code().await, OTHER_PASSWORD).await;
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    async fn a_blocked_password_is_refused_with_the_same_work_as_a_wrong_one(site: Site) {
        use crate::support::work::work_of;
        site.registered("ann").await;
        site.registered("bob").await;
        let mut owner = site.browser();
        press(&mut owner, &link(&site, "registered").await).await;
        let mut works = Vec::new();
        for (username, password) in [("ann", "a wrong one"), ("bob", PASSWORD), ("bob", "a wrong one")] {
            let stranger = site.browser();
            let (answer, work) = work_of(stranger.post("/login", &[("username", username), ("password", password)])).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
            works.push(work);
        }
        assert_eq!(works[1], works[0]);
        assert_eq!(works[2], works[0]);
    }

    async fn nothing_that_happens_at_the_instant_of_the_report_outlives_it(site: Site) {
        let new = [("current_password", PASSWORD), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        for round in 0..10 {
            let name = format!("ann{round}");
            let thief = site.registered(&name).await;
            let (link, owner) = (link(&site, "registered").await, site.browser());
            let login = [("username", name.as_str()), ("password", PASSWORD)];
            let mut phone = site.browser();
            let (reported, changed, logged_in) = if round % 2 == 0 {
                tokio::join!(owner.post(&link, &[]), thief.post("/account/password", &new), phone.post("/login", &login))
            } else {
                let (logged_in, changed, reported) =
                    tokio::join!(phone.post("/login", &login), thief.post("/account/password", &new), owner.post(&link, &[]));
                (reported, changed, logged_in)
            };
            assert_eq!(reported.status(), StatusCode::SEE_OTHER);
            let mut thief = thief.tab();
            thief.keep(&changed);
            phone.keep(&logged_in);
            assert!(!thief.is_logged_in().await && !phone.is_logged_in().await);
            for password in [PASSWORD, OTHER_PASSWORD] {
                assert!(!site.browser().log_in(&name, password).await.is_logged_in().await);
            }
            site.wait(900);
        }
        assert_eq!(site.count("select count(*) from vestibule_users where password_blocked_at is null").await, 0);
    }

    async fn links_that_do_not_work_are_limited_by_network_and_logins_are_not(site: Site) {
        site.registered("ann").await;
        let link = link(&site, "registered").await;
        let few = site.changed(|config| config.limits.login_ip = Some(vestibule::config::Rate { count: 3, period: 900 })).await;
        for number in 0..3 {
            let guess = format!("/not-me/{}", "A".repeat(22));
            let path = if number == 1 { guess.replace("not-me", "unlock") } else { guess };
            assert_eq!(few.post(&path, &[]).await.status(), StatusCode::NOT_FOUND);
        }
        let answer = few.post(&link, &[]).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(answer.headers().contains_key("retry-after"));
        assert!(few.tab().log_in("ann", PASSWORD).await.is_logged_in().await);
        site.wait(900);
        assert_eq!(few.post(&link, &[]).await.status(), StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn the_log_names_the_event_and_no_token() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let link = link(&site, "registered").await;
    let log = crate::support::log::Log::start(vestibule::config::LogFormat::Json);
    let owner = site.browser();
    owner.post(&link, &[]).await;
    owner.post(&link, &[]).await;
    let text = log.text();
    assert!(text.contains("\"not_me\"") && text.contains("\"link_refused\""), "{text}");
    assert!(!text.contains(link.strip_prefix("/not-me/").unwrap()), "{text}");
}
