//! Invitations: an emailed link lets the owner of an address register.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use vestibule::Config;
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::invitation::{Invited, invitations, invite, revoke};
use vestibule::accounts::mail_limits::MailQuota;
use vestibule::accounts::mail_link::INVITATION_LIFE;
use vestibule::accounts::rate_limits::may_send;
use vestibule::accounts::requester::Requester;
use vestibule::config::{Domains, LogFormat, Rate, RegistrationMode};

use crate::support::log::Log;
use crate::support::program::Folder;
use crate::support::{Browser, PASSWORD, Site, body_of};

const USERS: &str = "select count(*) from vestibule_users";
const LINKS: &str = "select count(*) from vestibule_mail_links where purpose = 'invite'";

fn by_invitation(config: &mut Config) {
    config.registration.mode = RegistrationMode::Invite;
}

fn by_invitation_with_terms(config: &mut Config) {
    by_invitation(config);
    config.registration.terms_url = Some("https://example.org/terms".to_owned());
}

async fn router(site: &Site, change: impl FnOnce(&mut Config)) -> Router {
    vestibule::site(&site.app_with(change).await)
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

/// The path of the link in an invitation to `to`, which is sent now.
async fn invited(site: &Site, to: &str) -> String {
    site.wait(1);
    assert!(matches!(invite(&site.app, &address(to)).await.unwrap(), Invited::Sent(_)));
    let mails = site.mails().await;
    let mail = mails.iter().find(|mail| mail.kind == "invitation" && mail.to == to).unwrap();
    let start = "http://localhost:8000/register?invite=";
    let link = mail.text.lines().find(|line| line.starts_with(start)).expect("a link on its line");
    link.strip_prefix("http://localhost:8000").unwrap().to_owned()
}

/// Fills in the form and sends it.
async fn register(visitor: &mut Browser, username: &str) {
    visitor.fill("Username", username);
    visitor.fill("Password", PASSWORD).fill("Confirm password", PASSWORD);
    visitor.press("Create account").await;
}

fn form<'a>(username: &'a str, link: &'a str) -> [(&'a str, &'a str); 5] {
    let (_, token) = link.split_once('=').unwrap();
    [
        ("username", username),
        ("email", "ann@meadow.example"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("invite", token),
    ]
}

const DEAD: &str = "This invitation no longer works – Vestibule";

/// Checks that the link shows and takes no form.
async fn assert_dead(router: &Router, link: &str) {
    let mut visitor = Browser::new(router.clone());
    visitor.open(link).await;
    assert_eq!((visitor.status, &*visitor.title()), (StatusCode::NOT_FOUND, DEAD));
    assert!(visitor.all_text("form").is_empty());
    let answer = visitor.post("/register", &form("late", link)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

on_both_databases! {
    async fn an_invitation_makes_an_account_whose_address_is_proved(site: Site) {
        let router = router(&site, by_invitation).await;
        let link = invited(&site, "Ann@meadow.example").await;
        let mut ann = Browser::new(router.clone());
        ann.open(&format!("{link}&next=/account/password")).await;
        assert_eq!(ann.status, StatusCode::OK);
        assert_eq!(ann.attribute("#email", "value").as_deref(), Some("Ann@meadow.example"));
        assert!(ann.attribute("#email[readonly]", "id").is_some());
        register(&mut ann, "a b").await;
        assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(ann.attribute("#email", "value").as_deref(), Some("Ann@meadow.example"));
        register(&mut ann, "ann").await;
        assert_eq!(ann.path(), "/account/password", "{}", ann.text());
        let proved = "select count(*) from vestibule_users where email_verified_at > 0 and email_key = 'ann@meadow.example'";
        assert_eq!(site.count(proved).await, 1);
        let mails = site.mails().await;
        let welcome = mails.iter().find(|mail| mail.kind == "registered").unwrap();
        assert!(!welcome.text.contains("Confirm your email"), "{}", welcome.text);
        assert_dead(&router, &link).await;
        assert_eq!(site.count(USERS).await, 1);
    }

    async fn without_an_invitation_nobody_registers(site: Site) {
        let mut visitor = site.changed(by_invitation).await;
        assert!(!visitor.open("/login").await.text().contains("Create an account"));
        visitor.open("/register").await;
        assert_eq!((visitor.status, visitor.title()), (StatusCode::OK, "You need an invitation – Vestibule".to_owned()));
        assert!(visitor.text().contains("New accounts at Vestibule are by invitation."), "{}", visitor.text());
        assert!(visitor.all_text("form").is_empty());
        let fields = form("ann", "invite=");
        for (fields, title) in [(&fields[..4], "You need an invitation"), (&fields[..], "You need an invitation"), (&form("ann", "invite=AAAAAAAAAAAAAAAAAAAAAA")[..], "This invitation no longer works")] {
            let answer = visitor.post("/register", fields).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
            assert!(body_of(answer).await.contains(&format!("<title>Error: {title} ")), "{title}");
        }
        assert_eq!(site.count(USERS).await, 0);
        assert!(site.mails().await.is_empty());
    }

    async fn the_address_is_that_of_the_invitation_whatever_the_form_says(site: Site) {
        let router = router(&site, by_invitation).await;
        let link = invited(&site, "ann@meadow.example").await;
        let mut fields = form("ann", &link);
        fields[1].1 = "victim@meadow.example";
        let answer = Browser::new(router.clone()).post("/register", &fields).await;
        assert_eq!(answer.headers()["location"], "/account");
        assert_eq!(site.count("select count(*) from vestibule_users where email = 'ann@meadow.example'").await, 1);
        let link = invited(&site, "bob@meadow.example").await;
        let fields = form("bob", &link);
        let without_address = [fields[0], fields[2], fields[3], fields[4]];
        let answer = Browser::new(router).post("/register", &without_address).await;
        assert_eq!(answer.headers()["location"], "/account");
        assert_eq!(site.count("select count(*) from vestibule_users where email = 'bob@meadow.example'").await, 1);
    }

    async fn one_invitation_sent_twice_at_the_same_instant_makes_one_account(site: Site) {
        let router = router(&site, by_invitation).await;
        let link = invited(&site, "ann@meadow.example").await;
        let names = ["ann", "anna", "annie", "anne"];
        let visitors = names.map(|_| Browser::new(router.clone()));
        let forms = names.map(|name| form(name, &link));
        let posts = visitors.iter().zip(&forms).map(|(visitor, form)| visitor.post("/register", form));
        let mut statuses: Vec<_> = futures_util::future::join_all(posts).await.iter().map(|answer| answer.status().as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 422, 422, 422]);
        assert_eq!((site.count(USERS).await, site.count(LINKS).await), (1, 0));
    }

    async fn the_same_form_sent_twice_logs_in_both_times(site: Site) {
        let router = router(&site, by_invitation).await;
        let link = invited(&site, "ann@meadow.example").await;
        let (one, two) = (Browser::new(router.clone()), Browser::new(router.clone()));
        let fields = form("ann", &link);
        let (first, second) = tokio::join!(one.post("/register", &fields), two.post("/register", &fields));
        let third = one.post("/register", &fields).await;
        for answer in [first, second, third] {
            assert_eq!((answer.status(), &answer.headers()["location"]), (StatusCode::SEE_OTHER, &"/account".parse().unwrap()));
        }
        let mut other = fields;
        other[2].1 = "velvet anchor pudding";
        other[3].1 = "velvet anchor pudding";
        assert_eq!(two.post("/register", &other).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(site.count(USERS).await, 1);
    }

    async fn a_taken_username_is_told_and_uses_up_nothing(site: Site) {
        site.registered("bob").await;
        let router = router(&site, by_invitation).await;
        let link = invited(&site, "ann@meadow.example").await;
        let mut ann = Browser::new(router);
        ann.open(&link).await;
        register(&mut ann, "bob").await;
        assert_eq!((ann.status, ann.problems()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["That username is taken. Choose another.".to_owned()]));
        assert_eq!(ann.all_attributes("[role=alert] a", "href"), ["#username"]);
        register(&mut ann, "ann").await;
        assert_eq!(ann.path(), "/account");
    }

    async fn an_invitation_ends_with_time_a_newer_one_a_revocation_or_an_account(site: Site) {
        let router = router(&site, by_invitation).await;
        let first = invited(&site, "ann@meadow.example").await;
        let second = invited(&site, "ANN@meadow.example").await;
        assert_dead(&router, &first).await;
        let listed = invitations(&site.app).await.unwrap();
        assert_eq!(listed.iter().map(|one| &*one.email).collect::<Vec<_>>(), ["ANN@meadow.example"]);
        assert!(revoke(&site.app, &address("ann@meadow.example")).await.unwrap());
        assert!(!revoke(&site.app, &address("ann@meadow.example")).await.unwrap());
        assert_dead(&router, &second).await;
        let third = invited(&site, "ann@meadow.example").await;
        site.wait(INVITATION_LIFE - 1);
        assert_eq!(Browser::new(router.clone()).open(&third).await.status, StatusCode::OK);
        site.wait(1);
        assert_dead(&router, &third).await;
        assert!(invitations(&site.app).await.unwrap().is_empty());
        let fourth = invited(&site, "ann@meadow.example").await;
        site.registered("ann").await;
        assert_dead(&router, &fourth).await;
        assert!(matches!(invite(&site.app, &address("Ann@Meadow.example")).await.unwrap(), Invited::Taken));
        assert_eq!(site.count("select count(*) from vestibule_outbox where kind = 'invitation'").await, 4);
        assert_eq!(site.count(USERS).await, 1);
    }

    async fn an_invitation_that_is_revoked_while_its_form_is_sent_makes_no_account(site: Site) {
        let router = router(&site, by_invitation).await;
        let mut links = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let to = format!("{name}@meadow.example");
            let link = invited(&site, &to).await;
            let visitor = Browser::new(router.clone());
            let to = address(&to);
            let username = format!("person-{name}");
            let fields = form(&username, &link);
            let (answer, revoked) = tokio::join!(visitor.post("/register", &fields), revoke(&site.app, &to));
            links.push((answer.status() == StatusCode::SEE_OTHER, revoked.unwrap()));
        }
        assert!(links.iter().all(|(registered, revoked)| registered != revoked), "one of both wins: {links:?}");
    }

    async fn of_two_invitations_at_the_same_instant_one_works(site: Site) {
        let router = router(&site, by_invitation).await;
        for name in ["ann", "bob", "cid", "dan"] {
            let to = format!("{name}@meadow.example");
            let (one, two) = (address(&to), address(&to.to_uppercase()));
            let (one, two) = tokio::join!(invite(&site.app, &one), invite(&site.app, &two));
            assert!([one, two].iter().all(|sent| matches!(sent, Ok(Invited::Sent(_)))));
        }
        assert_eq!(site.count(LINKS).await, 4);
        assert_eq!(invitations(&site.app).await.unwrap().len(), 4);
        let mails = site.mails().await;
        let links = mails.iter().filter_map(|mail| mail.text.lines().find_map(|line| line.strip_prefix("http://localhost:8000")));
        let (mut works, mut dead) = (0, 0);
        for link in links.filter(|link| link.starts_with("/register?invite=")) {
            let is_open = Browser::new(router.clone()).open(link).await.status == StatusCode::OK;
            *(if is_open { &mut works } else { &mut dead }) += 1;
        }
        assert_eq!((works, dead), (4, 4));
    }

    async fn an_invitation_and_a_registration_with_the_one_before_do_not_deadlock(site: Site) {
        let router = router(&site, by_invitation).await;
        let link = invited(&site, "ann@meadow.example").await;
        // Both wait for what is counted here, each with what it has locked by then.
        let mut tx = site.db().begin().await.unwrap();
        let counters = MailQuota::Notices.counters(&site.app, "zoe@meadow.example", &Requester::operator());
        assert!(may_send(&site.app, &mut tx, &counters).await.unwrap());
        let commit_later = async {
            for _ in 0..300 {
                site.count(USERS).await;
            }
            tx.commit().await.unwrap();
        };
        let (to, visitor, fields) = (address("ann@meadow.example"), Browser::new(router), form("ann", &link));
        let (sent, answer, ()) = tokio::join!(invite(&site.app, &to), visitor.post("/register", &fields), commit_later);
        assert!(matches!(sent.unwrap(), Invited::Sent(_)));
        assert!([StatusCode::SEE_OTHER, StatusCode::UNPROCESSABLE_ENTITY].contains(&answer.status()), "{}", answer.status());
    }

    async fn who_is_logged_in_is_told_how_to_use_an_invitation(site: Site) {
        let mut ann = site.registered("ann").await;
        let link = invited(&site, "dora@meadow.example").await;
        ann.open(&link).await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(ann.flashes(), ["You're logged in. To use the invitation, log out first."]);
        let invite = link.split('=').nth(1).unwrap();
        let stale = [("username", "dora"), ("password", PASSWORD), ("password_confirm", PASSWORD), ("invite", invite)];
        assert_eq!(ann.post("/register", &stale).await.headers()["location"], "/account");
        ann.open("/account").await;
        assert_eq!(ann.flashes(), ["You're logged in. To use the invitation, log out first."], "a form of another tab");
        ann.press("Log out").await;
        ann.open(&link).await;
        assert_eq!((ann.path(), ann.status), (&*link, StatusCode::OK), "it still works");
        ann.log_in("ann", PASSWORD).await;
        for other in ["/register", "/register?invite=AAAAAAAAAAAAAAAAAAAAAA"] {
            ann.open(other).await;
            assert_eq!((ann.path(), ann.flashes()), ("/account", vec![]));
        }
    }

    async fn a_link_of_a_notice_is_no_invitation(site: Site) {
        site.registered("bob").await;
        let welcome = site.mails().await.remove(0);
        let token = welcome.text.split("/not-me/").nth(1).unwrap().lines().next().unwrap().to_owned();
        let router = router(&site, by_invitation).await;
        assert_dead(&router, &format!("/register?invite={token}")).await;
        let link = invited(&site, "ann@meadow.example").await;
        let token = link.split('=').nth(1).unwrap();
        for path in ["not-me", "unlock"] {
            let answer = Browser::new(router.clone()).post(&format!("/{path}/{token}"), &[]).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        }
        assert_eq!(Browser::new(router).open(&link).await.status, StatusCode::OK);
    }

    async fn invitations_work_in_open_mode_and_not_when_closed(site: Site) {
        let link = invited(&site, "ann@meadow.example").await;
        let mut visitor = site.changed(|config| config.registration.mode = RegistrationMode::Closed).await;
        assert_eq!(visitor.open(&link).await.title(), "Registration is closed – Vestibule");
        assert_eq!(visitor.post("/register", &form("ann", &link)).await.headers()["location"], "/register");
        assert_eq!(site.count(USERS).await, 0);
        let mut ann = site.browser();
        ann.open(&link).await;
        register(&mut ann, "ann").await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(site.count("select count(*) from vestibule_users where email_verified_at > 0").await, 1);
    }

    async fn a_mailbox_gets_five_invitations_a_day(site: Site) {
        for number in 0..5 {
            invited(&site, &format!("ann+{number}@meadow.example")).await;
        }
        for to in ["ann+5@meadow.example", "ann@meadow.example"] {
            assert!(matches!(invite(&site.app, &address(to)).await.unwrap(), Invited::TooManyEmails));
        }
        invited(&site, "bob@meadow.example").await;
        assert_eq!((site.mails().await.len(), site.count(LINKS).await), (6, 6));
        site.wait(24 * 60 * 60);
        invited(&site, "ann@meadow.example").await;
    }
}

#[tokio::test]
async fn more_people_of_one_domain_are_invited_than_one_network_may_register() {
    let site = Site::on_sqlite().await;
    for number in 0..150 {
        let to = address(&format!("pupil{number}@school.example"));
        assert!(matches!(invite(&site.app, &to).await.unwrap(), Invited::Sent(_)), "{number}");
    }
}

#[tokio::test]
async fn only_addresses_of_the_accepted_domains_are_invited() {
    let site = Site::with(|config| {
        config.registration.domains = Domains::parse("meadow.example").unwrap();
    })
    .await;
    let outcome = invite(&site.app, &address("ann@other.example")).await.unwrap();
    assert!(matches!(outcome, Invited::OtherDomain));
    assert!(site.mails().await.is_empty());
    invited(&site, "ann@meadow.example").await;
}

#[tokio::test]
async fn made_up_invitations_are_limited_by_network() {
    let site = Site::with(|config| {
        by_invitation(config);
        config.limits.login_ip = Some(Rate { count: 3, period: 900 });
    })
    .await;
    let made_up = form("ann", "invite=AAAAAAAAAAAAAAAAAAAAAA");
    for _ in 0..3 {
        let answer = site.browser().post("/register", &made_up).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let answer = site.browser().post("/register", &made_up).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn terms_are_asked_of_the_invited() {
    let site = Site::with(by_invitation_with_terms).await;
    let link = invited(&site, "ann@meadow.example").await;
    let mut ann = site.browser();
    ann.open(&link).await;
    register(&mut ann, "ann").await;
    assert_eq!(ann.problems(), ["Accept the terms to create an account."]);
    ann.tick("I accept the terms (new tab)");
    register(&mut ann, "ann").await;
    assert_eq!(ann.path(), "/account");
}

#[tokio::test]
async fn the_log_names_the_events_and_neither_the_token_nor_the_address() {
    let site = Site::with(by_invitation).await;
    let log = Log::start(LogFormat::Json);
    let link = invited(&site, "ann@meadow.example").await;
    let mut ann = site.browser();
    // A form that is refused, a request that is, and one that works.
    ann.open(&link).await;
    register(&mut ann, "a b").await;
    ann.send(Request::put(&*link).body(Body::empty()).unwrap()).await;
    register(&mut ann, "ann").await;
    assert_dead(&site.router, &link).await;
    invited(&site, "bob@meadow.example").await;
    revoke(&site.app, &address("bob@meadow.example")).await.unwrap();
    let text = log.text();
    for part in ["\"invited\"", "\"a…@meadow.example\"", "dead_invitation", "invitation_revoked"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    for secret in [link.split('=').nth(1).unwrap(), "ann@meadow.example"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn the_link_reaches_no_other_site() {
    let site = Site::with(by_invitation_with_terms).await;
    let link = invited(&site, "ann@meadow.example").await;
    let mut ann = site.browser();
    ann.open(&link).await;
    assert_eq!(ann.headers["referrer-policy"], "same-origin");
    assert_eq!(ann.headers["cache-control"], "no-store");
}

const SETTINGS: [(&str, &str); 1] = [("VESTIBULE_REGISTRATION", "invite")];

#[test]
fn the_command_invites_lists_and_revokes() {
    let folder = Folder::new();
    let missing = folder.run(&["user", "invite", "ann@meadow.example"], &SETTINGS, "");
    assert!(missing.status == 1 && missing.err.contains("there is no database"), "{}", missing.err);
    let program = folder.serve(&SETTINGS);
    let run =
        |arguments: &[&str]| folder.run(&[&["user", "invite"], arguments].concat(), &SETTINGS, "");
    let sent = run(&["ann@meadow.example", "bob@meadow.example", "--json"]);
    assert_eq!(sent.status, 0, "{}", sent.err);
    let sent: serde_json::Value = serde_json::from_str(&sent.out).unwrap();
    let listed = run(&["--list", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&listed.out).unwrap(), sent);
    let keys: Vec<_> = sent[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["created_at", "email", "expires_at"]);
    assert_eq!(run(&["--revoke", "ANN@meadow.example"]).status, 0);
    assert_eq!(run(&["--revoke", "ann@meadow.example"]).status, 1);
    let text = run(&["--list"]).out;
    assert!(text.starts_with("bob@meadow.example\t20") && text.lines().count() == 1, "{text}");
    let added = folder.run(&["user", "add", "ann", "ann@meadow.example"], &[], PASSWORD);
    assert_eq!(added.status, 0, "{}", added.err);
    let again = run(&["ann@meadow.example", "cy@meadow.example"]);
    assert!(again.status == 1 && again.out.starts_with("cy@meadow.example"), "{}", again.err);
    let said = "ann@meadow.example was not invited: it belongs to an account";
    assert!(again.err.contains(said) && again.err.contains("1 of 2 were not invited"));
    assert!(!again.err.replace(said, "").contains("ann@meadow.example"), "{}", again.err);
    for wrong in [
        &[][..],
        &["--list", "ann@meadow.example"],
        &["nobody"],
        &["--list", "--revoke", "a@b.example"],
    ] {
        assert_eq!(run(wrong).status, 2, "{wrong:?}");
    }
    let closed = [("VESTIBULE_REGISTRATION", "closed")];
    let refused = folder.run(&["user", "invite", "di@meadow.example"], &closed, "");
    assert!(refused.status == 2 && refused.err.contains("VESTIBULE_REGISTRATION is closed"));
    drop(program);
}
