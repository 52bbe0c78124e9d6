//! The pages under a path, and in the router of another application.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use scraper::{Html, Selector};
use vestibule::App;
use vestibule::config::BaseUrl;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of, bytes_of, email_of};

/// A site whose base URL ends with `path`.
async fn site_under(path: &str) -> Site {
    let base_url = BaseUrl::parse(&format!("http://localhost:8000{path}")).unwrap();
    Site::with(|config| config.base_url = base_url).await
}

/// A visitor who checks that every URL on the way lies under a path.
struct Walker {
    browser: Browser,
    base: &'static str,
}

impl Walker {
    async fn open(&mut self, page: &str) {
        self.browser.open(&format!("{}{page}", self.base)).await;
        self.check();
    }

    async fn press(&mut self, words: &str, page: &str) {
        self.browser.press(words).await;
        self.check();
        self.is_at(page);
    }

    async fn click(&mut self, words: &str, page: &str) {
        self.browser.click(words).await;
        self.check();
        self.is_at(page);
    }

    fn fill(&mut self, fields: &[(&str, &str)]) {
        for (label, text) in fields {
            self.browser.fill(label, text);
        }
    }

    /// The redirects to the page, and all that it links to, loads and sends.
    fn check(&self) {
        let urls = urls_of(&self.browser.html);
        assert!(urls.len() > 4, "{}", self.browser.html);
        for url in urls.iter().chain(&self.browser.visited) {
            let url = url.strip_prefix("http://localhost:8000").unwrap_or(url);
            assert!(url.starts_with(&format!("{}/", self.base)), "{url}: {}", self.browser.path());
        }
    }

    fn is_at(&self, page: &str) {
        assert_eq!(self.browser.path(), format!("{}{page}", self.base), "{}", self.browser.text());
    }
}

/// Every attribute that leads somewhere, but for places on the same page.
fn urls_of(html: &str) -> Vec<String> {
    let page = Html::parse_document(html);
    let all = Selector::parse("*").unwrap();
    let leading = ["href", "src", "srcset", "action", "formaction", "poster", "data", "cite"];
    let attributes = page.select(&all).flat_map(|element| element.value().attrs());
    let urls = attributes.filter(|(name, url)| leading.contains(name) && !url.starts_with('#'));
    urls.map(|(_, url)| url.to_owned()).collect()
}

async fn get_from(browser: &Browser, path: &str) -> Response<Body> {
    browser.send(Request::get(path).body(Body::empty()).unwrap()).await
}

/// Registers, logs out, forgets the password, follows the link of the mail, logs in and changes the
/// password.
async fn journey(site: &Site, router: &Router, base: &'static str) {
    let mut ann = Walker { browser: Browser::new(router.clone()), base };
    ann.open("/account/password?a=b").await;
    ann.is_at(&format!("/login?next={base}/account/password%3Fa%3Db"));
    let next = format!("{base}/account/password%3Fa%3Db").replace('/', "%2F");
    ann.click("Create an account", &format!("/register?next={next}")).await;
    ann.fill(&[("Username", "ann"), ("Email", &email_of("ann"))]);
    ann.fill(&[("Password", PASSWORD), ("Confirm password", PASSWORD)]);
    ann.press("Create account", "/account/password?a=b").await;
    ann.press("Log out", "/login").await;
    assert_eq!(ann.browser.flashes(), ["You've been logged out."]);
    site.wait(60);
    ann.click("Forgot your password?", "/forgot").await;
    ann.fill(&[("Username", "ann"), ("Email", &email_of("ann"))]);
    ann.press("Email me a code", "/reset").await;
    ann.click("read it in the mailbox", "/dev/mailbox").await;
    let links = ann.browser.all_attributes("article:first-of-type pre a", "href");
    let reset = format!("http://localhost:8000{base}/reset");
    assert!(links.contains(&reset), "{links:?}");
    ann.open("/reset").await;
    let code = site.newest_code().await;
    ann.fill(&[("Code", &code), ("New password", OTHER_PASSWORD)]);
    ann.fill(&[("Confirm password", OTHER_PASSWORD)]);
    ann.press("Change password", "/login").await;
    ann.fill(&[("Username or email", "ann"), ("Password", OTHER_PASSWORD)]);
    ann.press("Log in", "/account").await;
    ann.click("Change password", "/account/password").await;
    ann.fill(&[("Current password", OTHER_PASSWORD), ("New password", PASSWORD)]);
    ann.fill(&[("Confirm password", PASSWORD)]);
    ann.press("Change password", "/account").await;
    walk_everywhere(&mut ann).await;
}

/// Opens all that any page leads to, until nothing is new. Forms are opened like links.
async fn walk_everywhere(ann: &mut Walker) {
    let mut found = vec![format!("{}/account", ann.base)];
    let mut opened = 0;
    while let Some(url) = found.get(opened).cloned() {
        opened += 1;
        let answer = get_from(&ann.browser, &url).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let is_for_posts = status == StatusCode::METHOD_NOT_ALLOWED;
        assert!(status.as_u16() < 400 || is_for_posts, "{url}: {status}");
        let kind = headers.get("content-type");
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let body = bytes_of(answer).await;
        let links = if is_page { urls_of(str::from_utf8(&body).unwrap()) } else { Vec::new() };
        let location = headers.get("location").map(|to| to.to_str().unwrap().to_owned());
        for link in links.into_iter().chain(location) {
            let link = link.strip_prefix("http://localhost:8000").unwrap_or(&link).to_owned();
            assert!(link.starts_with(&format!("{}/", ann.base)), "{link} at {url}");
            if !found.contains(&link) {
                found.push(link);
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
}

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

/// An application with a state and pages of its own, and ours beside them or below a path.
fn application(app: &App, path: &str) -> Router {
    let own = Router::new()
        .route("/", get(async |State(name): State<&'static str>| name))
        .route("/healthz", get(async || "the host's"))
        .route("/static/app.css", get(async || "the host's"))
        .route("/favicon.ico", get(async || "the host's"))
        .route("/echo", post(async |body: String| body.len().to_string()))
        .fallback(async || (StatusCode::NOT_FOUND, "the host's"));
    let own = if path.is_empty() {
        own.merge(vestibule::router(app))
    } else {
        own.nest(path, vestibule::router(app))
    };
    own.with_state("the host's")
}

#[tokio::test]
async fn merged_into_an_application_every_url_is_right() {
    let site = site_under("").await;
    journey(&site, &application(&site.app, ""), "").await;
}

#[tokio::test]
async fn nested_in_an_application_every_url_is_right() {
    let site = site_under("/accounts").await;
    journey(&site, &application(&site.app, "/accounts"), "/accounts").await;
}

#[tokio::test]
async fn nested_twice_every_url_is_right() {
    let site = site_under("/app/accounts").await;
    let inner = application(&site.app, "/accounts");
    journey(&site, &Router::new().nest("/app", inner), "/app/accounts").await;
}

/// As a proxy passes requests on that takes the path away.
#[tokio::test]
async fn behind_a_proxy_that_strips_the_path_next_leads_back_through_it() {
    let site = site_under("/app/accounts").await;
    for (router, account) in [
        (application(&site.app, ""), "/account?a"),
        (application(&site.app, "/accounts"), "/accounts/account?a"),
    ] {
        let answer = get_from(&Browser::new(router), account).await;
        let login = "/app/accounts/login?next=/app/accounts/account%3Fa";
        assert_eq!(answer.headers()["location"], login);
    }
}

/// In both orders: the router that is merged into another could keep its fallback.
#[tokio::test]
async fn the_routes_of_an_application_are_left_alone() {
    let site = site_under("").await;
    let own = || Router::new().route("/echo", post(async |body: String| body.len().to_string()));
    let ours = || vestibule::router::<()>(&site.app);
    for router in [own().merge(ours()), ours().merge(own()), application(&site.app, "")] {
        let browser = Browser::new(router);
        for path in ["/nowhere", "/_vestibule", "/account/nowhere", "/session/", "/echo"] {
            let answer = get_from(&browser, path).await;
            assert!(answer.status().is_client_error(), "{path}");
            let added = answer
                .headers()
                .keys()
                .find(|name| !["allow", "content-type", "content-length"].contains(&name.as_str()));
            assert_eq!(added, None, "{path}");
            assert!(!body_of(answer).await.contains("<html"), "{path}");
        }
        // Another site's form, without an origin, larger than ours may be.
        let large = Request::post("/echo").body(Body::from("a".repeat(100_000))).unwrap();
        let answer = browser.send(large).await;
        assert_eq!((answer.status(), &*body_of(answer).await), (StatusCode::OK, "100000"));
    }
}

#[tokio::test]
async fn an_application_keeps_its_home_page_fallback_and_files() {
    for base in ["", "/accounts"] {
        let site = site_under(base).await;
        let browser = Browser::new(application(&site.app, base));
        for path in
            ["/", "/healthz", "/static/app.css", "/favicon.ico", "/nowhere", "/accounts/nowhere"]
        {
            assert_eq!(body_of(get_from(&browser, path).await).await, "the host's", "{path}");
        }
        if !base.is_empty() {
            assert_eq!(get_from(&browser, "/login").await.status(), StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn a_router_that_is_nested_elsewhere_says_so() {
    for (base, path, says) in [
        (
            "",
            "/accounts",
            "http://localhost:8000: set VESTIBULE_BASE_URL to http://localhost:8000/accounts",
        ),
        (
            "/auth",
            "/accounts",
            "http://localhost:8000/auth: set VESTIBULE_BASE_URL to http://localhost:8000/accounts",
        ),
        ("/myaccounts", "/accounts", "localhost:8000/accounts"),
    ] {
        let site = site_under(base).await;
        let browser = Browser::new(application(&site.app, path));
        let answer = get_from(&browser, &format!("{path}/login")).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let text = body_of(answer).await;
        assert!(text.starts_with(&format!("the router is nested at {path}")), "{text}");
        assert!(text.ends_with(says), "{text}");
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
