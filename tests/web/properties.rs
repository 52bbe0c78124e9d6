//! Properties: the rules of `support/rules.rs` for texts that nobody thought of.

use std::net::IpAddr;
use std::sync::LazyLock;

use axum::Router;
use proptest::prelude::*;
use proptest::sample::select;
use scraper::{Html, Selector};
use tokio::runtime::Runtime;
use vestibule::accounts::one_time_code::OneTimeCode;
use vestibule::accounts::pasted::plain;
use vestibule::accounts::username::{Username, UsernameError};
use vestibule::client_address::client_address;
use vestibule::config::UsernameRule;

use crate::support::apps::behind_proxy;
use crate::support::{Site, body_of, form_request, rules};

/// What is allowed nowhere, looks like something that is, or ends a line, a word or an address.
const ODD: &str = r#"[\x00-\x20\x7f\u{85}\u{a0}\u{ad}\u{130}\u{131}\u{17f}\u{200b}-\u{202e}\u{2028}\u{212a}\u{feff}\u{ff20}аеорсѕ"'<>@,;:%/\\?#&=+._-]"#;

/// Texts of which most are refused, and those that are almost right.
fn near(right: &'static str) -> impl Strategy<Value = String> {
    let broken = (right, any::<prop::sample::Index>(), ODD).prop_map(|(mut text, at, odd)| {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        text.insert_str(at.get(&places).to_owned(), &odd);
        text
    });
    let longer = (right, "\r\n|\n|\0|[ ,;<>]", "[A-Za-z :@.]{1,12}");
    let longer = longer.prop_map(|(text, end, more)| format!("{text}{end}{more}"));
    prop_oneof![right, broken, longer, "[\\x00-\\x20a-z.@/%-]{0,40}", any::<String>()]
}

/// A site with applications, as its proxy reaches it.
static BEHIND_PROXY: LazyLock<(Runtime, Router, Site)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let (site, router) = runtime.block_on(async {
        let site = Site::on_sqlite().await;
        let router = behind_proxy(&site).await;
        (site, router)
    });
    (runtime, router, site)
});

proptest! {
    #[test]
    fn no_two_usernames_look_alike(typed in near("[ \t]?[a-zA-Z0-9]{1,12}([._-][a-zA-Z0-9]{1,8}){0,2} ?")) {
        rules::username(&typed);
    }

    #[test]
    fn a_letter_of_another_script_is_refused_in_a_username(
        name in "[a-z0-9]{3,20}", at in any::<prop::sample::Index>(), odd in "[^\\x00-\\x7f]",
    ) {
        prop_assume!(!plain(&format!("a{odd}b")).is_ascii());
        let mut typed = format!("{name}z");
        typed.insert_str(at.index(name.len()) + 1, &odd);
        prop_assert_eq!(Username::parse(&typed, UsernameRule::Ascii), Err(UsernameError::Characters));
    }

    #[test]
    fn an_address_is_one_line_to_one_person_as_typed(
        typed in near(" ?[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-z]{1,5})?@[A-Za-zäöüßñ0-9]{1,20}\\.[A-Za-z]{2,8} ?"),
    ) {
        rules::email(&typed);
    }

    #[test]
    fn what_is_followed_stays_on_the_site(
        text in near("/{1,2}[./a-z0-9%@:?#&=;~-]{0,30}"),
        odd in "(/|\\\\|\\.|\\.\\.|%2e|%2F|\t|\n| |a|@|:|\\?|#){0,6}(//evil\\.example)?",
    ) {
        rules::next_path(&text);
        rules::next_path(&odd);
        rules::next_path(&format!("/{odd}"));
    }

    #[test]
    fn a_base_url_is_an_origin_and_a_plain_path(
        typed in near("(HTTPS?|https?)://[a-z.]{1,9}(:[0-9]{1,4})?(/[a-zA-Z0-9._~-]{1,5}){0,3}/?"),
        odd in "https://a.example(/([a-z]|[.%{}*?#@;:\\\\ ä]|%2e|\\.\\.|/){0,6}){0,2}",
    ) {
        rules::base_url(&typed);
        rules::base_url(&odd);
    }

    #[test]
    fn what_is_followed_elsewhere_is_an_application(
        text in near("https?://(wiki\\.|WIKI\\.)?example\\.org(:443|\\.|@)?(/app)?[./a-z%25@:?#&=;~-]{0,20}"),
        path in "(/|\\\\|\\.\\.|%2e|%2F|%5c|app|a|;|\\?|#){0,8}",
    ) {
        rules::next_with_apps(&text);
        rules::next_with_apps(&format!("https://example.org/app{path}"));
        rules::next_with_apps(&format!("https://example.org{path}"));
        rules::forwarded_url(text.as_bytes());
        rules::forwarded_url(format!("https://example.org{path}").as_bytes());
    }

    #[test]
    fn no_check_is_allowed_by_what_was_made_up(
        endpoint in 0..4_u8,
        lines in prop::collection::vec(near("https?|/[a-z]{0,3}|wiki\\.example\\.org|GET|https://example\\.org/app|[A-Za-z0-9_-]{43}|__Host-vestibule-app=[A-Za-z0-9_-]{86}"), 0..9),
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        BEHIND_PROXY.0.block_on(rules::check(&BEHIND_PROXY.1, endpoint, &lines));
    }

    #[test]
    fn every_spelling_of_a_code_is_that_code(
        code in "[23456789CDFGHJKLMNPRTVWX]{8}",
        cases in prop::collection::vec(any::<bool>(), 8),
        fillers in prop::collection::vec("[ \t\n\u{a0}\u{200b}\u{feff}\u{2010}-\u{2015}\u{2212}-]{0,2}", 9),
    ) {
        let letters = code.chars().zip(&cases);
        let letters = letters.map(|(c, lower)| if *lower { c.to_ascii_lowercase() } else { c });
        let mut typed = fillers[8].clone();
        for (letter, filler) in letters.zip(&fillers) {
            typed.push(letter);
            typed.push_str(filler);
        }
        let read = OneTimeCode::parse(&typed).unwrap();
        prop_assert_eq!(read.as_str(), code);
        rules::code(&typed);
    }

    #[test]
    fn nothing_else_is_a_code(typed in near("[2-9A-Za-z]{7,9}"), code in "[2-9CDFGHJ]{8}", odd in ODD) {
        rules::code(&typed);
        rules::code(&format!("{code}{odd}"));
        rules::code(&format!("{}{odd}{}", &code[..4], &code[4..]));
    }

    #[test]
    fn a_password_is_one_however_it_is_composed(typed in "[a-z äé]{0,8}\\PC{0,140}", any in any::<String>()) {
        rules::password(&typed);
        rules::password(&any);
    }
}

/// An address in one of the ways that proxies write it.
fn hop(address: IpAddr, way: u8) -> String {
    match (way % 4, address) {
        (0, IpAddr::V6(address)) => format!("[{address}]"),
        (1, IpAddr::V6(address)) => format!("[{address}]:4711"),
        (1, IpAddr::V4(address)) => format!("{address}:4711"),
        (2, address) => format!(" {address} "),
        (_, address) => address.to_string(),
    }
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>().prop_map(|address| address.to_canonical()).prop_filter("trusted", |address| {
        !rules::trusted_proxies().iter().any(|net| net.contains(address))
    })
}

proptest! {
    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right(
        direct in (0u8..3).prop_map(rules::peer),
        forged in near("([0-9]{1,3}\\.){3}[0-9]{1,3}"),
        visitor in any_address(),
        proxies in prop::collection::vec((0u8..3).prop_map(rules::peer), 0..4),
        ways in prop::collection::vec(any::<u8>(), 5),
        as_lines in any::<bool>(),
    ) {
        let hops = std::iter::once(visitor).chain(proxies).zip(ways);
        let hops: Vec<String> = hops.map(|(address, way)| hop(address, way)).collect();
        let hops = [vec![forged], hops].concat();
        let lines = if as_lines { hops } else { vec![hops.join(",")] };
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let seen = client_address(direct, lines.iter().copied(), &rules::trusted_proxies());
        prop_assert_eq!(seen, visitor);
        rules::forwarded(direct, &lines);
    }

    #[test]
    fn any_line_of_addresses_is_read(
        peer in any::<u8>(),
        lines in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[0-9a-f:., \\[\\]]{0,40}".prop_map(String::into_bytes),
        ], 0..4),
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        rules::forwarded(rules::peer(peer), &lines);
    }
}

/// The thousandth form is read like the first.
async fn unlimited() -> Site {
    Site::with(|config| config.limits = rules::no_limits()).await
}

/// Bodies of forms: noise, and fields of ours with noise for values.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let name = select(vec!["username", "email", "password", "password_confirm", "code", "next"]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-z]{3,9}@[a-z]{1,9}\\.example|[a-z]{3,9}|moss lantern quartz"
            .prop_map(String::into_bytes),
    ];
    let pair = (name, value, any::<bool>()).prop_map(|(name, value, encoded)| {
        let encode = url::form_urlencoded::byte_serialize;
        let value = if encoded { encode(&value).collect::<String>().into_bytes() } else { value };
        [name.as_bytes(), b"=", &value].concat()
    });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[a-z%&=+\\[\\]0-9;]{0,80}".prop_map(String::into_bytes),
        prop::collection::vec(pair, 0..6).prop_map(|pairs| pairs.join(&b'&')),
    ]
}

#[test]
fn any_bytes_sent_to_any_form_are_answered() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(unlimited());
    let cookies = runtime.block_on(rules::insider(&site.router));
    proptest!(|(path in select(rules::FORMS.to_vec()), body in body())| {
        runtime.block_on(rules::form(&site.router, &cookies, path, &body));
    });
}

/// Every byte as itself where a form may have it, else as `%41` or `%4a`.
fn percent_encoded(text: &str, ways: &[u8]) -> String {
    let bytes = text.bytes().zip(ways.iter().cycle());
    let encoded = bytes.map(|(byte, way)| match (way % 3, byte) {
        (0, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9') => char::from(byte).to_string(),
        (0, b' ') => "+".to_owned(),
        (1, _) => format!("%{byte:02x}"),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[test]
fn what_was_typed_is_decoded_once_and_shown_as_it_was() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(unlimited());
    let username = Selector::parse("#username").unwrap();
    // Without what HTML itself changes when it is read: NUL and CR.
    let typed = "([^\\x00\\r]|%[0-9a-f]{2}|&[a-z]{2,4};|[<>\"'+ ]){1,40}";
    let ways = prop::collection::vec(any::<u8>(), 1..9);
    proptest!(ProptestConfig::with_cases(64), |(typed in typed, ways in ways)| {
        let body = format!("username={}", percent_encoded(&typed, &ways));
        let page = runtime.block_on(async {
            body_of(site.browser().send(form_request("/login", body)).await).await
        });
        let page = Html::parse_document(&page);
        let field = page.select(&username).next().unwrap();
        prop_assert_eq!(field.attr("value").unwrap(), typed.trim());
    });
}
