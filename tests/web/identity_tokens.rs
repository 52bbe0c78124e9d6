//! Identity tokens: what an application can verify without trusting its network, and their keys.

use axum::Router;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use vestibule::App;
use vestibule::db::sql;
use vestibule::key::ServerKey;
use vestibule::models::signing_key::find_signing_keys;

use crate::support::apps::{
    PROXY, WIKI, app_cookie, ask_proxy, at, behind_proxy, get, read_token, session, with_apps,
};
use crate::support::{PASSWORD, Site, body_of};

const OWN: &str = "http://localhost:8000/";
const DAY: i64 = 24 * 60 * 60;

async fn token(router: &Router, page: &str, cookie: &str) -> String {
    let answer = ask_proxy(router, page, cookie).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.headers()["remote-token"].to_str().unwrap().to_owned()
}

async fn published(router: &Router) -> Vec<Value> {
    let answer = get(router, "/.well-known/jwks.json", &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=3600");
    let keys: Value = serde_json::from_str(&body_of(answer).await).unwrap();
    keys["keys"].as_array().unwrap().clone()
}

/// Whether one of `keys` has signed `token`.
fn is_signed(token: &str, keys: &[Value]) -> bool {
    let (text, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let kid = &read_token(token).0["kid"];
    keys.iter().filter(|key| key["kid"] == *kid).any(|key| {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let point = [vec![4], part("x"), part("y")].concat();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        public.verify(text.as_bytes(), &signature).is_ok()
    })
}

on_both_databases! {
    async fn a_token_tells_one_application_for_a_minute_who_is_there(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
        let prefixed = app_cookie(&proxy, "https://example.org", &session(&ann)).await;
        let now = site.app.clock.now();
        for (page, cookie, audience) in [
            (OWN, session(&ann), "http://localhost:8000"),
            ("https://WIKI.example.org:443/a?b", wiki, WIKI),
            ("https://example.org/app/a", prefixed, "https://example.org"),
        ] {
            let answer = ask_proxy(&proxy, page, &cookie).await;
            let id = answer.headers()["remote-id"].to_str().unwrap().to_owned();
            let token = answer.headers()["remote-token"].to_str().unwrap();
            let keys = published(&proxy).await;
            assert!(is_signed(token, &keys));
            let (header, claims) = read_token(token);
            assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": keys[0]["kid"]}));
            let expected = json!({
                "iss": "http://localhost:8000",
                "aud": audience,
                "sub": id,
                "iat": now,
                "exp": now + 60,
                "preferred_username": "ann",
                "email": "ann@meadow.example",
                "email_verified": true,
            });
            assert_eq!(claims, expected);
        }
    }

    async fn a_new_key_is_published_a_day_before_it_signs_and_an_old_one_until_its_tokens_have_expired(site: Site) {
        site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let mut days = Vec::new();
        let mut last: Option<String> = None;
        let mut changes = 0;
        for _ in 0..70 {
            days.push(published(&proxy).await);
            site.wait(DAY);
            let mut ann = site.browser();
            ann.log_in("ann", PASSWORD).await;
            let token = token(&proxy, OWN, &session(&ann)).await;
            assert!(is_signed(&token, days.last().unwrap()), "known for a day");
            let kid = |token: &str| read_token(token).0["kid"].clone();
            if let Some(last) = last.filter(|last| kid(last) != kid(&token)) {
                assert!(is_signed(&last, &published(&proxy).await), "it may have been made just now");
                changes += 1;
            }
            last = Some(token);
        }
        let kids = |keys: &[Value]| keys.iter().map(|key| key["kid"].to_string()).collect::<Vec<_>>();
        assert_eq!(changes, 2);
        let first = kids(&days[0]);
        assert_eq!(first.len(), 1);
        assert!(!kids(days.last().unwrap()).contains(&first[0]), "it has gone");
        assert!(days.iter().all(|keys| (1..=2).contains(&keys.len())));
        assert!(site.count("select count(*) from vestibule_signing_keys").await <= 2);
    }

    async fn nodes_that_start_together_sign_with_one_key(site: Site) {
        let ann = site.registered("ann").await;
        let mut nodes = Vec::new();
        for _ in 0..4 {
            nodes.push(behind_proxy(&site).await);
        }
        let session = session(&ann);
        let tokens = nodes.iter().map(|node| token(node, OWN, &session));
        let tokens = futures_util::future::join_all(tokens).await;
        let keys = published(&nodes[0]).await;
        assert_eq!(keys.len(), 1);
        assert!(tokens.iter().all(|token| is_signed(token, &keys)));
    }

    async fn keys_lie_sealed_and_open_on_every_node(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let token = token(&proxy, OWN, &session(&ann)).await;
        let rows = find_signing_keys(site.db().reader()).await.unwrap();
        let opened = site.app.key.open("signing key 1", &rows[0].sealed).unwrap();
        let lies_open = |row: &[u8]| row.windows(16).any(|part| opened.windows(16).any(|it| it == part));
        assert!(rows.len() == 1 && opened.len() > 100 && !lies_open(&rows[0].sealed));
        assert!(is_signed(&token, &published(&behind_proxy(&site).await).await), "after a restart");
    }
}

#[tokio::test]
async fn with_another_server_key_a_new_signing_key_is_made() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let before = token(&behind_proxy(&site).await, OWN, &session(&ann)).await;
    let mut config = site.app.config.clone();
    with_apps(&mut config);
    config.secret = ServerKey::from_bytes(b"another one for tests, 33 of them\xff").ok();
    let changed = App::builder(config).clock(site.app.clock.clone()).accept_new_key();
    let proxy = at(&changed.build().await.unwrap(), PROXY);
    let after = token(&proxy, OWN, &session(&ann)).await;
    let keys = published(&proxy).await;
    assert!(is_signed(&after, &keys) && !is_signed(&before, &keys));
}

#[tokio::test]
async fn a_key_that_is_due_but_cannot_be_written_lets_everybody_in_with_the_old_one() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    published(&proxy).await;
    site.wait(31 * DAY);
    let mut ann = site.browser();
    ann.log_in("ann", PASSWORD).await;
    let refuse = sql(
        "create trigger full before insert on vestibule_signing_keys begin select raise(abort, 'full'); end",
    );
    refuse.execute(site.db().writer()).await.unwrap();
    assert!(is_signed(&token(&proxy, OWN, &session(&ann)).await, &published(&proxy).await));
    let fresh = Site::on_sqlite().await;
    let eve = fresh.registered("eve").await;
    let refuse = sql(
        "create trigger full before insert on vestibule_signing_keys begin select raise(abort, 'full'); end",
    );
    refuse.execute(fresh.db().writer()).await.unwrap();
    let proxy = behind_proxy(&fresh).await;
    assert_eq!(ask_proxy(&proxy, OWN, &session(&eve)).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        get(&proxy, "/.well-known/jwks.json", &[]).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}
