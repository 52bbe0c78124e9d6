//! Rules that hold for any input, for the property tests and for the fuzz targets in `fuzz/`, which
//! include this file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use url::Url;
use vestibule::Config;
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::one_time_code::OneTimeCode;
use vestibule::accounts::password::{MAX_PASSWORD_LENGTH, Password};
use vestibule::accounts::pasted::{is_dash, is_invisible, plain};
use vestibule::accounts::username::{LENGTH, Username};
use vestibule::client_address::client_address;
use vestibule::config::{Apps, BaseUrl, Limits, SETTINGS, Sender, UsernameRule};
use vestibule::forwarded::ForwardedUrl;
use vestibule::mail::Composer;
use vestibule::models::outbox::{Email, QueuedEmail};
use vestibule::next_path::NextPath;

/// The origin of the site.
const ORIGIN: &str = "http://localhost:8000";

/// Every page that reads a form.
pub const FORMS: [&str; 5] = ["/login", "/register", "/forgot", "/reset", "/account/password"];

/// Turns off every limit, so that the thousandth form is processed like the first.
pub fn no_limits() -> Limits {
    let limits = SETTINGS.iter().filter(|setting| setting.value == "COUNT/PERIOD|off");
    let environment = limits.map(|setting| (setting.variable(), "off".to_owned())).collect();
    Config::from_sources(&BTreeMap::new(), &environment).unwrap().limits
}

/// A username is the typed text in lower case, and consists of ASCII letters, digits and single dots.
pub fn username(typed: &str) {
    let Ok(name) = Username::parse(typed, UsernameRule::Ascii) else { return };
    let name = name.as_str();
    assert_eq!(name, plain(typed).to_ascii_lowercase());
    assert!(LENGTH.contains(&name.len()));
    let is_letter = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    assert!(name.as_bytes().iter().all(is_letter), "{name:?}");
    let is_dot = |byte: u8| matches!(byte, b'.' | b'_' | b'-');
    let has_two = name.as_bytes().windows(2).any(|two| is_dot(two[0]) && is_dot(two[1]));
    let ends_so = name.as_bytes().first().copied().is_some_and(is_dot)
        || name.as_bytes().last().copied().is_some_and(is_dot);
    assert!(!has_two && !ends_so, "{name:?}");
    assert_eq!(Username::parse(name, UsernameRule::Ascii).unwrap().as_str(), name);
    assert_eq!(
        Username::parse(&name.to_ascii_uppercase(), UsernameRule::Ascii).unwrap().as_str(),
        name
    );
}

/// An email address is the typed text, and the only recipient of an email.
pub fn email(typed: &str) {
    let Ok(email) = EmailAddress::parse(typed) else { return };
    let typed = plain(typed);
    let typed = typed.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(&typed);
    let scheme = typed.get(..7).filter(|start| start.eq_ignore_ascii_case("mailto:"));
    assert_eq!(email.as_typed(), typed[scheme.map_or(0, str::len)..].trim());
    assert!(!email.as_typed().contains("\u{ad}") && !email.as_typed().contains("\u{200b}"));
    let breaks_out = |c: char| c.is_control() || c.is_whitespace() || "<>,;:\"()[]\\".contains(c);
    assert!(!email.as_typed().contains(breaks_out), "{email:?}");
    assert_eq!(email.as_typed().matches('@').count(), 1, "{email:?}");
    let again = EmailAddress::parse(email.key()).unwrap();
    assert_eq!((again.as_typed(), again.key()), (email.key(), email.key()));
    assert!(email.key().is_ascii() && !email.key().contains(|c: char| c.is_ascii_uppercase()));
    assert_eq!(recipients(email.as_typed()), [written(email.as_typed())]);
}

/// An address as in an email: the domain in punycode.
fn written(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap();
    format!("{local}@{}", idna::domain_to_ascii(domain).unwrap())
}

/// The `To`, `Cc` and `Bcc` of an email to `address`.
fn recipients(address: &str) -> Vec<String> {
    let email = Email {
        kind: "registered".to_owned(),
        to: address.to_owned(),
        subject: "Hello".to_owned(),
        text: "Hello\n".to_owned(),
        html: "<p>Hello</p>\n".to_owned(),
        expires_at: i64::MAX,
    };
    let sender = Sender { name: String::new(), address: "no-reply@site.example".to_owned() };
    let composer = Composer::new(&sender, "site.example").unwrap();
    let queued = QueuedEmail { id: "a".repeat(26), email, ..QueuedEmail::default() };
    let source = composer.compose(&queued).unwrap().source;
    let (head, _) = source.split_once("\r\n\r\n").unwrap();
    // RFC 5322 2.2.3: a line that begins with a space continues the one before.
    let head = head.replace("\r\n ", "");
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let to = fields.filter(|(name, _)| {
        ["to", "cc", "bcc"].contains(&name.trim().to_ascii_lowercase().as_str())
    });
    to.map(|(_, address)| address.trim().to_owned()).collect()
}

/// A `next` path stays on this site for every browser, from any page, with http and https, and is the
/// checked text in a browser's encoding.
pub fn next_path(text: &str) {
    let next = NextPath::parse(text);
    let path = next.or("");
    assert_eq!(next.as_str(), path);
    if path.is_empty() {
        assert_eq!(next.query(), "");
        return;
    }
    let written = text.chars().map(|c| match c {
        '!'..='~' => c.to_string(),
        ' ' => "%20".to_owned(),
        _ => url::form_urlencoded::byte_serialize(c.to_string().as_bytes()).collect(),
    });
    assert_eq!(path, written.collect::<String>());
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{path:?}");
    for page in ["http://localhost:8000/login", "https://id.example.org/a/b?next=//evil.example"] {
        let page = Url::parse(page).unwrap();
        let target = page.join(path).unwrap();
        assert_eq!(target.origin(), page.origin(), "{path:?}");
        assert!(target.username().is_empty() && target.password().is_none(), "{path:?}");
        // Nor does a redirect to the path without the query leave the site.
        assert_eq!(page.join(target.path()).unwrap().origin(), page.origin(), "{path:?}");
    }
    let query = next.query();
    let query = query.strip_prefix("?next=").unwrap().replace('+', " ");
    assert_eq!(percent_decode_str(&query).decode_utf8().unwrap(), path);
}

/// The applications of the site.
pub const APPS: &str = "https://wiki.example.org,https://example.org/app";

/// A `next` that leaves this site leads to an application, as browsers and as nginx read it.
pub fn next_with_apps(text: &str) {
    let next = NextPath::parse_with(text, &Apps::parse(APPS).unwrap());
    if next.as_str().is_empty() || next.as_str().starts_with('/') {
        assert_eq!(next, NextPath::parse(text));
        return;
    }
    let url = Url::parse("http://localhost:8000/login").unwrap().join(next.as_str()).unwrap();
    assert_eq!(url.as_str(), next.as_str());
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    is_of_app(&url);
}

fn is_of_app(url: &Url) {
    let decoded = percent_decode_str(url.path()).decode_utf8_lossy().replace('\\', "/");
    let read =
        Url::parse("http://x/").unwrap().join(&format!("/./{}", decoded.trim_start_matches('/')));
    match url.origin().ascii_serialization().as_str() {
        "https://wiki.example.org" => {}
        "https://example.org" => {
            for path in [url.path(), read.unwrap().path()] {
                assert!(path == "/app" || path.starts_with("/app/"), "{url}");
            }
        }
        other => panic!("{other}"),
    }
}

/// What a proxy says is one URL, whose path is kept and can be sent in a header.
pub fn forwarded_url(text: &[u8]) {
    let Some(read) = ForwardedUrl::from_url(text) else { return };
    assert!(read.path.starts_with('/') && read.path.bytes().all(|byte| byte.is_ascii_graphic()));
    let origin = read.url.origin().ascii_serialization();
    assert!(origin.starts_with("http://") || origin.starts_with("https://"), "{origin}");
    let again = ForwardedUrl::from_url(format!("{origin}{}", read.path).as_bytes());
    assert_eq!(again.as_ref(), Some(&read));
    let host = origin.split_once("://").unwrap().1;
    let from_parts = ForwardedUrl::from_parts(
        read.url.scheme().as_bytes(),
        host.as_bytes(),
        read.path.as_bytes(),
    );
    assert_eq!(from_parts, Some(read));
}

/// Whatever headers, cookies, tickets and pages are made up: nobody is identified, and nothing fails.
pub async fn check(router: &Router, endpoint: u8, lines: &[&[u8]]) {
    const NAMES: [&str; 7] = [
        "x-original-url",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-uri",
        "x-forwarded-method",
        "cookie",
        "accept",
    ];
    const PATHS: [&str; 4] = [
        "/forward/nginx?x",
        "/forward/proxy?x",
        "/.vestibule/login?next",
        "/.vestibule/callback?ticket",
    ];
    let path = PATHS[usize::from(endpoint) % PATHS.len()];
    let query = lines.get(NAMES.len()).copied().unwrap_or_default();
    let query: String = url::form_urlencoded::byte_serialize(query).collect();
    let mut request = Request::get(format!("{path}={query}"));
    for (name, value) in NAMES.iter().zip(lines) {
        if let Ok(value) = header::HeaderValue::from_bytes(value) {
            request = request.header(*name, value);
        }
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert!([302, 303, 401, 403].contains(&answer.status().as_u16()), "{}", answer.status());
    assert!(!answer.headers().contains_key("remote-user"));
    if answer.status() == StatusCode::SEE_OTHER {
        let login = answer.headers()[header::LOCATION].to_str().unwrap();
        assert!(login.starts_with("http://localhost:8000/login?next=/login/app"), "{login}");
    }
}

/// A base URL is an origin and a path that no browser, proxy or router reads in another way.
pub fn base_url(text: &str) {
    let Ok(base_url) = BaseUrl::parse(text) else { return };
    let written = base_url.to_string();
    assert_eq!(written, format!("{}{}", base_url.origin(), base_url.path()));
    assert_eq!(BaseUrl::parse(&written).as_ref(), Ok(&base_url));
    let url = Url::parse(&written).unwrap();
    assert_eq!(url.path().trim_end_matches('/'), base_url.path(), "{text:?}");
    assert_eq!(url.origin().ascii_serialization(), base_url.origin());
    assert!(!base_url.path().ends_with('/') && !base_url.path().contains("//"), "{text:?}");
    // Inserted into HTML, headers and the patterns of routes.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    assert!(base_url.path().bytes().all(is_plain), "{text:?}");
}

/// The trusted proxies of the site.
pub fn trusted_proxies() -> Vec<IpNet> {
    vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]
}

/// Only a trusted proxy names the visitor's address: forged entries further left change nothing.
pub fn forwarded(direct: IpAddr, lines: &[&[u8]]) {
    let trusted = trusted_proxies();
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let seen = client_address(direct, lines.iter().copied(), &trusted);
    assert_eq!(seen, seen.to_canonical());
    assert_eq!(client_address(direct, lines.iter().copied(), &[]), direct.to_canonical());
    if !is_trusted(direct.to_canonical()) {
        assert_eq!(seen, direct.to_canonical());
    }
    if is_trusted(seen) {
        return;
    }
    // No line before, and nothing before in the first line, makes a difference.
    for forged in [&b"198.51.100.66"[..], b"10.9.9.9", b"\xff", b"fd00::1, 2001:db8::66"] {
        let before = [&[forged], lines].concat();
        assert_eq!(client_address(direct, before.iter().copied(), &trusted), seen);
        let Some((first, rest)) = lines.split_first() else { continue };
        let longer = [forged, b",", first].concat();
        let longer = std::iter::once(longer.as_slice()).chain(rest.iter().copied());
        let longer: Vec<&[u8]> = longer.collect();
        assert_eq!(client_address(direct, longer.into_iter(), &trusted), seen);
    }
}

/// A direct peer from one byte: a proxy, an IPv4-mapped proxy, or another address.
pub fn peer(choice: u8) -> IpAddr {
    match choice % 4 {
        0 => Ipv4Addr::new(10, 0, 0, choice).into(),
        1 => Ipv4Addr::new(10, 0, 0, choice).to_ipv6_mapped().into(),
        2 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, choice.into()).into(),
        _ => Ipv4Addr::new(203, 0, 113, choice).into(),
    }
}

/// A code is the typed letters in order, without spaces, dashes and invisible characters.
pub fn code(typed: &str) {
    let Ok(code) = OneTimeCode::parse(typed) else { return };
    assert!(vestibule::random::is_code(code.as_str()));
    let mut rest = code.as_str().chars();
    for c in typed.nfkd() {
        let is_filler = c.is_whitespace() || is_dash(c) || is_invisible(c) || is_combining_mark(c);
        assert!(is_filler || rest.next() == Some(c.to_ascii_uppercase()), "{typed:?}");
    }
    assert_eq!(rest.next(), None, "{typed:?}");
    assert!(OneTimeCode::parse(&code.to_string()) == Ok(code), "{typed:?}");
}

/// A password is the text in NFC, and its length is counted in code points.
pub fn password(typed: &str) {
    let kept = Password::typed(typed);
    let text = str::from_utf8(kept.as_bytes()).unwrap();
    assert!(unicode_normalization::is_nfc(text), "{typed:?}");
    let decomposed: String = typed.nfd().collect();
    assert_eq!(Password::typed(&decomposed).as_bytes(), kept.as_bytes(), "{typed:?}");
    assert_eq!(Password::typed(text).as_bytes(), kept.as_bytes(), "{typed:?}");
    if typed.is_ascii() {
        assert_eq!(text, typed);
    }
    let fits = !typed.is_empty() && (8..=MAX_PASSWORD_LENGTH).contains(&text.chars().count());
    assert_eq!(Password::choose(typed, 8).is_ok(), fits, "{typed:?}");
}

/// The cookies of a user who is logged in and has asked for a code, and so can send every form.
pub async fn insider(site: &Router) -> String {
    let form = b"username=ann&email=ann@meadow.example&password=moss+lantern+quartz&password_confirm=moss+lantern+quartz";
    let registered = post(site, "", "/register", form).await;
    let cookies: Vec<&str> = registered
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().unwrap().split(';').next())
        .collect();
    let cookies = cookies.join("; ");
    let asked = post(site, &cookies, "/forgot", b"username=ann&email=ann@meadow.example").await;
    assert_eq!(asked.headers()[header::LOCATION], "/reset");
    cookies
}

/// Any bytes sent to a form are answered with a page or a redirect on this site, never with a server
/// error.
pub async fn form(site: &Router, cookies: &str, path: &str, body: &[u8]) {
    // Other forms may start another session, which would invalidate these cookies.
    let cookies = if ["/reset", "/account/password"].contains(&path) { cookies } else { "" };
    let answer = post(site, cookies, path, body).await;
    let status = answer.status();
    assert!(!status.is_server_error(), "{path}: {status}");
    if status != StatusCode::SEE_OTHER {
        assert!(status.is_client_error(), "{path}: {status}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        return;
    }
    let location = answer.headers()[header::LOCATION].to_str().unwrap();
    assert!(cookies.is_empty(), "{path} {location}: the session is over, or a guess was right");
    let page = Url::parse(ORIGIN).unwrap();
    assert_eq!(page.join(location).unwrap().origin(), page.origin(), "{location}");
}

async fn post(site: &Router, cookies: &str, path: &str, body: &[u8]) -> Response<Body> {
    let request = Request::post(path)
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::COOKIE, cookies)
        .body(Body::from(body.to_vec()))
        .unwrap();
    site.clone().oneshot(request).await.unwrap()
}
