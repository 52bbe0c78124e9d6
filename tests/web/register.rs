//! Register: fields, refusals, and names that are taken.

use axum::http::StatusCode;
use vestibule::config::Notices;

use crate::support::{PASSWORD, Site};

const TAKEN: &str =
    "That username or email is already registered. Log in, reset your password, or choose another.";

on_both_databases! {
    async fn a_registered_user_is_logged_in_and_notified_by_mail(site: Site) {
        let ann = site.registered("ann").await;
        assert_eq!(ann.title(), "Your account – Vestibule");
        assert!(ann.text().contains("ann@meadow.example"));
        let mails = site.mails().await;
        assert_eq!(mails.len(), 1);
        assert_eq!((mails[0].kind.as_str(), mails[0].to.as_str()), ("registered", "ann@meadow.example"));
        assert!(!mails[0].text.contains(PASSWORD) && !mails[0].html.contains(PASSWORD));
    }

    async fn a_taken_name_or_address_in_any_spelling_leads_to_the_login_page(site: Site) {
        site.registered("ann").await;
        for (username, email) in [
            ("ann", "other@meadow.example"), ("ANN", "other@meadow.example"), ("other", "ann@meadow.example"),
            ("other", "Ann@MEADOW.example"), ("other", " ann@meadow.example "),
        ] {
            let mut visitor = site.browser();
            visitor.register(username, email, PASSWORD).await;
            assert_eq!(visitor.path(), "/login", "{username} {email}");
            assert_eq!(visitor.flashes(), [TAKEN]);
            assert_eq!(visitor.all_text("[role=status].notice.info .sr-only"), ["Information:"]);
            assert_eq!(visitor.all_attributes("[role=status] a", "href"), ["/forgot", "/register"]);
            assert!(!visitor.is_logged_in().await);
        }
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
        assert_eq!(site.mails_to("ann").await, ["registered"]);
        assert_eq!(site.mails_to("other").await, [""; 0]);
    }

    async fn two_registrations_of_one_name_at_the_same_instant_give_one_account_and_one_redirect(site: Site) {
        let fields = |email| [("username", "ann"), ("email", email), ("password", PASSWORD), ("password_confirm", PASSWORD)];
        let (one, two) = (site.browser(), site.browser());
        let forms = ["one@meadow.example", "two@meadow.example"].map(fields);
        let (one, two) = tokio::join!(one.post("/register", &forms[0]), two.post("/register", &forms[1]));
        let mut ways = [one, two].map(|answer| {
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            answer.headers()["location"].to_str().unwrap().to_owned()
        });
        ways.sort();
        assert_eq!(ways, ["/account", "/login"]);
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
        assert_eq!(site.mails().await.len(), 1);
    }
}

#[tokio::test]
async fn every_error_is_shown_at_once_at_its_field_and_the_input_stays() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.register("Ann Smith", "ann at meadow", "short").await;
    assert_eq!(visitor.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(visitor.title(), "Error: Create an account – Vestibule");
    assert_eq!(visitor.problems().len(), 3);
    for (field, part) in [
        ("username", "letters a–z"),
        ("email", "name@example.com"),
        ("password", "at least 12 characters"),
    ] {
        assert_eq!(
            visitor.attribute(&format!("#{field}"), "aria-invalid").as_deref(),
            Some("true"),
            "{field}"
        );
        let described = visitor.attribute(&format!("#{field}"), "aria-describedby").unwrap();
        assert_eq!(
            described,
            format!("{field}-error"),
            "the error states the rule, not the hint too"
        );
        assert!(visitor.all_text(&format!("#{field}-hint")).is_empty(), "{field}");
        let said = visitor.all_text(&format!("#{field}-error")).concat();
        assert!(said.starts_with("Error: ") && said.contains(part), "{said}");
        assert_eq!(visitor.all_text(&format!("#{field}-error .sr-only")), ["Error:"]);
        assert!(visitor.problems().contains(&said.replace("Error: ", "")), "{said}");
    }
    assert_eq!(visitor.attribute("#username", "value").as_deref(), Some("Ann Smith"));
    assert_eq!(visitor.attribute("#email", "value").as_deref(), Some("ann at meadow"));
    assert_eq!(visitor.attribute("#password", "value"), None);
    assert_eq!(visitor.attribute("#password_confirm", "value"), None);
    assert_eq!(visitor.attribute("[role=alert]", "tabindex").as_deref(), Some("-1"));
    assert!(visitor.attribute("[role=alert]", "autofocus").is_some());
    assert_eq!(site.count("select count(*) from vestibule_users").await, 0);
    assert!(site.mails().await.is_empty());
}

#[tokio::test]
async fn the_hint_of_a_field_left_empty_stays() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/register").await;
    visitor.press("Create account").await;
    for field in ["username", "email", "password"] {
        let described = visitor.attribute(&format!("#{field}"), "aria-describedby").unwrap();
        assert_eq!(described, format!("{field}-hint {field}-error"));
    }
}

#[tokio::test]
async fn passwords_that_differ_or_can_be_guessed_are_refused_with_the_reason() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/register").await;
    visitor.fill("Username", "annabel").fill("Email", "annabel@meadow.example");
    visitor.fill("Password", PASSWORD).fill("Confirm password", "moss lantern quart");
    visitor.press("Create account").await;
    assert_eq!(visitor.problems(), ["Passwords don't match."]);
    for guessable in
        ["password1234", "annabel12345", "annabel@meadow.example", "qwertyuiop12", "vestibule123"]
    {
        visitor.register("annabel", "annabel@meadow.example", guessable).await;
        assert!(
            visitor.problems()[0].starts_with("This password is"),
            "{guessable}: {:?}",
            visitor.problems()
        );
    }
    assert_eq!(site.count("select count(*) from vestibule_users").await, 0);
}

#[tokio::test]
async fn every_error_is_listed_in_the_order_of_the_fields() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/register").await;
    visitor.fill("Username", "a b").fill("Email", "nobody");
    visitor.fill("Password", "password1234").fill("Confirm password", "else");
    visitor.press("Create account").await;
    let fields = visitor.all_attributes("[role=alert] a", "href");
    assert_eq!(fields, ["#username", "#email", "#password", "#password_confirm"]);
    assert!(visitor.problems()[2].starts_with("This password is"));
}

#[tokio::test]
async fn a_reserved_username_is_refused() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.register("Postmaster", "me@meadow.example", PASSWORD).await;
    assert_eq!(visitor.problems(), ["That username is reserved."]);
}

#[tokio::test]
async fn next_is_kept_through_register_and_login() {
    let site = Site::on_sqlite().await;
    let mut ann = site.browser();
    ann.open("/account/password").await;
    assert_eq!(ann.path(), "/login?next=/account/password");
    ann.click("Create an account").await;
    assert_eq!(ann.path(), "/register?next=%2Faccount%2Fpassword");
    ann.fill("Username", "ann").fill("Email", "ann@meadow.example").press("Create account").await;
    assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
    ann.fill("Password", PASSWORD).fill("Confirm password", PASSWORD).press("Create account").await;
    assert_eq!(ann.path(), "/account/password");
    let mut twin = site.browser();
    twin.open("/register?next=%2Faccount%2Fpassword").await;
    twin.fill("Username", "ann").fill("Email", "twin@meadow.example");
    twin.fill("Password", PASSWORD)
        .fill("Confirm password", PASSWORD)
        .press("Create account")
        .await;
    assert_eq!(twin.path(), "/login?next=%2Faccount%2Fpassword");
    twin.fill("Username or email", "ann").fill("Password", PASSWORD).press("Log in").await;
    assert_eq!(twin.path(), "/account/password");
}

#[tokio::test]
async fn fields_have_the_attributes_that_password_managers_need() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/register").await;
    for (field, kind, tokens) in [
        ("username", "text", "username"),
        ("email", "email", "email"),
        ("password", "password", "new-password"),
        ("password_confirm", "password", "new-password"),
    ] {
        let css = format!("form [name={field}]#{field}");
        assert_eq!(visitor.attribute(&css, "type").as_deref(), Some(kind), "{field}");
        assert_eq!(visitor.attribute(&css, "autocomplete").as_deref(), Some(tokens), "{field}");
        assert_eq!(visitor.attribute(&css, "maxlength"), None, "{field}");
    }
    visitor.open("/login").await;
    assert_eq!(visitor.attribute("#username", "autocomplete").as_deref(), Some("username"));
    assert_eq!(visitor.attribute("#password", "autocomplete").as_deref(), Some("current-password"));
}

#[tokio::test]
async fn a_notice_that_is_switched_off_is_not_sent() {
    let site = Site::with(|config| config.notices = Notices::parse("none").unwrap()).await;
    site.registered("ann").await;
    assert!(site.mails().await.is_empty());
    assert_eq!(site.count("select count(*) from vestibule_outbox").await, 0);
}
