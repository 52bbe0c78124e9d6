//! A browser without JavaScript. Links and buttons are found by their text, fields by their labels.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use scraper::{ElementRef, Html, Selector};
use tower::ServiceExt;

/// The origin of every test site, unless its settings change it.
pub const ORIGIN: &str = "http://localhost:8000";

/// The most redirects that are followed in a row.
const MAX_REDIRECTS: usize = 5;

/// A browser with the page that it shows.
pub struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    path: String,
    filled: BTreeMap<String, String>,
    /// The `User-Agent` header, if it sends one.
    pub user_agent: Option<&'static str>,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub html: String,
    /// Every path since the last click, including redirects.
    pub visited: Vec<String>,
}

impl Browser {
    pub fn new(router: Router) -> Self {
        Self {
            router,
            cookies: BTreeMap::new(),
            path: String::new(),
            filled: BTreeMap::new(),
            user_agent: None,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            html: String::new(),
            visited: Vec::new(),
        }
    }

    /// A second tab: the same cookies and page.
    pub fn tab(&self) -> Self {
        Self {
            cookies: self.cookies.clone(),
            path: self.path.clone(),
            html: self.html.clone(),
            filled: self.filled.clone(),
            user_agent: self.user_agent,
            ..Self::new(self.router.clone())
        }
    }

    /// Another browser, without cookies, of the same site and network.
    pub fn anew(&self) -> Self {
        Self::new(self.router.clone())
    }

    /// A second tab, which visits the same site through another router.
    pub fn at(&self, router: &Router) -> Self {
        Self { router: router.clone(), ..self.tab() }
    }

    /// Keeps the cookies of a response to [`Browser::send`] or [`Browser::post`].
    pub fn keep(&mut self, answer: &Response<Body>) {
        self.keep_cookies(answer.headers());
    }

    /// Opens a path and follows redirects.
    pub async fn open(&mut self, path: &str) -> &mut Self {
        self.visited.clear();
        self.go(Method::GET, path.to_owned(), None).await;
        self
    }

    /// Types `text` into the field with this label.
    pub fn fill(&mut self, label: &str, text: &str) -> &mut Self {
        let name = self.field_by_label(label);
        self.filled.insert(name, text.to_owned());
        self
    }

    /// Ticks the box with this label.
    pub fn tick(&mut self, label: &str) -> &mut Self {
        self.fill(label, "on")
    }

    /// Presses the button with this text: sends its form with the values that were filled in.
    pub async fn press(&mut self, words: &str) -> &mut Self {
        let (action, body) = self.form_of_button(words);
        self.visited.clear();
        self.go(Method::POST, action, Some(body)).await;
        self
    }

    /// Follows the link with this text.
    pub async fn click(&mut self, words: &str) -> &mut Self {
        let page = Html::parse_document(&self.html);
        let all = select("a");
        let link = page.select(&all).find(|link| text_of(*link) == words);
        let href = link
            .and_then(|link| link.attr("href"))
            .unwrap_or_else(|| panic!("no link {words:?} in {}", self.text()));
        let href = href.to_owned();
        drop(page);
        self.open(&href).await
    }

    pub async fn register(&mut self, username: &str, email: &str, password: &str) -> &mut Self {
        self.open("/register").await;
        self.fill("Username", username).fill("Email", email);
        self.fill("Password", password).fill("Confirm password", password);
        self.press("Create account").await
    }

    pub async fn log_in(&mut self, login: &str, password: &str) -> &mut Self {
        self.open("/login").await;
        self.fill("Username or email", login).fill("Password", password);
        self.press("Log in").await
    }

    /// As [`Browser::ask_for_code`], whatever the label of the username is.
    pub async fn ask_for_code_as(&mut self, username: &str, email: &str) -> &mut Self {
        let answer = self.post("/forgot", &[("username", username), ("email", email)]).await;
        self.keep(&answer);
        self.open("/reset").await
    }

    pub async fn ask_for_code(&mut self, username: &str, email: &str) -> &mut Self {
        self.open("/forgot").await;
        self.fill("Username", username).fill("Email", email);
        self.press("Email me a code").await
    }

    pub async fn reset(&mut self, code: &str, password: &str) -> &mut Self {
        self.open("/reset").await;
        self.fill("Code", code).fill("New password", password).fill("Confirm password", password);
        self.press("Change password").await
    }

    /// Whether the account page opens without logging in.
    pub async fn is_logged_in(&mut self) -> bool {
        self.open("/account").await;
        self.path == "/account" && self.status == StatusCode::OK
    }

    /// The path of the page shown, with its query.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn title(&self) -> String {
        self.all_text("title").concat()
    }

    /// The text of the page.
    pub fn text(&self) -> String {
        self.all_text("body").concat()
    }

    /// The texts of all elements that a CSS selector finds.
    pub fn all_text(&self, css: &str) -> Vec<String> {
        let page = Html::parse_document(&self.html);
        page.select(&select(css)).map(text_of).collect()
    }

    /// An attribute of all elements that a CSS selector finds and that have it.
    pub fn all_attributes(&self, css: &str, name: &str) -> Vec<String> {
        let page = Html::parse_document(&self.html);
        let selector = select(css);
        let found = page.select(&selector);
        found.filter_map(|element| element.attr(name)).map(str::to_owned).collect()
    }

    /// An attribute of the first element that a CSS selector finds.
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let page = Html::parse_document(&self.html);
        page.select(&select(css)).next()?.attr(name).map(str::to_owned)
    }

    /// The errors in the summary of a refused form.
    pub fn problems(&self) -> Vec<String> {
        self.all_text("[role=alert] li")
    }

    /// The flash messages on the page.
    pub fn flashes(&self) -> Vec<String> {
        self.all_text("[role=status] p")
    }

    pub fn cookie(&self, name: &str) -> Option<&String> {
        self.cookies.get(name)
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Sends a request with this browser's cookies, and follows no redirect.
    pub async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.headers_mut().insert(header::COOKIE, pairs.join("; ").parse().unwrap());
        }
        if let Some(user_agent) = self.user_agent {
            request.headers_mut().insert(header::USER_AGENT, user_agent.parse().unwrap());
        }
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Sends a form's fields as from this site's own page, and follows no redirect.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response<Body> {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(form_request(path, body)).await
    }

    async fn go(&mut self, method: Method, path: String, body: Option<String>) {
        let mut request = match (method, body) {
            (Method::POST, Some(body)) => form_request(&path, body),
            _ => Request::get(&path).body(Body::empty()).unwrap(),
        };
        let mut path = path;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(request).await;
            self.visited.push(path.clone());
            self.keep_cookies(response.headers());
            let Some(next) = response.headers().get(header::LOCATION) else {
                return self.show(path, response).await;
            };
            assert_eq!(response.status(), StatusCode::SEE_OTHER);
            path = next.to_str().unwrap().to_owned();
            assert!(path.starts_with('/') && !path.starts_with("//"), "{path} leaves the site");
            request = Request::get(&path).body(Body::empty()).unwrap();
        }
        panic!("too many redirects: {:?}", self.visited);
    }

    async fn show(&mut self, path: String, response: Response<Body>) {
        self.status = response.status();
        self.headers = response.headers().clone();
        self.html = body_of(response).await;
        self.path = path;
        self.filled.clear();
    }

    /// Sets and removes cookies as these headers say.
    pub fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn field_by_label(&self, label: &str) -> String {
        let page = Html::parse_document(&self.html);
        let labels = select("label");
        let found = page.select(&labels).find(|found| text_of(*found) == label);
        let id = found.and_then(|found| found.attr("for"));
        let id =
            id.unwrap_or_else(|| panic!("no label {label:?} at {}: {}", self.path, self.text()));
        let field = select(&format!("input[id=\"{id}\"]"));
        let field = page.select(&field).next().expect("a field for the label");
        field.attr("name").expect("a name").to_owned()
    }

    fn form_of_button(&self, words: &str) -> (String, String) {
        let page = Html::parse_document(&self.html);
        let buttons = select("form button[type=submit]");
        let main = page.select(&buttons).rfind(|button| text_of(*button) == words);
        let button =
            main.unwrap_or_else(|| panic!("no button {words:?} at {}: {}", self.path, self.text()));
        let form = button
            .ancestors()
            .filter_map(ElementRef::wrap)
            .find(|element| element.value().name() == "form");
        let form = form.expect("a form around the button");
        assert_eq!(form.attr("method"), Some("post"));
        let action = form.attr("action").unwrap_or(&self.path).to_owned();
        (action, self.fields_of(form))
    }

    fn fields_of(&self, form: ElementRef<'_>) -> String {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for input in form.select(&select("input[name]")) {
            let name = input.attr("name").unwrap_or_default();
            let is_box = input.attr("type") == Some("checkbox");
            let value = if is_box {
                input.attr("checked").map(|_| "on")
            } else {
                input.attr("value").or(Some(""))
            };
            if let Some(value) = self.filled.get(name).map(String::as_str).or(value) {
                body.append_pair(name, value);
            }
        }
        body.finish()
    }
}

/// A POST as a browser on this site sends it.
pub fn form_request(path: &str, body: String) -> Request<Body> {
    Request::post(path)
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap()
}

/// A response's body as text.
pub async fn body_of(response: Response<Body>) -> String {
    String::from_utf8(bytes_of(response).await).unwrap()
}

pub async fn bytes_of(response: Response<Body>) -> Vec<u8> {
    to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()
}

fn select(css: &str) -> Selector {
    Selector::parse(css).unwrap()
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}
