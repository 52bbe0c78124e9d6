//! Each setting takes effect.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use vestibule::config::{BaseUrl, Colour, Notices, Rate};

use crate::support::{OTHER_PASSWORD, PASSWORD, Site, email_of, form_request};

#[tokio::test]
async fn codes_expire_after_code_ttl_and_the_page_says_so() {
    let site = Site::with(|config| config.code_ttl = 90).await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    assert!(ann.text().contains("It expires in 90 seconds"), "{}", ann.text());
    assert!(site.mails().await[0].text.contains("90 seconds"));
    site.wait(90);
    ann.reset(&code, OTHER_PASSWORD).await;
    assert_eq!(ann.problems(), ["This code has expired. Request a new one."]);
}

#[tokio::test]
async fn the_subject_contains_the_code_only_if_set() {
    for in_subject in [true, false] {
        let site = Site::with(|config| config.code_in_subject = in_subject).await;
        site.registered("ann").await;
        let (_, code) = site.with_code("ann").await;
        assert_eq!(site.mails().await[0].subject.contains(&code), in_subject);
    }
}

#[tokio::test]
async fn a_code_allows_as_many_guesses_as_set() {
    let site = Site::with(|config| config.limits.reset_code = 2).await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    for _ in 0..2 {
        ann.reset("CCCC-CCCC", OTHER_PASSWORD).await;
    }
    ann.reset(&code, OTHER_PASSWORD).await;
    assert!(
        ann.problems()[0].starts_with("This code has no attempts left"),
        "{:?}",
        ann.problems()
    );
}

#[tokio::test]
async fn password_min_applies_on_every_page() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let (asked, code) = site.with_code("ann").await;
    let strict = site.changed(|config| config.password_min = 25).await;
    let short = [
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("code", code.as_str()),
        ("current_password", PASSWORD),
    ];
    let browsers =
        [("/register", None), ("/account/password", Some(&ann)), ("/reset", Some(&asked))];
    for (path, owner) in browsers {
        let mut browser = strict.tab();
        if let Some(owner) = owner {
            browser.set_cookie("vestibule", owner.cookie("vestibule").unwrap());
        }
        let answer = browser.post(path, &short).await;
        let page = crate::support::body_of(answer).await;
        assert!(page.contains("Use a password with at least 25 characters."), "{path}");
    }
}

#[tokio::test]
async fn session_lifetimes_follow_the_settings() {
    let site = Site::with(|config| {
        (config.sessions.idle_unremembered, config.sessions.idle, config.sessions.max) =
            (1000, 2000, 3000);
    })
    .await;
    let mut ann = site.registered("ann").await;
    site.wait(998);
    assert!(ann.is_logged_in().await);
    site.wait(1000);
    assert!(!ann.is_logged_in().await, "unused for too long");
    ann.open("/login").await;
    ann.fill("Username or email", "ann").fill("Password", PASSWORD);
    ann.tick("Keep me logged in on this device").press("Log in").await;
    site.wait(1999);
    assert!(ann.is_logged_in().await);
    site.wait(1001);
    assert!(!ann.is_logged_in().await, "too old in all");
}

#[tokio::test]
async fn each_request_extends_a_short_session() {
    let site = Site::with(|config| config.sessions.idle_unremembered = 120).await;
    let mut ann = site.registered("ann").await;
    for _ in 0..5 {
        site.wait(60);
        assert!(ann.is_logged_in().await);
    }
}

#[tokio::test]
async fn without_notices_only_codes_are_mailed() {
    let site = Site::with(|config| config.notices = Notices::parse("none").unwrap()).await;
    let mut ann = site.registered("ann").await;
    site.browser().log_in("ann", PASSWORD).await;
    ann.open("/account/password").await;
    ann.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD);
    ann.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
    assert_eq!(ann.path(), "/account");
    let (mut ann, code) = site.with_code("ann").await;
    ann.reset(&code, "harbour kettle ribbon").await;
    assert_eq!(ann.path(), "/login");
    assert_eq!(site.mails_to("ann").await, ["reset_code"]);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_forwarded_address_is_limited_separately() {
    let site = Site::on_sqlite().await;
    let status = async |trusted: &str, forwarded: &str| {
        let browser = site
            .changed(|config| {
                config.trusted_proxies = trusted.parse().into_iter().collect();
                config.limits.login_ip = Some(Rate { count: 1, period: 60 });
            })
            .await;
        let mut request = form_request("/login", "username=bob&password=wrong".to_owned());
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        browser.send(request).await.status()
    };
    // Requests in these tests have no address, which counts as 0.0.0.0.
    assert_eq!(status("0.0.0.0/32", "198.51.100.1").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(status("0.0.0.0/32", "198.51.100.2").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(status("0.0.0.0/32", "198.51.100.1").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status("192.0.2.1/32", "198.51.100.3").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        status("192.0.2.1/32", "198.51.100.4").await,
        StatusCode::TOO_MANY_REQUESTS,
        "not believed"
    );
}

#[tokio::test]
async fn an_email_has_the_accent_and_names_the_forwarded_address_and_the_device() {
    let site = Site::with(|config| {
        config.trusted_proxies = "0.0.0.0/32".parse().into_iter().collect();
        config.accent.light.accent = Colour([0x12, 0x34, 0x56]);
        config.accent.dark.accent = Colour([0xab, 0xcd, 0xef]);
    })
    .await;
    site.registered("ann").await;
    assert!(site.mails().await[0].text.contains("Device:      unknown\nIP address:  unknown\n"));
    let form = format!("username=ann&password={}", PASSWORD.replace(' ', "+"));
    let mut request = form_request("/login", form);
    request.headers_mut().insert("x-forwarded-for", "2001:db8::7".parse().unwrap());
    request.headers_mut().insert("user-agent", "(X11; Linux) Firefox/140.0".parse().unwrap());
    assert_eq!(site.browser().send(request).await.status(), StatusCode::SEE_OTHER);
    let mail = site.mails().await.remove(0);
    assert_eq!(mail.kind, "new_device");
    let facts = "Device:      Firefox on Linux\nIP address:  2001:db8::7\n";
    assert!(mail.text.contains(facts), "{}", mail.text);
    assert!(mail.html.contains("color: #123456") && mail.html.contains("color: #abcdef"));
}

#[tokio::test]
async fn guessing_the_current_password_is_limited_like_logging_in() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let fields = [
        ("current_password", "wrong"),
        ("password", OTHER_PASSWORD),
        ("password_confirm", OTHER_PASSWORD),
    ];
    for _ in 0..10 {
        assert_eq!(
            ann.post("/account/password", &fields).await.status(),
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    assert_eq!(
        ann.post("/account/password", &fields).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn an_attacker_who_knows_only_the_address_cannot_use_up_the_owners_emails() {
    let site =
        Site::with(|config| config.limits.mail_address = Some(Rate { count: 3, period: 3600 }))
            .await;
    site.registered("ann").await;
    for number in 0..6 {
        site.browser().ask_for_code(&format!("nobody{number}"), &email_of("ann")).await;
    }
    for _ in 0..3 {
        let mut ann = site.browser();
        ann.ask_for_code("ann", &email_of("ann")).await;
        assert_eq!(ann.path(), "/reset");
    }
    let mut ann = site.browser();
    ann.ask_for_code("ann", &email_of("ann")).await;
    assert_eq!(ann.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(site.mails_to("ann").await.len(), 3, "one for the registration, two codes");
}

#[tokio::test]
async fn on_https_the_device_cookie_is_bound_to_the_host() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let production = site
        .changed(|config| config.base_url = BaseUrl::parse("https://accounts.example").unwrap())
        .await;
    let mut login = form_request("/login", "username=ann&password=moss+lantern+quartz".to_owned());
    login.headers_mut().insert("origin", "https://accounts.example".parse().unwrap());
    let answer = production.send(login).await;
    let cookies: Vec<_> =
        answer.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    let device = cookies.iter().find(|line| line.starts_with("__Host-vestibule-device=")).unwrap();
    for part in ["; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/", "Max-Age=34560000"] {
        assert!(device.contains(part), "{device}");
    }
}

#[tokio::test]
async fn pages_and_static_files_are_compressed_for_browsers_that_accept_it() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/login").await;
    let css = visitor.attribute("link[rel=stylesheet]", "href").unwrap();
    let script = visitor.attribute("script", "src").unwrap();
    for path in ["/login", &css, &script] {
        for (accepted, encoding) in [
            ("gzip, deflate, br", Some("br")),
            ("gzip", Some("gzip")),
            ("br;q=0, *", Some("gzip")),
            ("identity", None),
        ] {
            let request = Request::get(path).header("accept-encoding", accepted);
            let answer = visitor.send(request.body(Body::empty()).unwrap()).await;
            let found = answer.headers().get("content-encoding").map(|it| it.to_str().unwrap());
            assert_eq!(found, encoding, "{path}: {accepted}");
        }
    }
}

#[tokio::test]
async fn notices_and_codes_have_separate_mail_limits() {
    let site =
        Site::with(|config| config.limits.mail_address = Some(Rate { count: 9, period: 3600 }))
            .await;
    let mut ann = site.registered("ann").await;
    for _ in 0..3 {
        site.browser().log_in("ann", PASSWORD).await;
    }
    for username in ["ann", "nobody"] {
        let mut seen = Vec::new();
        for _ in 0..5 {
            let mut browser = site.browser();
            browser.ask_for_code(username, &email_of(username)).await;
            seen.push(browser.status.as_u16());
        }
        assert_eq!(seen, [200, 200, 200, 200, 429], "{username}");
    }
    ann.open("/account/password").await;
    ann.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD);
    ann.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
    assert!(
        site.mails_to("ann").await.contains(&"password_changed".to_owned()),
        "every change is reported by email"
    );
}
