//! Trusted browsers: a token belongs to one account, and only the site issues it.

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

const DEVICE: &str = "vestibule-device";

/// A token that an attacker planted in somebody's browser.
const MADE_UP: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn token(browser: &Browser) -> String {
    browser.cookie(DEVICE).unwrap().split('.').next().unwrap().to_owned()
}

/// Whether the browser with this cookie has separate attempts at the password of `username`, after
/// untrusted browsers have used up theirs.
async fn is_trusted(site: &Site, username: &str, cookie: &str, password: &str) -> bool {
    for _ in 0..10 {
        site.browser().log_in(username, "wrong").await;
    }
    let mut browser = site.browser();
    browser.set_cookie(DEVICE, cookie);
    let got_in = browser.log_in(username, password).await.path() == "/account";
    site.wait(900);
    got_in
}

/// Whether the browser with this cookie has separate codes (those that were trusted with an earlier
/// password have none), after untrusted browsers have used up theirs.
async fn has_own_codes(site: &Site, username: &str, cookie: &str) -> bool {
    for _ in 0..10 {
        site.browser().ask_for_code(username, &email_of(username)).await;
    }
    let mut browser = site.browser();
    browser.set_cookie(DEVICE, cookie);
    let is_sent = browser.ask_for_code(username, &email_of(username)).await.path() == "/reset";
    site.wait(86_400);
    is_sent
}

async fn logged_out(mut browser: Browser) -> Browser {
    browser.open("/account").await.press("Log out").await;
    browser
}

on_both_databases! {
    async fn a_device_token_planted_before_a_login_is_not_trusted(site: Site) {
        logged_out(site.registered("ann").await).await;
        logged_out(site.registered("eve").await).await;
        let mut eves = site.browser();
        eves.log_in("eve", PASSWORD).await;
        let issued = token(&eves);
        for planted in [MADE_UP, &issued, &format!("{issued}.{MADE_UP}")] {
            site.wait(24 * 60 * 60);
            let mut victim = site.browser();
            victim.set_cookie(DEVICE, planted);
            victim.log_in("ann", PASSWORD).await;
            assert_eq!(victim.path(), "/account");
            assert!(!planted.contains(&token(&victim)));
            assert!(!is_trusted(&site, "ann", planted, PASSWORD).await, "{planted}");
            assert!(is_trusted(&site, "ann", &token(&victim), PASSWORD).await);
            let before = site.mails_to("ann").await.len();
            let mut attacker = site.browser();
            attacker.set_cookie(DEVICE, planted);
            attacker.log_in("ann", PASSWORD).await;
            assert_eq!(site.mails_to("ann").await[before..], ["new_device"], "{planted}");
        }
    }

    async fn a_device_token_planted_before_a_registration_is_not_trusted(site: Site) {
        let mut ann = site.browser();
        ann.set_cookie(DEVICE, MADE_UP);
        ann.register("ann", &email_of("ann"), PASSWORD).await;
        assert_ne!(token(&ann), MADE_UP);
        assert!(!is_trusted(&site, "ann", MADE_UP, PASSWORD).await);
        assert!(is_trusted(&site, "ann", &token(&ann), PASSWORD).await);
    }

    async fn a_device_token_planted_before_a_reset_is_not_trusted(site: Site) {
        let old = token(&site.registered("ann").await);
        for (planted, password) in [(MADE_UP, OTHER_PASSWORD), (&old, "harbour kettle ribbon")] {
            let (mut ann, code) = site.with_code("ann").await;
            ann.set_cookie(DEVICE, planted);
            ann.reset(&code, password).await;
            assert_eq!(ann.path(), "/login", "{}", ann.text());
            assert!(!has_own_codes(&site, "ann", planted).await, "{planted}");
            assert!(is_trusted(&site, "ann", &token(&ann), password).await, "{planted}");
            site.wait(86_400);
        }
    }

    async fn a_device_token_of_a_password_thief_is_not_trusted_after_a_change(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut thief = site.browser();
        thief.log_in("ann", PASSWORD).await;
        let planted = token(&thief);
        ann.set_cookie(DEVICE, &planted);
        let fields = [("current_password", PASSWORD), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let answer = ann.post("/account/password", &fields).await;
        ann.keep(&answer);
        assert_ne!(token(&ann), planted);
        assert!(!has_own_codes(&site, "ann", &planted).await);
        // Nor when the owner logs in with it in another browser.
        let mut phone = site.browser();
        phone.set_cookie(DEVICE, &planted);
        phone.log_in("ann", OTHER_PASSWORD).await;
        assert_ne!(token(&phone), planted);
        assert!(!has_own_codes(&site, "ann", &planted).await);
        assert!(has_own_codes(&site, "ann", &token(&ann)).await);
        assert!(is_trusted(&site, "ann", &token(&ann), OTHER_PASSWORD).await);
    }

    async fn two_accounts_used_in_one_browser_both_trust_it(site: Site) {
        let mut shared = logged_out(site.registered("ann").await).await;
        shared.register("bob", &email_of("bob"), PASSWORD).await;
        let mut shared = logged_out(shared).await;
        for _ in 0..2 {
            for name in ["ann", "bob"] {
                site.wait(1);
                shared.log_in(name, PASSWORD).await;
                shared.open("/account").await.press("Log out").await;
            }
        }
        for name in ["ann", "bob"] {
            assert_eq!(site.mails_to(name).await, ["registered"], "{name}");
            assert!(is_trusted(&site, name, shared.cookie(DEVICE).unwrap(), PASSWORD).await, "{name}");
        }
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 2);
    }

    async fn a_browser_holds_the_tokens_of_the_four_accounts_used_last(site: Site) {
        let mut shared = site.browser();
        for name in ["ann", "bob", "cid", "dan", "eve"] {
            shared.register(name, &email_of(name), PASSWORD).await;
            shared = logged_out(shared).await;
        }
        let cookie = shared.cookie(DEVICE).unwrap().clone();
        assert_eq!(cookie.split('.').count(), 4);
        assert!(!is_trusted(&site, "ann", &cookie, PASSWORD).await);
        assert!(is_trusted(&site, "bob", &cookie, PASSWORD).await);
    }

    async fn a_browser_trusted_before_a_password_change_is_new_once_after_it(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut thief = site.browser();
        for (old, new) in [(PASSWORD, OTHER_PASSWORD), (OTHER_PASSWORD, "harbour kettle ribbon")] {
            thief.log_in("ann", old).await.press("Log out").await;
            site.wait(1);
            let before = site.mails_to("ann").await.len();
            let fields = [("current_password", old), ("password", new), ("password_confirm", new)];
            let answer = ann.post("/account/password", &fields).await;
            ann.keep(&answer);
            site.wait(1);
            for _ in 0..2 {
                assert!(thief.log_in("ann", new).await.is_logged_in().await);
                thief.press("Log out").await;
            }
            assert_eq!(site.mails_to("ann").await[before..], ["password_changed", "new_device"]);
        }
        let mut ann = logged_out(ann).await;
        ann.log_in("ann", "harbour kettle ribbon").await;
        assert_eq!(site.mails_to("ann").await.last().unwrap(), "new_device", "where it was changed it is known");
        assert_eq!(site.mails_to("ann").await.len(), 6);
    }

    async fn a_browser_with_a_new_token_is_stored_once(site: Site) {
        let ann = site.registered("ann").await;
        let mut other = site.browser();
        other.log_in("ann", PASSWORD).await.press("Log out").await;
        let fields = [("current_password", PASSWORD), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        ann.post("/account/password", &fields).await;
        other.log_in("ann", OTHER_PASSWORD).await;
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 2);
    }

    async fn a_browser_that_changed_the_password_is_not_new_at_the_next_login(site: Site) {
        let mut ann = site.registered("ann").await;
        let fields = [("current_password", PASSWORD), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let answer = ann.post("/account/password", &fields).await;
        ann.keep(&answer);
        assert_eq!(ann.cookie(DEVICE).unwrap().len(), 22, "the new one is in the place of the old one");
        let mut ann = logged_out(ann).await;
        ann.log_in("ann", OTHER_PASSWORD).await;
        assert_eq!(site.mails_to("ann").await, ["registered", "password_changed"]);
    }
}
