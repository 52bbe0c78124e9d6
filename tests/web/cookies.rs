//! Cookies are read byte for byte: foreign ones neither count as ours nor break ours.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use tower::ServiceExt;
use vestibule::config::BaseUrl;

use crate::support::{PASSWORD, Site, body_of, form_request};

/// Sends `lines` as they are, a `Cookie` line each.
async fn send(router: &Router, mut request: Request<Body>, lines: &[Vec<u8>]) -> Response<Body> {
    for line in lines {
        request.headers_mut().append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    router.clone().oneshot(request).await.unwrap()
}

async fn get(router: &Router, path: &str, lines: &[Vec<u8>]) -> Response<Body> {
    send(router, Request::get(path).body(Body::empty()).unwrap(), lines).await
}

fn pair(name: &[u8], value: &str) -> Vec<u8> {
    [name, b"=", value.as_bytes()].concat()
}

/// The same site on https.
async fn on_https(site: &Site) -> Router {
    let base_url = BaseUrl::parse("https://accounts.example").unwrap();
    vestibule::site(&site.app_with(|config| config.base_url = base_url).await)
}

/// Spellings that other parsers read as `__Host-vestibule`, and that may have any domain and path.
const SPELLINGS: &[&[u8]] = &[
    b"%5F%5FHost-vestibule",
    b"__Host%2Dvestibule",
    b"__Host-vestibul%65",
    b"\xe2\x80\x80__Host-vestibule",
    b"\xc2\xa0__Host-vestibule",
    b"__Host-vestibule\xc2\xa0",
    b"\xe3\x80\x80__Host-vestibule",
    b"\xef\xbb\xbf__Host-vestibule",
    b"__Host-vestibule ",
    b"__host-vestibule",
    b"__HOST-VESTIBULE",
    b"vestibule",
];

#[tokio::test]
async fn a_session_cookie_under_another_spelling_of_its_name_is_ignored() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await.cookie("vestibule").unwrap().clone();
    let eve = site.registered("eve").await.cookie("vestibule").unwrap().clone();
    let https = on_https(&site).await;
    let own = pair(b"__Host-vestibule", &ann);
    for name in SPELLINGS {
        let foreign = pair(name, &eve);
        let alone = get(&https, "/account", std::slice::from_ref(&foreign)).await;
        assert_eq!(alone.status(), StatusCode::SEE_OTHER, "{}", name.escape_ascii());
        for lines in [
            vec![[&own[..], b"; ", &foreign].concat()],
            vec![[&foreign[..], b"; ", &own].concat()],
            vec![own.clone(), foreign.clone()],
        ] {
            let page = body_of(get(&https, "/account", &lines).await).await;
            assert!(page.contains("ann@meadow.example"), "{}", name.escape_ascii());
        }
    }
}

/// Cookies of another program on this host.
const NEIGHBOURS: &[&[u8]] = &[
    b"visitor=M\xfcller",
    b"M\xfcller=1",
    b"vestibule=M\xfcller",
    b"vestibule=\"quoted\"",
    b"vestibule=of-another-program",
    b"vestibule=",
    b"vestibule",
    b"=x",
    b"x=\xff\xfe\x80",
    b"a=1,2 3\t\"\\",
    b"$Version=1",
    b";;",
];

#[tokio::test]
async fn a_foreign_cookie_with_any_bytes_does_not_log_the_user_out() {
    let site = Site::on_sqlite().await;
    let own = pair(b"vestibule", site.registered("ann").await.cookie("vestibule").unwrap());
    for foreign in NEIGHBOURS {
        for lines in [
            vec![[&own[..], b"; ", foreign].concat()],
            vec![[foreign, &b"; "[..], &own].concat()],
            vec![foreign.to_vec(), own.clone()],
        ] {
            let page = get(&site.router, "/account", &lines).await;
            assert_eq!(page.status(), StatusCode::OK, "{}", foreign.escape_ascii());
            let login = get(&site.router, "/login", &lines).await;
            assert_eq!(login.status(), StatusCode::SEE_OTHER, "{}", foreign.escape_ascii());
        }
        let other = get(&site.router, "/login", &[foreign.to_vec()]).await;
        assert_eq!(other.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn two_different_session_cookies_count_as_none() {
    let site = Site::on_sqlite().await;
    let ann = pair(b"vestibule", site.registered("ann").await.cookie("vestibule").unwrap());
    let eve = pair(b"vestibule", site.registered("eve").await.cookie("vestibule").unwrap());
    for lines in [vec![ann.clone(), eve.clone()], vec![[&eve[..], b"; ", &ann].concat()]] {
        assert_eq!(get(&site.router, "/account", &lines).await.status(), StatusCode::SEE_OTHER);
    }
    let twice = get(&site.router, "/account", &[ann.clone(), ann]).await;
    assert_eq!(twice.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_device_cookie_is_read_byte_for_byte_too() {
    let site = Site::on_sqlite().await;
    let device = site.registered("ann").await.cookie("vestibule-device").unwrap().clone();
    let login = async |line: Vec<u8>| {
        site.wait(1);
        let form =
            form_request("/login", format!("username=ann&password={}", PASSWORD.replace(' ', "+")));
        let answer = send(&site.router, form, &[line]).await;
        assert_eq!(answer.headers()["location"], "/account");
        site.mails_to("ann").await.len()
    };
    let own = pair(b"vestibule-device", &device);
    assert_eq!(login([&own[..], b"; visitor=M\xfcller"].concat()).await, 1, "it is known");
    for (at, name) in [&b"vestibule%2Ddevice"[..], b"\xc2\xa0vestibule-device", b"Vestibule-device"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(login(pair(name, &device)).await, at + 2, "{}", name.escape_ascii());
    }
    assert_eq!(
        login(pair(
            b"vestibule-device",
            &device.replacen(&device[..1], &format!("%{:02X}", device.as_bytes()[0]), 1)
        ))
        .await,
        5
    );
}

#[tokio::test]
async fn the_cookie_of_an_ended_session_is_read_byte_for_byte_too() {
    let site = Site::on_sqlite().await;
    let shows = async |line: &[u8]| {
        body_of(get(&site.router, "/login", &[line.to_vec()]).await)
            .await
            .contains("role=\"status\"")
    };
    assert!(shows(b"vestibule-ended=1; visitor=M\xfcller").await);
    for line in [&b"%76estibule-ended=1"[..], b"\xc2\xa0vestibule-ended=1", b"VESTIBULE-ENDED=1"] {
        assert!(!shows(line).await, "{}", line.escape_ascii());
    }
}
