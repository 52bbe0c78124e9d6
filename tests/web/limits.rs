//! Limits: counted before anything is compared, the same whether or not there is an account.

use std::net::SocketAddr;

use axum::Extension;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Response, StatusCode};
use futures_util::future::join_all;
use vestibule::Config;
use vestibule::config::{Notices, Rate};

use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of, email_of};

const fn rate(count: i64) -> Option<Rate> {
    Some(Rate { count, period: 900 })
}

async fn tries(site: &Site, login: &str, password: &str, times: usize) -> StatusCode {
    let mut browser = site.browser();
    for _ in 0..times {
        browser.log_in(login, password).await;
    }
    browser.status
}

on_both_databases! {
    async fn failed_logins_to_an_account_are_limited_whether_it_exists_or_not(site: Site) {
        site.registered("ann").await;
        for (names, unknown) in [(["ann", "ann@meadow.example"], false), (["bob", " BOB "], true)] {
            assert_eq!(tries(&site, names[0], "wrong", 5).await, StatusCode::UNPROCESSABLE_ENTITY, "{unknown}");
            assert_eq!(tries(&site, names[1], "wrong", 5).await, StatusCode::UNPROCESSABLE_ENTITY, "{unknown}");
            let mut browser = site.browser();
            browser.log_in(names[0], PASSWORD).await;
            assert_eq!(browser.status, StatusCode::TOO_MANY_REQUESTS, "one limit for every spelling of an account");
            assert_eq!(browser.headers["retry-after"], "900");
            assert_eq!(browser.title(), "Error: Log in – Vestibule");
            assert_eq!(browser.problems(), ["Too many attempts. Try again in 15 minutes."]);
        }
        site.wait(900);
        assert_eq!(tries(&site, "ann", PASSWORD, 1).await, StatusCode::OK);
    }

    async fn parallel_logins_are_each_counted(site: Site) {
        site.registered("ann").await;
        let browser = site.browser();
        let fields = [("username", "ann"), ("password", "wrong")];
        let answers = join_all((0..30).map(|_| browser.post("/login", &fields))).await;
        let compared = answers.iter().filter(|answer| answer.status() == StatusCode::UNPROCESSABLE_ENTITY).count();
        assert_eq!(compared, 10);
    }

    async fn a_login_resets_the_failures_of_the_account_but_not_of_the_network(site: Site) {
        site.registered("ann").await;
        let count = "select coalesce(max(count), 0) from vestibule_rate_limits where window_ends_at > 0";
        tries(&site, "ann", "wrong", 9).await;
        assert_eq!(tries(&site, "ann", PASSWORD, 1).await, StatusCode::OK);
        assert_eq!(site.count(count).await, 9, "the address keeps its nine failures");
        assert_eq!(tries(&site, "ann", "wrong", 9).await, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(tries(&site, "ann", PASSWORD, 1).await, StatusCode::OK, "the account's count was reset");
    }

    async fn a_password_reset_resets_the_failed_logins(site: Site) {
        site.registered("ann").await;
        tries(&site, "ann", "wrong", 11).await;
        assert_eq!(tries(&site, "ann", PASSWORD, 1).await, StatusCode::TOO_MANY_REQUESTS);
        let (mut ann, code) = site.with_code("ann").await;
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(tries(&site, "ann", OTHER_PASSWORD, 1).await, StatusCode::OK);
    }

    async fn codes_for_an_account_are_limited_whether_it_exists_or_not(site: Site) {
        site.registered("ann").await;
        for username in ["ann", "bob"] {
            for _ in 0..10 {
                site.browser().ask_for_code(username, &email_of(username)).await;
            }
            let mut browser = site.browser();
            browser.ask_for_code(username, &email_of(username)).await;
            assert_eq!(browser.status, StatusCode::TOO_MANY_REQUESTS, "{username}");
        }
        assert_eq!(site.mails_to("ann").await.len(), 11, "the registration's, and ten codes");
    }

    async fn wrong_codes_for_an_account_are_limited_over_all_its_codes_and_browsers(site: Site) {
        site.registered("ann").await;
        for _ in 0..4 {
            let (mut browser, _) = site.with_code("ann").await;
            for _ in 0..5 {
                browser.reset("CCCC-CCCC", OTHER_PASSWORD).await;
                assert_eq!(browser.status, StatusCode::UNPROCESSABLE_ENTITY);
            }
        }
        let (mut browser, code) = site.with_code("ann").await;
        browser.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(browser.status, StatusCode::TOO_MANY_REQUESTS, "the twenty-first guess of the day");
        assert_eq!(browser.headers["retry-after"].to_str().unwrap().len(), 5);
    }
}

#[tokio::test]
async fn each_ip_address_is_limited_separately_and_off_means_no_limit() {
    let site = Site::on_sqlite().await;
    let limited = async |change: fn(&mut Config)| site.changed(change).await;
    for (change, path) in [
        ((|config: &mut Config| config.limits.login_ip = rate(2)) as fn(&mut Config), "/login"),
        (|config| config.limits.register_ip = rate(2), "/register"),
        (|config| config.limits.forgot_ip = rate(2), "/forgot"),
    ] {
        let browser = limited(change).await;
        let mut seen = Vec::new();
        for number in 0..3 {
            let (name, email) = (format!("name{number}"), format!("name{number}@meadow.example"));
            let fields = [
                ("username", &*name),
                ("email", &email),
                ("password", PASSWORD),
                ("password_confirm", PASSWORD),
            ];
            seen.push(browser.post(path, &fields).await.status());
        }
        assert_eq!(seen[2], StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_ne!(seen[1], StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    let unlimited = site
        .changed(|config| (config.limits.login_ip, config.limits.login_account) = (None, None))
        .await;
    for _ in 0..80 {
        let answer = unlimited.post("/login", &[("username", "ann"), ("password", "wrong")]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn the_response_to_a_reached_limit_is_the_same_without_an_account() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let strict = site.changed(|config| config.limits.login_account = rate(1)).await;
    let mut pages = Vec::new();
    for login in ["ann", "bob"] {
        strict.post("/login", &[("username", login), ("password", "wrong")]).await;
        let answer = strict.post("/login", &[("username", login), ("password", PASSWORD)]).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        pages.push(body_of(answer).await.replace(&format!("value=\"{login}\""), ""));
    }
    assert_eq!(pages[0], pages[1]);
}

#[tokio::test]
async fn the_limits_table_contains_no_usernames_and_no_addresses() {
    let site = Site::on_sqlite().await;
    tries(&site, "ann@meadow.example", "wrong", 2).await;
    assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 3);
    assert_eq!(
        site.count(
            "select count(*) from vestibule_rate_limits where subject like '%ann%' or subject like '%0.0.0.0%'"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn notices_stop_at_the_mailbox_limit_and_logins_still_work() {
    let site = Site::with(|config| {
        config.notices = Notices::parse("login").unwrap();
        config.limits.mail_address = rate(18);
    })
    .await;
    site.registered("ann").await;
    assert_eq!(tries(&site, "ann", PASSWORD, 1).await, StatusCode::OK);
    for _ in 0..5 {
        assert_eq!(site.browser().log_in("ann", PASSWORD).await.status, StatusCode::OK);
    }
    assert_eq!(site.mails_to("ann").await.len(), 3);
}

#[tokio::test]
async fn a_full_hash_queue_does_not_count_an_attempt() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (browser, taken) = site.with_full_hash_queue().await;
    for _ in 0..12 {
        let answer = browser.post("/login", &[("username", "ann"), ("password", PASSWORD)]).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    drop(taken);
    assert_eq!(
        site.count("select max(count) from vestibule_rate_limits where count <> 1").await,
        0
    );
}

#[tokio::test]
async fn a_refused_registration_is_not_counted() {
    let site = Site::with(|config| config.limits.register_ip = rate(1)).await;
    for _ in 0..3 {
        let mut browser = site.browser();
        browser.register("ann", "ann@meadow.example", "password1234").await;
        assert_eq!(browser.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    site.registered("ann").await;
    let mut second = site.browser();
    second.register("bob", "bob@meadow.example", PASSWORD).await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Browsers whose requests come from `address`.
fn from(site: &Site, address: &str) -> Browser {
    let peer: SocketAddr = SocketAddr::new(address.parse().unwrap(), 4711);
    Browser::new(site.router.clone().layer(Extension(ConnectInfo(peer))))
}

const REFUSED: [(&str, &str); 4] = [
    ("username", "ann"),
    ("email", "ann@meadow.example"),
    ("password", "password1234"),
    ("password_confirm", "password1234"),
];

#[tokio::test]
async fn forms_with_a_refused_password_are_counted_before_the_check() {
    let site = Site::with(|config| config.limits.register_ip = rate(2)).await;
    let browser = from(&site, "203.0.113.9");
    for number in 0..20 {
        let answer = browser.post("/register", &REFUSED).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{number}: ten for each");
    }
    let (answer, work) = work_of(browser.post("/register", &REFUSED)).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(!work.is_empty(), "it is counted");
    let answer = from(&site, "203.0.113.8").post("/register", &REFUSED).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "another address has its own");
}

#[tokio::test]
async fn forms_that_are_refused_without_a_check_of_the_password_are_counted_too() {
    for fields in [
        [REFUSED[0], REFUSED[1], ("password", "short"), ("password_confirm", "short")],
        [REFUSED[0], REFUSED[1], ("password", ""), ("password_confirm", "")],
        [("username", ""), ("email", "nobody"), ("password", ""), ("password_confirm", PASSWORD)],
    ] {
        let site = Site::with(|config| config.limits.register_ip = rate(3)).await;
        let browser = site.browser();
        for number in 0..60 {
            let status = browser.post("/register", &fields).await.status();
            let is_limited = status == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(is_limited, number >= 30, "{number}: {status}");
        }
    }
}

#[tokio::test]
async fn a_person_who_corrects_a_dozen_mistakes_gets_through() {
    let site = Site::with(|config| config.limits.register_ip = rate(1)).await;
    let mut ann = site.browser();
    for _ in 0..12 {
        ann.register("ann", "ann@meadow.example", "short").await;
        assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(ann.register("ann", "ann@meadow.example", PASSWORD).await.path(), "/account");
}

#[tokio::test]
async fn new_passwords_are_counted_at_the_other_forms_by_code_and_by_account() {
    let site = Site::with(|config| config.limits.register_ip = rate(2)).await;
    let (mut ann, (mut reset, _)) = (site.registered("ann").await, site.with_code("ann").await);
    let too_short = [("password", "short"), ("password_confirm", "short")];
    for (number, password) in [[REFUSED[2], REFUSED[3]], too_short].repeat(11).iter().enumerate() {
        for (browser, path, first) in [
            (&reset, "/reset", ("code", "CCCC-CCCC")),
            (&ann, "/account/password", ("current_password", PASSWORD)),
        ] {
            let fields = [first, password[0], password[1]];
            let status = browser.post(path, &fields).await.status();
            let is_limited = status == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(is_limited, number >= 20, "{path} {number}: {status}");
        }
    }
    assert!(ann.is_logged_in().await);
    site.wait(30);
    reset.open("/reset").await.press("Send a new code").await;
    reset.reset(&site.newest_code().await, OTHER_PASSWORD).await;
    assert_eq!(reset.path(), "/login", "another code has its own count: {}", reset.text());
}

#[tokio::test]
async fn refused_forms_from_the_same_address_do_not_keep_a_right_code_from_working() {
    let site = Site::with(|config| config.limits.register_ip = rate(2)).await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    let mut last = StatusCode::OK;
    for _ in 0..25 {
        last = site.browser().post("/register", &REFUSED).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    for _ in 0..25 {
        let (visitor, _) = site.with_code("bob").await;
        visitor.post("/reset", &[("code", "CCCC-CCCC"), REFUSED[2], REFUSED[3]]).await;
    }
    ann.reset(&code, OTHER_PASSWORD).await;
    assert_eq!(ann.path(), "/login", "{}", ann.text());
}

#[tokio::test]
async fn codes_for_trusted_devices_count_for_their_network_at_four_times_the_limit() {
    let site = Site::with(|config| config.limits.forgot_ip = rate(1)).await;
    let mut statuses = Vec::new();
    for name in ["ann", "bob", "cid", "dan", "eve"] {
        let mut own = site.registered(name).await;
        own.press("Log out").await;
        statuses.push(own.ask_for_code(name, &email_of(name)).await.status);
    }
    assert_eq!(statuses[3], StatusCode::OK);
    assert_eq!(statuses[4], StatusCode::TOO_MANY_REQUESTS);
    let mut visitor = site.browser();
    visitor.ask_for_code("nobody", "nobody@meadow.example").await;
    assert_eq!(visitor.status, StatusCode::OK, "untrusted browsers are counted separately");
}

#[tokio::test]
async fn right_logins_at_once_are_not_refused_because_of_each_other() {
    let site = Site::with(|config| {
        config.notices = Notices::parse("none").unwrap();
        config.limits.login_ip = rate(10);
    })
    .await;
    site.registered("ann").await;
    site.registered("bob").await;
    tries(&site, "ann", "wrong", 4).await;
    let browser = site.browser();
    let log_in = |name| [("username", name), ("password", PASSWORD)];
    let logins: Vec<_> = ["ann", "bob"].repeat(20).into_iter().map(log_in).collect();
    let answers = join_all(logins.iter().map(|fields| browser.post("/login", fields))).await;
    let statuses: Vec<_> = answers.iter().map(Response::status).collect();
    assert!(statuses.iter().all(|status| *status == StatusCode::SEE_OTHER), "{statuses:?}");
    let failures = "select max(count) from vestibule_rate_limits";
    assert_eq!(site.count(failures).await, 4, "the address keeps its four failures");
}

#[tokio::test]
async fn of_fifty_wrong_guesses_at_once_no_more_than_the_limit_is_compared() {
    let site = Site::with(|config| config.limits.login_ip = rate(20)).await;
    site.registered("ann").await;
    let browser = site.browser();
    let names: Vec<String> = (0..50).map(|number| format!("name{}", number % 10)).collect();
    let guess = |name| [("username", name), ("password", "wrong")];
    let guesses = names.iter().map(|name| guess(name.as_str()));
    let guesses: Vec<_> = guesses.collect();
    let answers = join_all(guesses.iter().map(|fields| browser.post("/login", fields))).await;
    let compared = |answers: &[Response<Body>]| {
        answers.iter().filter(|answer| answer.status() == StatusCode::UNPROCESSABLE_ENTITY).count()
    };
    assert_eq!(compared(&answers), 20);
    site.wait(900);
    let (wrong, right) = (guess("ann"), [("username", "ann"), ("password", PASSWORD)]);
    let guesses = (0..50).map(|number| if number == 25 { &right } else { &wrong });
    let answers = join_all(guesses.map(|fields| browser.post("/login", fields))).await;
    assert!(compared(&answers) <= 20, "a right one among them frees no more than those before it");
}

#[tokio::test]
async fn subnets_of_a_56_do_not_multiply_a_limit() {
    let site = Site::with(|config| {
        config.limits.login_ip = rate(2);
        config.limits.register_ip = rate(2);
        config.limits.forgot_ip = rate(2);
    })
    .await;
    let fields = |number: usize| {
        let name = format!("name{number}");
        (name.clone(), format!("{name}@meadow.example"))
    };
    for (path, taken) in [
        ("/login", StatusCode::UNPROCESSABLE_ENTITY),
        ("/forgot", StatusCode::SEE_OTHER),
        ("/register", StatusCode::SEE_OTHER),
    ] {
        let mut allowed = 0;
        for number in 0..30 {
            let (name, email) = fields(number);
            let browser = from(&site, &format!("2001:db8:1:2{number:02x}::1"));
            let all = [
                ("username", &*name),
                ("email", &email),
                ("password", PASSWORD),
                ("password_confirm", PASSWORD),
            ];
            allowed += usize::from(browser.post(path, &all).await.status() == taken);
        }
        assert_eq!(allowed, 8, "{path}: four times the limit of a /64");
        let other = from(&site, "2001:db8:1:300::1");
        let all = [
            ("username", "cleo"),
            ("email", "cleo@meadow.example"),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        assert_eq!(other.post(path, &all).await.status(), taken, "{path}: another /56");
    }
}

#[tokio::test]
async fn a_reached_limit_shows_the_form_as_typed_without_the_password() {
    let site = Site::with(|config| {
        let limits = &mut config.limits;
        (limits.register_ip, limits.login_ip, limits.forgot_ip) = (rate(0), rate(0), rate(0));
        limits.forgot_account = rate(0);
    })
    .await;
    let message = ["Too many attempts. Try again in 15 minutes."];
    let mut ann = site.browser();
    ann.register("ann", "ann@meadow.example", PASSWORD).await;
    let registered = (ann.attribute("#username", "value"), ann.attribute("#email", "value"));
    assert_eq!(registered, (Some("ann".into()), Some("ann@meadow.example".into())));
    assert_eq!(ann.problems(), message);
    assert!(!ann.html.contains(PASSWORD));
    for login in ["ann", "ann@meadow.example"] {
        ann.log_in(login, PASSWORD).await;
        assert_eq!(ann.attribute("#username", "value").as_deref(), Some(login));
        assert_eq!(
            (ann.status, ann.problems()),
            (StatusCode::TOO_MANY_REQUESTS, message.map(str::to_owned).to_vec())
        );
        assert!(!ann.html.contains(PASSWORD));
    }
    ann.ask_for_code("ann", "ann@meadow.example").await;
    assert_eq!(ann.attribute("#email", "value").as_deref(), Some("ann@meadow.example"));
    assert_eq!(ann.problems(), message);
    assert_eq!(ann.headers["retry-after"], "900");
}

#[tokio::test]
async fn a_reached_limit_of_codes_shows_the_form_too() {
    let site = Site::with(|config| config.limits.reset_account = rate(1)).await;
    site.registered("ann").await;
    let (mut ann, _) = site.with_code("ann").await;
    for _ in 0..2 {
        ann.reset("CCCC-CCCC", OTHER_PASSWORD).await;
    }
    assert_eq!(ann.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ann.attribute("#code", "value").as_deref(), Some("CCCC-CCCC"));
    assert_eq!(ann.problems(), ["Too many attempts. Try again in 15 minutes."]);
    let changing = site.changed(|config| config.limits.login_account = rate(0)).await;
    let mut owner = changing.tab();
    owner.set_cookie("vestibule", site.registered("bob").await.cookie("vestibule").unwrap());
    owner.open("/account/password").await;
    owner.fill("Current password", PASSWORD).press("Change password").await;
    assert_eq!(owner.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(owner.title(), "Error: Change your password – Vestibule");
}
