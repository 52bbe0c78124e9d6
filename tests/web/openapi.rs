//! `docs/openapi.json` describes the site as it is: every URL, every method, every field.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use vestibule::Config;
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::invitation::invite;
use vestibule::config::RegistrationMode;

use crate::support::{Browser, PASSWORD, Site, email_of};

fn document() -> Value {
    serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_openapi_document_has_every_url_and_no_other() {
    let routes = include_str!("../../src/routes.rs").split("#[cfg(test)]").next().unwrap();
    let urls = routes.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let urls: BTreeSet<String> = urls.map(str::to_owned).collect();
    assert!(urls.len() > 15, "the routes were not found");
    assert_eq!(keys(&document()["paths"]), urls);
}

#[test]
fn the_openapi_document_has_the_version_of_the_package() {
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_reference_leads_somewhere() {
    let text = include_str!("../../docs/openapi.json");
    let document = document();
    for rest in text.split("\"$ref\": \"#").skip(1) {
        let pointer = rest.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn the_openapi_document_has_every_method_and_no_other() {
    let site = Site::with(with_every_page).await;
    for (path, methods) in document()["paths"].as_object().unwrap() {
        let url = path.replace("{id}", "00000000000000000000000000").replace("{name}", "app.css");
        let url = url.replace("{token}", "AAAAAAAAAAAAAAAAAAAAAA");
        let request = Request::delete(&url).body(Body::empty()).unwrap();
        let answer = site.browser().send(request).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed = answer.headers()["allow"].to_str().unwrap().split(',');
        let allowed: BTreeSet<String> =
            allowed.filter(|method| *method != "HEAD").map(str::to_lowercase).collect();
        assert_eq!(keys(methods), allowed, "{path}");
    }
}

fn with_every_page(config: &mut Config) {
    config.login_code = true;
    config.registration.mode = RegistrationMode::Verified;
}

/// The names of what a page's form sends, but for the field that tells password managers the name.
fn fields(browser: &Browser) -> BTreeSet<String> {
    let names = browser.all_attributes("main form input:not([readonly])", "name");
    names.into_iter().collect()
}

/// What the form to register has in addition with an invitation and with terms.
async fn register_fields(site: &Site) -> BTreeSet<String> {
    let to = EmailAddress::parse("carl@meadow.example").unwrap();
    invite(&site.app, &to).await.unwrap();
    let mails = site.mails().await;
    let invitation = mails.iter().find(|mail| mail.kind == "invitation").unwrap();
    let link = invitation.text.lines().find_map(|line| line.strip_prefix("http://localhost:8000"));
    let terms = Some("/terms".to_owned());
    let mut carl = site.changed(|config| config.registration.terms_url = terms).await;
    fields(carl.open(link.unwrap()).await)
}

#[tokio::test]
async fn the_openapi_document_has_every_field_and_no_other() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let router = vestibule::site(&site.app_with(with_every_page).await);
    let (fresh, mut ann) = (Browser::new(router.clone()), ann.at(&router));
    // Then forms ask for the password again.
    site.wait(600);
    ann.ask_for_code("ann", &email_of("ann")).await;
    ann.tab()
        .post("/account/email", &[("email", "new@meadow.example"), ("current_password", PASSWORD)])
        .await;
    site.wait(600);
    site.browser().log_in("ann", PASSWORD).await;
    let mut coded = fresh.tab();
    coded.open("/login/code").await.fill("Username or email", "ann").press("Email me a code").await;
    let bob = site.registered_unproved("bob").await;
    let register = register_fields(&site).await;
    let [mut registering, mut renaming] = [fresh.tab(), fresh.tab()];
    registering.register("cid", "cid@meadow.example", PASSWORD).await;
    site.wait(1);
    renaming.register("ann", "dan@meadow.example", PASSWORD).await;
    renaming.fill("Code", &site.newest_code().await).press("Create account").await;
    let mut compared = 0;
    for (path, methods) in document()["paths"].as_object().unwrap() {
        let form = &methods["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"];
        if form.is_null() {
            continue;
        }
        let needs_session = path == "/reset" || path.starts_with("/account/");
        let mut visitor = match path.as_str() {
            "/login/code/confirm" => coded.tab(),
            "/register/confirm" => registering.tab(),
            "/verify" => bob.at(&router),
            _ if needs_session => ann.tab(),
            _ => fresh.tab(),
        };
        let page = path.strip_suffix("/revoke").unwrap_or(path);
        visitor.open(&format!("{page}?next=/account")).await;
        let schema = &form["schema"];
        let mut shown = fields(&visitor);
        if path == "/register" {
            shown.extend(register.clone());
        }
        if path == "/register/confirm" {
            shown.extend(fields(&renaming));
        }
        assert_eq!(keys(&schema["properties"]), shown, "{path}");
        let required = schema["required"].as_array().unwrap();
        let is_optional = ["/logout", "/account/sessions/revoke"].contains(&path.as_str());
        assert!(!required.is_empty() || is_optional, "{path}");
        for name in required {
            assert!(schema["properties"].get(name.as_str().unwrap()).is_some(), "{path}: {name}");
        }
        compared += 1;
    }
    assert_eq!(compared, 16);
}
