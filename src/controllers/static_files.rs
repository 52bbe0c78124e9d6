//! `/static/{name}` and `/favicon.ico`: the static files as responses.

use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::app::App;
use crate::assets::Asset;
use crate::error::RequestError;

/// The name changes with the content, so that a copy never has to be asked about again (RFC 8246).
const FOREVER: &str = "public, max-age=31536000, immutable";

/// `/favicon.ico` keeps its name when the icon changes.
const A_DAY: &str = "public, max-age=86400";

/// `GET /static/{name}`: the file, kept by browsers for a year; 404 for any other name.
pub async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, RequestError> {
    let asset = app.assets.named(&name).ok_or(RequestError::NotFound)?;
    Ok(answer(asset, &headers, FOREVER))
}

/// `GET /favicon.ico`: the icon for programs that look for it there.
pub async fn favicon(State(app): State<App>, headers: HeaderMap) -> Response {
    answer(app.assets.icon_asset(), &headers, A_DAY)
}

fn answer(asset: &Asset, request: &HeaderMap, cache: &'static str) -> Response {
    let (coding, body) = body(asset, request);
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    if let Some(policy) = asset.policy() {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    response
}

/// The smallest body that the client accepts, and the name of its coding.
fn body(asset: &Asset, request: &HeaderMap) -> (Option<&'static str>, Bytes) {
    if accepts(request, "br")
        && let Some(body) = asset.brotli()
    {
        return (Some("br"), body.clone());
    }
    if accepts(request, "gzip")
        && let Some(body) = asset.gzip()
    {
        return (Some("gzip"), body.clone());
    }
    (None, asset.plain().clone())
}

/// Whether `Accept-Encoding` takes `coding` (RFC 9110, 12.5.3): its own entry decides, else `*`.
fn accepts(request: &HeaderMap, coding: &str) -> bool {
    let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let entries: Vec<(&str, bool)> = lines.flat_map(|line| line.split(',')).map(entry).collect();
    let taken = |name: &str| {
        entries.iter().find(|(entry, _)| entry.eq_ignore_ascii_case(name)).map(|(_, taken)| *taken)
    };
    taken(coding).or_else(|| taken("*")).unwrap_or(false)
}

/// One entry, `gzip;q=0.5`: the coding and whether it is taken. A weight of zero means "not this".
fn entry(entry: &str) -> (&str, bool) {
    let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
    let weight = parameters.trim().strip_prefix("q=").or(parameters.trim().strip_prefix("Q="));
    let refused =
        weight.is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0));
    (name.trim(), !refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;
    use crate::config::{Config, ImageFormat, Logo, Picture};
    use std::io::Read;

    fn css(assets: &Assets) -> &Asset {
        assets.named(assets.css().strip_prefix("/static/").unwrap()).unwrap()
    }

    fn plain() -> Assets {
        Assets::new(&Config::default())
    }

    fn with_logo(format: ImageFormat) -> Assets {
        let bytes = Bytes::from_static(b"<svg xmlns='http://www.w3.org/2000/svg'/>");
        let light = Picture { format, size: (3, 2), bytes };
        let logo = Logo { light, dark: None, show_name: true };
        Assets::new(&Config { logo: Some(logo), ..Config::default() })
    }

    fn asking_for(codings: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, codings.parse().unwrap())])
    }

    async fn get(asset: &Asset, codings: &str) -> (HeaderMap, Bytes) {
        let (head, body) = answer(asset, &asking_for(codings), FOREVER).into_parts();
        (head.headers, axum::body::to_bytes(body, 1 << 20).await.unwrap())
    }

    #[tokio::test]
    async fn the_style_sheet_has_its_type_and_is_cached_for_a_year() {
        let (headers, body) = get(css(&plain()), "").await;
        assert_eq!(headers[CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], FOREVER);
        assert_eq!(headers[VARY], "accept-encoding");
        assert!(!headers.contains_key(CONTENT_ENCODING));
        assert!(!headers.contains_key(CONTENT_SECURITY_POLICY), "the site's own holds");
        assert_eq!(&body, css(&plain()).plain());
    }

    #[tokio::test]
    async fn each_coding_unpacks_to_the_file() {
        let assets = plain();
        let (headers, body) = get(css(&assets), "gzip, deflate, br").await;
        assert_eq!(headers[CONTENT_ENCODING], "br");
        let mut unpacked = Vec::new();
        brotli::BrotliDecompress(&mut &body[..], &mut unpacked).unwrap();
        assert_eq!(&unpacked[..], &css(&assets).plain()[..]);

        let (headers, body) = get(css(&assets), "gzip").await;
        assert_eq!(headers[CONTENT_ENCODING], "gzip");
        unpacked.clear();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(&unpacked[..], &css(&assets).plain()[..]);
    }

    #[test]
    fn brotli_is_preferred_to_gzip_and_gzip_to_the_plain_file() {
        let assets = plain();
        let coding = |line: &str| body(css(&assets), &asking_for(line)).0;
        assert_eq!(coding("gzip, br"), Some("br"));
        assert_eq!(coding("*"), Some("br"));
        assert_eq!(coding("br;q=0, *"), Some("gzip"));
        assert_eq!(coding("identity, deflate"), None);
    }

    #[tokio::test]
    async fn an_svg_can_run_nothing_when_it_is_opened_by_itself() {
        for assets in [plain(), with_logo(ImageFormat::Svg)] {
            let (headers, _) = get(assets.icon_asset(), "br").await;
            assert_eq!(
                headers[CONTENT_SECURITY_POLICY],
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
            );
            assert_eq!(headers[CONTENT_TYPE], "image/svg+xml; charset=utf-8");
            assert_eq!(headers[CONTENT_ENCODING], "br");
        }
    }

    #[tokio::test]
    async fn pixels_are_not_compressed_again() {
        let assets = with_logo(ImageFormat::Png);
        assets.warm();
        let (headers, body) = get(assets.icon_asset(), "br, gzip").await;
        assert_eq!(headers[CONTENT_TYPE], "image/png");
        assert!(!headers.contains_key(CONTENT_ENCODING));
        assert!(!headers.contains_key(CONTENT_SECURITY_POLICY));
        assert_eq!(&body, assets.icon_asset().plain());
    }

    /// Whether brotli and whether gzip is taken.
    fn taken(lines: &[&str]) -> (bool, bool) {
        let request = lines.iter().map(|line| (ACCEPT_ENCODING, line.parse().unwrap())).collect();
        (accepts(&request, "br"), accepts(&request, "gzip"))
    }

    #[test]
    fn a_coding_is_taken_by_its_own_entry_or_by_the_star() {
        for (line, expected) in [
            ("gzip, deflate, br", (true, true)),
            ("GZIP; q=0.5", (false, true)),
            ("*", (true, true)),
            ("identity, deflate", (false, false)),
            ("gzipped, brotli", (false, false)),
            ("", (false, false)),
        ] {
            assert_eq!(taken(&[line]), expected, "{line}");
        }
        assert_eq!(taken(&["identity", "br"]), (true, false), "the header may come twice");
        assert_eq!(taken(&[]), (false, false));
    }

    #[test]
    fn a_coding_of_weight_zero_is_refused() {
        for (line, expected) in [
            ("br;q=0, gzip", (false, true)),
            ("br; q=0.000, GZIP; q=0.5", (false, true)),
            ("br;Q=0, gzip;q=0.001", (false, true)),
            ("br;q=0, *", (false, true)),
            ("br, *;q=0", (true, false)),
            ("*;q=0", (false, false)),
        ] {
            assert_eq!(taken(&[line]), expected, "{line}");
        }
    }
}
