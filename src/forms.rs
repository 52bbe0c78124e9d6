//! A form's fields, as they arrive.

use std::collections::HashSet;

use axum::RequestExt;
use axum::extract::rejection::RawFormRejection;
use axum::extract::{FromRequest, RawForm, Request};
use axum::http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, MapDeserializer};

use crate::error::RequestError;

/// Ten times what the largest form has.
const MAX_FIELDS: usize = 100;

const UNREADABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// A form's fields, read strictly: urlencoded, within the body limit, of plain names, none of them
/// twice (ASVS 15.3.7). An unknown plain name has no effect.
#[derive(Clone, Debug)]
pub struct Fields<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = RequestError;

    async fn from_request(request: Request, _: &S) -> Result<Self, RequestError> {
        let RawForm(body) = request.extract::<RawForm, _>().await.map_err(no_body)?;
        read(&body).map(Self).ok_or(UNREADABLE.into())
    }
}

/// The parameters of a query, read as strictly as [`Fields`].
pub fn read_query<T: DeserializeOwned>(query: &str) -> Option<T> {
    read(query.as_bytes())
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    let fields = pairs(text)?.into_iter();
    T::deserialize(MapDeserializer::<_, ValueError>::new(fields)).ok()
}

/// 413 and 415 as axum has them; a body that ends early is unreadable too.
fn no_body(rejection: RawFormRejection) -> RequestError {
    RequestError::Status(match rejection.status() {
        StatusCode::BAD_REQUEST => UNREADABLE,
        status => status,
    })
}

/// The field and the parameter that hold a path.
const PATH: &str = "next";

/// Each path that `query` has in `next`.
pub fn paths(query: &str) -> impl Iterator<Item = String> {
    let pairs = query.as_bytes().split(|byte| *byte == b'&').map(split_once);
    pairs
        .filter(|(name, _)| decoded(name).as_deref() == Some(PATH))
        .map(|(_, path)| decoded_path(path))
}

/// Every name with its value, or nothing when two parsers could read the body differently:
/// GitLab mailed a reset code to the second of two addresses (CVE-2023-7028: `user[email][]=`).
fn pairs(body: &[u8]) -> Option<Vec<(String, String)>> {
    let mut seen = HashSet::new();
    let mut pairs = Vec::new();
    for part in body.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
        let (name, value) = split_once(part);
        let name = decoded(name)?;
        if !is_plain(&name) || !seen.insert(name.to_ascii_lowercase()) || seen.len() > MAX_FIELDS {
            return None;
        }
        let value = if name == PATH { decoded_path(value) } else { decoded(value)? };
        pairs.push((name, value));
    }
    Some(pairs)
}

fn split_once(part: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = part.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Decoded once and strictly: with replacement characters two passwords would be the same (ASVS 6.2.8),
/// and overlong forms hide characters.
fn decoded(text: &[u8]) -> Option<String> {
    String::from_utf8(octets(text)).ok()
}

/// A path is octets, not text (RFC 3986, 2.5): those that are not UTF-8 stay as `%XX`.
fn decoded_path(text: &[u8]) -> String {
    let octets = octets(text);
    let parts = octets.utf8_chunks().flat_map(|chunk| {
        std::iter::once(chunk.valid()).chain(percent_encode(chunk.invalid(), NON_ALPHANUMERIC))
    });
    parts.collect()
}

fn octets(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

/// Frameworks read `email[]`, `user[email]` and `user.email` as `email`; we name no field so.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Vec<(String, String)>> {
        pairs(body.as_bytes())
    }

    fn one(name: &str, value: &str) -> Option<Vec<(String, String)>> {
        Some(vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        assert_eq!(read(""), Some(vec![]));
        assert_eq!(read("username=ann+b%2Bc%C3%A4"), one("username", "ann b+cä"));
        assert_eq!(read("a=b=c"), one("a", "b=c"));
        assert_eq!(read("&&a&"), one("a", ""));
        assert_eq!(read("user%6eame=ann"), one("username", "ann"));
        assert_eq!(read("a=100%"), one("a", "100%"));
        assert_eq!(read("a=%2541"), one("a", "%41"), "decoded once");
        assert_eq!(read("a=b;c=d"), one("a", "b;c=d"));
    }

    #[test]
    fn a_field_twice_is_refused_however_its_name_is_written() {
        for body in [
            "username=a&username=b",
            "username=a&username=a",
            "username=a&user%6eame=b",
            "username=a&Username=b",
            "unknown=a&unknown=b",
            "username&username",
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }

    #[test]
    fn a_name_that_another_parser_could_read_as_ours_is_refused() {
        for body in [
            "email[]=a",
            "email%5B%5D=a",
            "email[0]=a",
            "user[email]=a",
            "user.email=a",
            "email%00=a",
            "email%20=a",
            "+email=a",
            "email%0d%0a=a",
            "e%CC%81mail=a",
            "\u{ff45}mail=a",
            "=a",
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        for body in
            ["a=%c0%af", "a=%ff", "a=%e0%80%af", "a=%ed%a0%80", "a=%f4%90%80%80", "%c1%a1=a"]
        {
            assert_eq!(read(body), None, "{body}");
        }
        assert_eq!(pairs(b"a=\xff"), None);
    }

    #[test]
    fn octets_of_a_path_that_are_not_utf_8_stay_percent_encoded() {
        for (written, path) in [
            ("/wiki/%DCbersicht", "/wiki/%DCbersicht"),
            ("/caf%c3", "/caf%C3"),
            ("/%C3%9C%C3", "/Ü%C3"),
            ("/%25C3%09", "/%C3\t"),
            ("/%c0%af/a+b", "/%C0%AF/a b"),
        ] {
            assert_eq!(read(&format!("next={written}")), one("next", path));
            let query = format!("a=%ff&next={written}&Next=x");
            assert_eq!(paths(&query).collect::<Vec<_>>(), [path]);
        }
        assert_eq!(pairs(b"next=/\xff"), one("next", "/%FF"));
        assert_eq!(read("next=/%ff&next=/"), None);
        assert_eq!(paths("n%65xt=/a&next=/b").count(), 2);
    }

    #[test]
    fn ten_thousand_fields_are_refused_and_a_hundred_are_not() {
        let body =
            |count: usize| (0..count).map(|n| format!("f{n}=x")).collect::<Vec<_>>().join("&");
        assert_eq!(read(&body(MAX_FIELDS)).map(|pairs| pairs.len()), Some(MAX_FIELDS));
        assert_eq!(read(&body(MAX_FIELDS + 1)), None);
        assert_eq!(read(&body(10_000)), None);
    }
}
