//! Request a code: the answer does not reveal whether an account exists.

use axum::http::StatusCode;
use vestibule::db::sql;

use crate::support::{Browser, PASSWORD, Site, body_of, email_of};

/// What a visitor without access to the mail sees.
async fn seen(
    browser: &mut Browser,
    username: &str,
    email: &str,
) -> (Vec<String>, Vec<String>, StatusCode, String) {
    let answer = browser.post("/forgot", &[("username", username), ("email", email)]).await;
    let mut headers: Vec<String> = answer
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .map(|line| {
            line.split_once("vestibule=")
                .map_or(line.clone(), |(name, rest)| format!("{name}…{}", &rest[22..]))
        })
        .filter(|line| !line.starts_with("x-request-id: "))
        .collect();
    headers.sort();
    let status = answer.status();
    body_of(answer).await;
    browser.ask_for_code(username, email).await;
    let page = browser.html.replace(email, "ADDRESS").replace(username, "NAME");
    (headers, browser.visited.clone(), status, page)
}

on_both_databases! {
    async fn an_account_that_exists_and_one_that_does_not_get_the_same_answer_and_pages(site: Site) {
        site.registered("zzknown").await;
        let known = seen(&mut site.browser(), "zzknown", "zzknown@meadow.example").await;
        for (username, email) in [("zznobody", "zznobody@meadow.example"), ("zzknown", "zznobody@meadow.example"), ("zznobody", "zzknown@meadow.example")] {
            assert_eq!(seen(&mut site.browser(), username, email).await, known, "{username} {email}");
        }
        assert_eq!(known.2, StatusCode::SEE_OTHER);
        assert_eq!(known.1, ["/forgot", "/reset"]);
    }

    async fn a_code_is_mailed_only_when_name_and_address_belong_to_one_account(site: Site) {
        site.registered("ann").await;
        site.registered("bob").await;
        for (username, email) in [("ann", "bob@meadow.example"), ("bob", "ann@meadow.example"), ("eve", "eve@meadow.example")] {
            site.browser().ask_for_code(username, email).await;
        }
        assert_eq!(site.mails_to("ann").await, ["registered"]);
        assert_eq!(site.mails_to("bob").await, ["registered"]);
        assert_eq!(site.mails_to("eve").await, [""; 0]);
        site.wait(1);
        site.browser().ask_for_code(" Ann ", "ANN@meadow.example").await;
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code"]);
    }

    async fn the_email_goes_to_the_stored_address_and_not_to_the_one_that_was_typed(site: Site) {
        site.browser().register("ann", "Ann@meadow.example", PASSWORD).await;
        site.wait(1);
        site.browser().ask_for_code("ann", "aNN@MEADOW.example").await;
        assert_eq!(site.mails().await[0].to, "Ann@meadow.example");
    }

    async fn the_same_rows_and_session_shape_are_written_without_an_account(site: Site) {
        site.registered("ann").await;
        let mut shapes = Vec::new();
        for username in ["ann", "bob"] {
            site.wait(1);
            site.browser().ask_for_code(username, &email_of(username)).await;
            let newest = "select data from vestibule_sessions where user_id is null order by created_at desc limit 1";
            let (data,) = sql(newest).fetch_optional::<(String,)>(site.db().reader()).await.unwrap().unwrap();
            let data: serde_json::Value = serde_json::from_str(&data).unwrap();
            let reset = data["codes"]["password_reset"].as_object().unwrap();
            shapes.push(reset.iter().map(|(key, value)| (key.clone(), value.to_string().len())).collect::<Vec<_>>());
            assert!(!data.to_string().contains(&username.to_uppercase()));
        }
        assert_eq!(shapes[0], shapes[1]);
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where purpose = 'password_reset'").await, 2);
        assert_eq!(site.count("select count(*) from vestibule_outbox").await, 3, "a registration, a code, a decoy");
        assert_eq!(site.mails().await.len(), 2, "the decoy is not a mail");
    }
}

#[tokio::test]
async fn the_session_and_the_database_hold_no_code() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (_, code) = site.with_code("ann").await;
    let plain = code.replace('-', "");
    site.db().close().await;
    let vestibule::db::Location::Sqlite(path) = &site.app.config.database else { panic!("SQLite") };
    for file in [path.clone(), path.with_extension("db-wal")] {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for secret in [code.as_bytes(), plain.as_bytes(), PASSWORD.as_bytes()] {
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret),
                "{}",
                file.display()
            );
        }
    }
}

#[tokio::test]
async fn an_invalid_name_or_address_is_shown_at_its_field() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.ask_for_code("ann smith", "nowhere").await;
    assert_eq!(visitor.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(visitor.problems().len(), 2);
    assert_eq!(visitor.title(), "Error: Forgot your password? – Vestibule");
    assert!(visitor.cookie("vestibule").is_none());
    assert_eq!(site.count("select count(*) from vestibule_one_time_codes").await, 0);
}

#[tokio::test]
async fn the_next_page_says_where_the_code_went_how_long_it_works_and_where_to_get_another() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (browser, _) = site.with_code("ann").await;
    let text = browser.text();
    for part in
        ["ann@meadow.example", "10 minutes", "only in this browser", "spam", "Send a new code"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(browser.attribute("#code", "autocomplete").as_deref(), Some("one-time-code"));
    assert_eq!(browser.attribute("[autocomplete=username]", "value").as_deref(), Some("ann"));
}
