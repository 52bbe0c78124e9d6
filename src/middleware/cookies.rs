//! Passes on our own cookies only, in one `Cookie` header.
//!
//! tower-cookies decodes `%` in names and values, trims Unicode space around them and drops a whole
//! line that is not UTF-8. A sibling host could so set `%5F%5FHost-vestibule` for all of the domain and
//! have it read as `__Host-vestibule`, and one foreign cookie in Latin-1 logged every user out.

use axum::extract::Request;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use tower::util::MapRequestLayer;

use crate::config::Config;
use crate::visitor::cookies::{self, value_of};

/// A name, and whether a value is one that we could have set.
type Known = (String, fn(&str) -> bool);

/// The layer for this site, outside of everything that reads a cookie.
pub fn layer(config: &Config) -> MapRequestLayer<impl Fn(Request) -> Request + Clone + use<>> {
    let own = cookies::ALL.map(|cookie| (cookie.name(config), cookie.is_value));
    MapRequestLayer::new(move |mut request: Request| {
        keep_own(request.headers_mut(), &own);
        request
    })
}

fn keep_own(headers: &mut HeaderMap, own: &[Known]) {
    if !headers.contains_key(COOKIE) {
        return;
    }
    let pairs = own.iter().filter_map(|(name, is_value)| {
        let value = value_of(headers, name, is_value)?;
        Some(format!("{name}={value}"))
    });
    let line = pairs.collect::<Vec<_>>().join("; ");
    headers.remove(COOKIE);
    if let Some(line) = HeaderValue::from_str(&line).ok().filter(|line| !line.is_empty()) {
        headers.insert(COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let is_digit = |value: &str| value.len() == 1 && value.as_bytes()[0].is_ascii_digit();
        keep_own(&mut headers, &[("a".to_owned(), is_digit), ("__Host-b".to_owned(), is_digit)]);
        assert!(headers.get_all(COOKIE).iter().count() < 2);
        headers.get(COOKIE).map(|line| line.to_str().unwrap().to_owned())
    }

    #[test]
    fn own_cookies_are_kept_among_any_others() {
        for line in [
            &b"a=1"[..],
            b"  a=1\t; other=x",
            b";;a=1;",
            b"M\xfcller=1; a=1; b=\xff\xfe",
            b"visitor=M\xfcller;a=1",
            b"=a; a; a=1",
            b"a=1; a=1",
            b"a=\"1\"; a=; a=%31; a=1; a=\xe4; a= 2; a=2,3",
            b"$Version=1; a=1; $Path=/",
            b"a=x; a=1; a=11",
            b"%61=2; A=2; \xc2\xa0a=2; a\xc2\xa0=2; \xe2\x80\x80a=2; a =2; a=1; xa=2; aa=2",
        ] {
            assert_eq!(kept(&[line]).as_deref(), Some("a=1"), "{}", line.escape_ascii());
        }
        assert_eq!(kept(&[b"x=\xff", b"__Host-b=2; x=y", b"a=1"]).unwrap(), "a=1; __Host-b=2");
    }

    #[test]
    fn a_cookie_whose_name_differs_by_a_byte_is_dropped() {
        for line in [
            &b"%5F%5FHost-b=1"[..],
            b"__host-b=1",
            b"__Host%2Db=1",
            b"__Host-b%00=1",
            b"\xe2\x80\x80__Host-b=1",
            b"\xc2\xa0__Host-b=1",
            b"\xef\xbb\xbf__Host-b=1",
            b"__Host-b\xc2\x85=1",
            b"__Host-b =1",
            b"\"__Host-b\"=1",
            b"__Host-b",
            b"x=__Host-b=1",
        ] {
            assert_eq!(kept(&[line]), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_name_with_two_values_has_none() {
        assert_eq!(kept(&[b"a=1; a=2"]), None);
        assert_eq!(kept(&[b"a=1; __Host-b=3", b"a=2"]).unwrap(), "__Host-b=3");
    }
}
