//! A site whose base URL has a path: every URL lies under it.

use std::path::Path;

use axum::http::StatusCode;

use crate::support::apps::{
    PROXY, WIKI, at, get, location, original, read_token, session, set_cookie, with_apps,
};
use crate::support::walker::{journey, open_only, site_under};
use crate::support::{Browser, PASSWORD, email_of};

#[tokio::test]
async fn every_url_lies_under_the_path_of_the_base_url() {
    let site = site_under("/auth").await;
    journey(&site, &site.router, "/auth").await;
}

#[tokio::test]
async fn every_url_is_right_without_a_path() {
    let site = site_under("").await;
    journey(&site, &site.router, "").await;
}

#[tokio::test]
async fn outside_of_the_path_there_is_no_page() {
    let site = site_under("/auth").await;
    let mut visitor = site.browser();
    for home in ["/auth", "/auth/"] {
        visitor.open(home).await;
        assert_eq!(visitor.visited, [home, "/auth/login"]);
    }
    for path in ["/", "/login", "/authority", "/Auth/login", "/auth//login", "/healthz"] {
        visitor.open(path).await;
        assert_eq!(visitor.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(visitor.title(), "Page not found – Vestibule");
        visitor.click("Go to the home page").await;
        assert_eq!(visitor.path(), "/auth/login");
    }
    for path in ["/auth/healthz", "/auth/readyz", "/auth/favicon.ico"] {
        let answer = visitor.open(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    visitor.open("/auth/.well-known/change-password").await;
    assert_eq!(visitor.visited[1], "/auth/account/password");
}

/// The way of a browser from an application on another host into it.
#[tokio::test]
async fn under_a_path_applications_on_other_hosts_ask_there_and_come_back() {
    let site = site_under("/auth").await;
    let proxy = at(&site.app_with(with_apps).await, PROXY);
    let mut ann = Browser::new(proxy.clone());
    ann.open("/auth/register").await;
    ann.fill("Username", "ann").fill("Email", &email_of("ann"));
    ann.fill("Password", PASSWORD).fill("Confirm password", PASSWORD);
    ann.press("Create account").await;
    let cookie = session(&ann);
    for path in ["/session", "/forward/nginx", "/forward/proxy", "/.well-known/jwks.json"] {
        assert_eq!(get(&proxy, path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let answer = get(&proxy, "/auth/.vestibule/login", &[]).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    for path in ["/auth/session", "/auth/.well-known/jwks.json"] {
        let answer = get(&proxy, path, &[("cookie", &cookie)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    let own = original("http://localhost:8000/notes?a");
    let answer = get(&proxy, "/auth/forward/nginx", &own).await;
    assert_eq!(location(&answer), "http://localhost:8000/auth/login?next=/notes%3Fa");

    let asked = get(&proxy, "/auth/forward/nginx", &original("https://wiki.example.org/a?b")).await;
    let started = "/.vestibule/login?next=/a%3Fb";
    assert_eq!(location(&asked), format!("{WIKI}{started}"));
    let on_host = [("x-forwarded-proto", "https"), ("x-forwarded-host", "wiki.example.org")];
    let answer = get(&proxy, started, &on_host).await;
    let browser_cookie = set_cookie(answer.headers()).0;
    let login = location(&answer).strip_prefix("http://localhost:8000").unwrap().to_owned();
    assert!(login.starts_with("/auth/login?next=/auth/login/app%3Fnext%3D"), "{login}");
    let answer = get(&proxy, &login, &[("cookie", &cookie)]).await;
    let answer = get(&proxy, location(&answer), &[("cookie", &cookie)]).await;
    let callback = location(&answer).strip_prefix(WIKI).unwrap();
    assert!(callback.starts_with("/.vestibule/callback?ticket="), "{callback}");
    let headers = [&on_host[..], &[("cookie", &browser_cookie)]].concat();
    let answer = get(&proxy, callback, &headers).await;
    assert_eq!(location(&answer), "https://wiki.example.org/a?b");
    let app_cookie = set_cookie(answer.headers()).0;
    let headers = [&original(WIKI)[..], &[("cookie", &app_cookie)]].concat();
    let answer = get(&proxy, "/auth/forward/nginx", &headers).await;
    let (_, claims) = read_token(answer.headers()["remote-token"].to_str().unwrap());
    assert_eq!(claims["iss"], "http://localhost:8000/auth");
}

#[tokio::test]
async fn after_login_and_next_may_lead_out_of_the_path() {
    let site = site_under("/auth").await;
    for (name, after_login, place) in [
        ("ann", "/account", "/auth/account"),
        ("bob", "/notes", "/notes"),
        ("cyd", "/auth/account/password", "/auth/account/password"),
    ] {
        let app = site.app_with(|config| after_login.clone_into(&mut config.after_login)).await;
        let mut browser = Browser::new(vestibule::site(&app));
        let email = email_of(name);
        let fields = [
            ("username", name),
            ("email", &email),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        let answer = browser.post("/auth/register", &fields).await;
        assert_eq!(location(&answer), place);
        let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies.len(), 2);
        for cookie in cookies {
            assert!(cookie.to_str().unwrap().split("; ").any(|part| part == "Path=/"));
        }
        browser.keep(&answer);
        assert_eq!(location(&open_only(&browser, "/auth/login").await), place);
        let ways_back = ["/notes", "/auth/account/password"].contains(&place);
        browser.open("/auth/account").await;
        assert_eq!(browser.text().contains(&format!("Back to {place}")), ways_back, "{place}");
        assert_eq!(location(&open_only(&browser, "/auth/login?next=/x").await), "/x");
        assert_eq!(location(&browser.post("/auth/logout", &[("next", "/x")]).await), "/x");
    }
}

#[tokio::test]
async fn a_form_that_comes_after_its_session_leads_back_under_the_path() {
    let site = site_under("/auth").await;
    let visitor = site.browser();
    for (form, page) in [
        ("/account/password", "/account/password"),
        ("/account/delete", "/account/delete"),
        ("/account/sessions/revoke", "/account/sessions"),
        ("/account/export", "/account"),
    ] {
        let answer = visitor.post(&format!("/auth{form}"), &[]).await;
        assert_eq!(location(&answer), format!("/auth/login?next=/auth{page}"));
    }
}

/// The tours above do not see every line.
#[test]
fn no_template_and_no_controller_writes_a_url_without_the_path() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for folder in
        ["templates", "templates/mail", "src/controllers", "src/middleware", "src/visitor"]
    {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for written in ["=\"/", "='/", "url=/", "redirect_to(\"/", "Redirect::to(\"/"] {
                assert!(!text.contains(written), "{}: {written}", path.display());
            }
            files += 1;
        }
    }
    assert!(files > 60, "the files were not found: {files}");
}
