//! Debian's nginx and Caddy with the documented configurations, over TLS: login, logout, and what a
//! client forges.

use crate::support::apps::{HTML, WIKI, behind_proxy, get, location, session, set_cookie};
use crate::support::hosts::{Answer, HostsBrowser};
use crate::support::proxies::{Kind, Setup, documented, start_echo};
use crate::support::{PASSWORD, Site};

const PAGE: &str = "https://wiki.example.org/a/b?c=d&e=%2F";
const HEADERS: [&str; 6] =
    ["remote-user", "remote-name", "remote-email", "remote-groups", "remote-id", "remote-token"];

/// What a client may try.
const FORGED: [(&str, &str); 16] = [
    ("Remote-User", "root"),
    ("Remote-Name", "root"),
    ("Remote-Email", "root@evil.example"),
    ("Remote-Groups", "root"),
    ("Remote-Id", "root"),
    ("Remote-Token", "root"),
    ("Remote_User", "root"),
    ("remote_groups", "root"),
    ("X-Original-URL", "https://evil.example/root"),
    ("X-Original-Method", "ROOT"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Uri", "/root"),
    ("X-Forwarded-Method", "ROOT"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("Forwarded", "host=evil.example"),
];

/// The values of a header that the application got.
fn got<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let lines = answer.body.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| known.replace('_', "-") == name).map(|(_, value)| value).collect()
}

/// Registers on the way to `page`, from the login page that it leads to.
async fn enter(browser: &mut HostsBrowser, base: &str, page: &str) -> Answer {
    let login = browser.open(page).await;
    assert_eq!(login.status, 200, "{:?} {}", browser.way, login.body);
    assert!(login.body.contains("<h1>Log in</h1>"), "{:?}", browser.way);
    let query = browser.way.last().unwrap().split_once("?next=").unwrap().1.to_owned();
    let next = percent_encoding::percent_decode_str(&query).decode_utf8().unwrap().into_owned();
    let name = format!("u{}", &vestibule::random::id(0)[18..])
        .replace(|c: char| !c.is_ascii_alphanumeric(), "x");
    let email = format!("{name}@meadow.example");
    let fields = [
        ("username", name.as_str()),
        ("email", &email),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("next", &next),
    ];
    let answer = browser.submit(&format!("{base}/register"), &fields).await;
    assert_eq!(browser.way.last().unwrap(), page, "{:?} {}", browser.way, answer.body);
    assert_eq!(got(&answer, "remote-user"), [name]);
    answer
}

async fn two_hosts(kind: Kind) {
    let echo = start_echo().await;
    let text = match kind {
        Kind::Nginx => documented("nginx", "server_name wiki.example.org"),
        Kind::Caddy => documented("caddyfile", "wiki.example.org {"),
    };
    let Some(setup) = Setup::start(kind, "https://id.example.org", |_| (text, echo)).await else {
        return;
    };
    let mut ann = setup.browser();
    let answer = enter(&mut ann, "https://id.example.org", PAGE).await;
    assert!(answer.body.starts_with("GET /a/b?c=d&e=%2F\n"), "{}", answer.body);
    let callback = ann.way.iter().find(|url| url.contains("/.vestibule/callback")).unwrap().clone();

    what_is_forged_changes_nothing(&mut ann, &mut setup.browser()).await;
    no_client_removes_the_identity(kind, &mut ann, PAGE).await;
    scripts_and_forms(&mut ann, &mut setup.browser()).await;
    only_pages_lead_to_the_login(kind, &mut setup.browser(), PAGE).await;

    for url in ["/forward/proxy", "/forward/nginx", "/.vestibule/login", "/.vestibule/callback"] {
        let answer = ann.send("GET", &format!("https://id.example.org{url}"), &FORGED, "").await;
        assert_eq!(answer.status, 404, "{url}");
    }
    for browser in [&mut ann, &mut setup.browser()] {
        let replayed = browser.send("GET", &callback, &[], "").await;
        assert_eq!((replayed.status, replayed.header("set-cookie")), (403, None));
    }
    out_everywhere(&mut ann).await;
}

async fn what_is_forged_changes_nothing(ann: &mut HostsBrowser, stranger: &mut HostsBrowser) {
    let honest = ann.send("GET", PAGE, &[], "").await;
    let forged = ann.send("GET", PAGE, &FORGED, "").await;
    assert_nothing_forged_about_the_request(&forged);
    assert_eq!((honest.status, forged.status), (200, 200));
    for name in HEADERS {
        let values = got(&forged, name);
        assert_eq!(values.len(), 1, "{name}: {}", forged.body);
        assert!(!values[0].contains("root") && !values[0].is_empty(), "{name}");
        if name != "remote-token" {
            assert_eq!(values, got(&honest, name));
        }
    }
    for headers in [&FORGED[..], &FORGED[..8], &[]] {
        let answer = stranger.send("GET", PAGE, headers, "").await;
        assert_eq!(answer.status, 302, "{}", answer.body);
        let place = answer.header("location").unwrap();
        let expected = "https://wiki.example.org/.vestibule/login?next=/a/b%3Fc%3Dd%26e%3D%252F";
        assert_eq!(place, expected);
        assert!(!answer.body.contains("GET /a/b"), "the application was asked");
    }
}

/// A proxy must remove each header that `Connection` names (RFC 9110), and Caddy takes its own for such.
async fn no_client_removes_the_identity(kind: Kind, ann: &mut HostsBrowser, page: &str) {
    for name in ["Remote-User", "remote-token", "x, REMOTE-ID"] {
        let hop = format!("close, {name}");
        let answer = ann.send("GET", page, &[("Connection", &hop)], "").await;
        if kind == Kind::Caddy {
            assert_eq!(answer.status, 400, "{name}: {}", answer.body);
        } else {
            assert_eq!((answer.status, got(&answer, "remote-user").len()), (200, 1), "{name}");
        }
    }
    assert_eq!(ann.send("GET", page, &[("Connection", "close")], "").await.status, 200);
}

/// What docs/apps.md promises under "Requests without a login".
async fn only_pages_lead_to_the_login(kind: Kind, stranger: &mut HostsBrowser, page: &str) {
    let curl = [("Accept", "*/*"), ("Sec-Fetch-Mode", "")];
    for (method, headers, status) in [
        ("GET", &[][..], 302),
        ("HEAD", &[], 302),
        ("GET", &[("Sec-Fetch-Mode", "cors")], 401),
        ("GET", &[("X-Requested-With", "XMLHttpRequest")], 401),
        ("GET", &[("Accept", "application/json")], 401),
        ("GET", &curl, 401),
        ("POST", &[], 401),
        ("DELETE", &[], 401),
    ] {
        let answer = stranger.send(method, page, headers, "").await;
        assert_eq!(answer.status, status, "{method} {headers:?} {}", answer.body);
        assert_eq!(answer.header("location").is_some(), status == 302, "{method} {headers:?}");
        if (kind, method) == (Kind::Caddy, "POST") {
            assert!(answer.body.contains("/login?next="), "{}", answer.body);
        }
    }
}

/// Headers about the request itself, by which an application may build links or addresses.
fn assert_nothing_forged_about_the_request(forged: &Answer) {
    for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] {
        for forgery in ["evil.example", "http", "127.0.0.1, 127.0.0.1"] {
            assert!(!got(forged, name).contains(&forgery), "{name}: {}", forged.body);
        }
    }
}

async fn scripts_and_forms(ann: &mut HostsBrowser, stranger: &mut HostsBrowser) {
    let script = [("Sec-Fetch-Mode", "cors"), ("Accept", "application/json")];
    assert_eq!(stranger.send("GET", PAGE, &script, "").await.status, 401);
    assert_eq!(ann.send("GET", PAGE, &script, "").await.status, 200);
    let posted = ann.send("POST", PAGE, &[("Content-Type", "text/plain")], "some words").await;
    assert!(
        posted.status == 200
            && posted.body.starts_with("POST ")
            && posted.body.ends_with("some words")
    );
    let refused =
        stranger.send("POST", PAGE, &[("Content-Type", "text/plain")], "some words").await;
    assert!(refused.status == 401 && !refused.body.contains("some words"));
    for (part, times) in [("y", 7000), ("y", 1900), ("&", 1000), ("%C3%A4", 300)] {
        let long = format!("{PAGE}&x={}", part.repeat(times));
        assert_eq!(ann.send("GET", &long, &[], "").await.status, 200);
        let login = stranger.open(&long).await;
        assert!(login.body.contains("<h1>Log in</h1>"), "{part}: {} {}", login.status, login.body);
    }
}

async fn out_everywhere(ann: &mut HostsBrowser) {
    let logout = "https://wiki.example.org/.vestibule/logout";
    for origin in ["https://id.example.org", "https://evil.example"] {
        let answer = ann.send("POST", logout, &[("Origin", origin)], "").await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    assert_eq!(ann.open(PAGE).await.status, 200);
    assert_eq!(ann.way, [PAGE]);
    let answer = ann.submit(logout, &[]).await;
    assert_eq!(ann.way.last().unwrap(), "https://id.example.org/login", "{}", answer.body);
    for page in [PAGE, "https://id.example.org/account"] {
        let answer = ann.open(page).await;
        assert!(answer.body.contains("<h1>Log in</h1>"), "{:?}", ann.way);
    }
}

/// `path` is that of the base URL.
async fn one_host(kind: Kind, path: &str) {
    let echo = start_echo().await;
    let text = match kind {
        Kind::Nginx => documented("nginx", "location /wiki/"),
        Kind::Caddy => documented("caddyfile", "route /wiki/*"),
    };
    let text = text
        .replace("location / {", &format!("location {path}/ {{"))
        .replace("/forward/", &format!("{path}/forward/"));
    let base = format!("https://example.org{path}");
    let Some(setup) = Setup::start(kind, &base, |_| (text, echo)).await else {
        return;
    };
    let page = "https://example.org/wiki/a?b=c&d";
    let mut ann = setup.browser();
    enter(&mut ann, &base, page).await;
    let forged = ann.send("GET", page, &FORGED, "").await;
    for name in HEADERS {
        assert!(got(&forged, name).iter().all(|value| !value.contains("root")), "{}", forged.body);
    }
    assert_eq!(got(&forged, "remote-token").len(), 1);
    assert_nothing_forged_about_the_request(&forged);
    no_client_removes_the_identity(kind, &mut ann, page).await;
    only_pages_lead_to_the_login(kind, &mut setup.browser(), page).await;
    let answer = setup.browser().send("GET", page, &FORGED, "").await;
    assert_eq!(answer.status, 302);
    let login = format!("{base}/login?next=/wiki/a%3Fb%3Dc%26d");
    assert_eq!(answer.header("location").unwrap(), login);
    let check = ann.send("GET", &format!("{base}/forward/proxy"), &FORGED, "").await;
    assert_eq!(check.status, 404);
    ann.submit(&format!("{base}/logout"), &[("next", "/wiki/")]).await;
    assert_eq!(ann.way[1], "https://example.org/wiki/");
    assert_eq!(ann.send("GET", page, &[], "").await.status, 302);
}

/// The site under a path, as docs/operating.md has it.
async fn under_a_path(kind: Kind) {
    let text = match kind {
        Kind::Nginx => documented("nginx", "location /auth/"),
        Kind::Caddy => documented("caddyfile", "path /auth /auth/*"),
    };
    let base = "https://example.org/auth";
    let config = |program| (text, program);
    let Some(setup) = Setup::start(kind, base, config).await else { return };
    let mut ann = setup.browser();
    let page = format!("{base}/account/password");
    let known = "https://example.org/.well-known/change-password";
    let answer = ann.send("GET", known, &[], "").await;
    // nginx adds the port that it listens on here.
    assert!(answer.header("location").unwrap().ends_with("/auth/account/password"));
    let login = ann.open(&page).await;
    assert!(login.body.contains("<h1>Log in</h1>"), "{:?}", ann.way);
    assert_eq!(ann.way.last().unwrap(), &format!("{base}/login?next=/auth/account/password"));
    let fields = [
        ("username", "ann"),
        ("email", "ann@meadow.example"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("next", "/auth/account/password"),
    ];
    let answer = ann.submit(&format!("{base}/register"), &fields).await;
    assert_eq!((answer.status, ann.way.last().unwrap()), (200, &page), "{}", answer.body);
    assert!(answer.body.contains("<h1>Change your password</h1>"), "{}", answer.body);
    let style = answer.body.split("<link rel=\"stylesheet\" href=\"").nth(1).unwrap();
    let style = format!("https://example.org{}", style.split('"').next().unwrap());
    assert_eq!(ann.send("GET", &style, &[], "").await.status, 200, "{style}");
    ann.open(&format!("{base}/")).await;
    assert_eq!(ann.way.last().unwrap(), &format!("{base}/account"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_the_site_under_a_path() {
    under_a_path(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_with_the_site_under_a_path() {
    under_a_path(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_on_two_hosts() {
    two_hosts(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_on_two_hosts() {
    two_hosts(Kind::Caddy).await;
}

/// Traefik copies the client's headers and sets its own of these (its page on `ForwardAuth`).
fn as_traefik<'a>(
    method: &'a str,
    target: &'a str,
    client: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let own = [
        ("host", "127.0.0.1:8000"),
        ("x-forwarded-method", method),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "wiki.example.org"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-server", "traefik"),
        ("x-forwarded-uri", target),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
    ];
    let is_replaced = |name: &str| own.iter().any(|(known, _)| name.eq_ignore_ascii_case(known));
    let kept = client.iter().filter(|(name, _)| !is_replaced(name));
    own.iter().chain(kept).copied().collect()
}

#[tokio::test]
async fn traefik_by_the_requests_that_it_documents() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let navigation = [&FORGED[..], &[HTML, ("sec-fetch-mode", "navigate")]].concat();
    let ask = async |method, client: &[_]| {
        get(&proxy, "/forward/proxy", &as_traefik(method, "/a/b?c=d&e=%2F", client)).await
    };
    let refused = ask("GET", &navigation).await;
    assert_eq!(refused.status(), 302);
    let login = "https://wiki.example.org/.vestibule/login?next=/a/b%3Fc%3Dd%26e%3D%252F";
    assert_eq!(location(&refused), login);
    assert_eq!(ask("POST", &navigation).await.status(), 401);
    assert_eq!(ask("GET", &[("accept", "application/json")]).await.status(), 401);

    let login = login.strip_prefix(WIKI).unwrap();
    let started = get(&proxy, login, &as_traefik("GET", login, &navigation)).await;
    let browser_cookie = set_cookie(started.headers()).0;
    let session = session(&ann);
    let own = [("cookie", session.as_str())];
    let enter =
        get(&proxy, location(&started).strip_prefix("http://localhost:8000").unwrap(), &own).await;
    let ticket = get(&proxy, location(&enter), &own).await;
    let callback = location(&ticket).strip_prefix(WIKI).unwrap();
    let back =
        get(&proxy, callback, &as_traefik("GET", callback, &[("cookie", &browser_cookie)])).await;
    assert_eq!(location(&back), PAGE);

    let cookie = set_cookie(back.headers()).0;
    let client = [&navigation[..], &[("cookie", &cookie)]].concat();
    for method in ["GET", "POST", "PUT"] {
        let allowed = ask(method, &client).await;
        assert_eq!(allowed.status(), 200, "{method}");
        for name in HEADERS {
            let value = allowed.headers()[name].to_str().unwrap();
            assert!(!value.is_empty() && !value.contains("root"), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_a_path_of_one_host() {
    one_host(Kind::Nginx, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_a_path_of_one_host_and_another_of_vestibule() {
    one_host(Kind::Nginx, "/auth").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_with_a_path_of_one_host() {
    one_host(Kind::Caddy, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_with_a_path_of_one_host_and_another_of_vestibule() {
    one_host(Kind::Caddy, "/auth").await;
}
