//! A visitor who registers, resets the password and logs in, and checks every URL on the way.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use scraper::{Html, Selector};
use vestibule::config::BaseUrl;

use super::{Browser, OTHER_PASSWORD, PASSWORD, Site, bytes_of, email_of};

/// A site whose base URL ends with `path`.
pub async fn site_under(path: &str) -> Site {
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

pub async fn open_only(browser: &Browser, path: &str) -> Response<Body> {
    browser.send(Request::get(path).body(Body::empty()).unwrap()).await
}

/// Registers, logs out, forgets the password, follows the link of the mail, logs in and changes the
/// password.
pub async fn journey(site: &Site, router: &Router, base: &'static str) {
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
        let answer = open_only(&ann.browser, &url).await;
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
