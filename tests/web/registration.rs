//! Who may register: modes, domains of addresses, and terms.

use axum::http::StatusCode;
use vestibule::Config;
use vestibule::config::{Domains, RegistrationMode};

use crate::support::work::work_of;
use crate::support::{PASSWORD, Site};

fn closed(config: &mut Config) {
    config.registration.mode = RegistrationMode::Closed;
}

fn with_domains(config: &mut Config) {
    config.registration.domains = Domains::parse("meadow.example,bücher.example").unwrap();
}

fn with_terms(config: &mut Config) {
    config.registration.terms_url = Some("/terms?v=2".to_owned());
}

const USERS: &str = "select count(*) from vestibule_users";

on_both_databases! {
    async fn a_closed_site_says_so_and_makes_no_account(site: Site) {
        site.registered("ann").await;
        let mut visitor = site.changed(closed).await;
        visitor.open("/register?next=/account/password").await;
        assert_eq!((visitor.status, visitor.title()), (StatusCode::OK, "Registration is closed – Vestibule".to_owned()));
        assert!(visitor.text().contains("You can't create an account at Vestibule right now."), "{}", visitor.text());
        assert!(visitor.all_text("form").is_empty());
        visitor.click("Log in").await;
        assert_eq!(visitor.path(), "/login?next=%2Faccount%2Fpassword");
        assert!(!visitor.text().contains("Create an account"), "{}", visitor.text());
        let fields = [("username", "bob"), ("email", "bob@meadow.example"), ("password", PASSWORD), ("password_confirm", PASSWORD)];
        let (answer, work) = work_of(visitor.post("/register", &fields)).await;
        assert_eq!((answer.status(), &answer.headers()["location"]), (StatusCode::SEE_OTHER, &"/register".parse().unwrap()));
        assert!(work.is_empty(), "nothing is counted or hashed: {work:#?}");
        assert_eq!(site.count(USERS).await, 1);
        visitor.log_in("ann", PASSWORD).await;
        assert_eq!(visitor.path(), "/account");
    }

    async fn an_address_of_another_domain_is_refused_at_its_field(site: Site) {
        let mut visitor = site.changed(with_domains).await;
        let rule = "Use an email that ends in @meadow.example or @xn--bcher-kva.example.";
        for email in ["ann@other.example", "ann@sub.meadow.example", "ann@notmeadow.example", "ann@meadow.example.org"] {
            visitor.register("ann", email, PASSWORD).await;
            assert_eq!((visitor.status, visitor.problems()), (StatusCode::UNPROCESSABLE_ENTITY, vec![rule.to_owned()]), "{email}");
            assert_eq!(visitor.all_attributes("[role=alert] a", "href"), ["#email"]);
            assert!(visitor.all_text("#email-hint").is_empty(), "the error states the rule");
            assert_eq!(visitor.attribute("#email", "value").as_deref(), Some(email));
        }
        assert_eq!(site.count(USERS).await, 0);
        visitor.open("/register").await;
        assert_eq!(visitor.all_text("#email-hint"), [format!("{rule} For security alerts and password resets.")]);
        for (username, email) in [("ann", "Ann@MEADOW.Example"), ("bob", "bob@Bücher.example")] {
            let mut visitor = site.changed(with_domains).await;
            visitor.register(username, email, PASSWORD).await;
            assert_eq!(visitor.path(), "/account", "{}", visitor.text());
        }
    }

    async fn nobody_changes_to_an_address_of_another_domain(site: Site) {
        site.registered("ann").await;
        let mut ann = site.changed(with_domains).await;
        ann.log_in("ann", PASSWORD).await;
        ann.open("/account/email").await.fill("New email", "ann@other.example").press("Email me a code").await;
        assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(ann.problems()[0].starts_with("Use an email that ends in @meadow.example"), "{:?}", ann.problems());
        assert!(!site.mails().await.iter().any(|mail| mail.kind == "email_code"));
        ann.fill("New email", "anna@meadow.example").press("Email me a code").await;
        assert_eq!(ann.path(), "/account/email/confirm");
    }

    async fn the_terms_must_be_accepted_and_are_stored(site: Site) {
        let mut ann = site.changed(with_terms).await;
        ann.open("/register").await;
        assert_eq!(ann.attribute("label[for=terms] a", "href").as_deref(), Some("/terms?v=2"));
        ann.fill("Username", "ann").fill("Email", "ann@meadow.example");
        ann.fill("Password", PASSWORD).fill("Confirm password", PASSWORD).press("Create account").await;
        assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(ann.problems(), ["Accept the terms to create an account."]);
        assert_eq!(ann.all_attributes("[role=alert] a", "href"), ["#terms"]);
        assert_eq!(ann.attribute("#terms", "aria-describedby").as_deref(), Some("terms-error"));
        assert_eq!(site.count(USERS).await, 0);
        let label = "I accept the terms (new tab)";
        ann.tick(label).fill("Email", "nobody").press("Create account").await;
        assert_eq!(ann.problems().len(), 2, "{:?}", ann.problems());
        assert!(ann.attribute("#terms[checked]", "id").is_some(), "the box stays ticked");
        ann.fill("Email", "ann@meadow.example").fill("Password", PASSWORD).fill("Confirm password", PASSWORD);
        ann.press("Create account").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
        let exported = ann.press("Download your data").await.html.clone();
        let exported: serde_json::Value = serde_json::from_str(&exported).unwrap();
        let accepted_at = "2026-11-22T18:00:00Z";
        assert_eq!(exported["terms"], serde_json::json!({"url": "/terms?v=2", "accepted_at": accepted_at}));
    }
}

#[tokio::test]
async fn a_site_without_terms_asks_for_none_and_stores_none() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    let exported = ann.press("Download your data").await.html.clone();
    assert!(
        exported.contains("\"terms\":null") || exported.contains("\"terms\": null"),
        "{exported}"
    );
    assert!(site.browser().open("/register").await.all_text("[type=checkbox]").is_empty());
}
