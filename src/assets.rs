//! The static files: embedded in the binary, named after their content, compressed once.

use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The name changes with the content, so that a copy never has to be asked about again (RFC 8246).
const FOREVER: &str = "public, max-age=31536000, immutable";

/// `/favicon.ico` keeps its name when the icon changes.
const A_DAY: &str = "public, max-age=86400";

static CSS: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("app", "css", "text/css; charset=utf-8", include_bytes!("../static/app.css"))
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("app", "js", "text/javascript; charset=utf-8", include_bytes!("../static/app.js"))
});

static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "favicon",
        "svg",
        "image/svg+xml; charset=utf-8",
        include_bytes!("../static/favicon.svg"),
    )
});

/// The path of the style sheet: `/static/app.0123456789.css`.
pub fn css() -> &'static str {
    &CSS.path
}

/// The path of the script: `/static/app.0123456789.js`.
pub fn script() -> &'static str {
    &SCRIPT.path
}

/// The path of the icon: `/static/favicon.0123456789.svg`.
pub fn icon() -> &'static str {
    &ICON.path
}

/// Compresses every file now, so that no visitor waits for it. Takes some milliseconds.
pub fn warm() {
    for asset in [&CSS, &SCRIPT, &ICON] {
        LazyLock::force(&asset.brotli);
        LazyLock::force(&asset.gzip);
    }
}

/// `GET /static/{name}`: the file, kept by browsers for a year; 404 for any other name.
pub async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let named = |asset: &&LazyLock<Asset>| asset.path.strip_prefix(FOLDER) == Some(name.as_str());
    match [&CSS, &SCRIPT, &ICON].into_iter().find(named) {
        Some(asset) => asset.answer(&headers, FOREVER),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /favicon.ico`: the icon for programs that look for it there.
pub async fn favicon(headers: HeaderMap) -> Response {
    ICON.answer(&headers, A_DAY)
}

const FOLDER: &str = "/static/";

struct Asset {
    path: String,
    media_type: &'static str,
    plain: &'static [u8],
    brotli: Packed,
    gzip: Packed,
}

/// A compressed body, made at the first need; `None` when the compressor failed.
type Packed = LazyLock<Option<Bytes>, Box<dyn FnOnce() -> Option<Bytes> + Send>>;

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, plain: &'static [u8]) -> Self {
        let digest = Sha256::digest(plain);
        let hash =
            digest.iter().take(5).fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
        Self {
            path: format!("{FOLDER}{stem}.{hash}.{extension}"),
            media_type,
            plain,
            brotli: LazyLock::new(Box::new(move || brotli(plain))),
            gzip: LazyLock::new(Box::new(move || gzip(plain))),
        }
    }

    fn answer(&self, request: &HeaderMap, cache: &'static str) -> Response {
        let (coding, body) = self.body(request);
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        response
    }

    /// The smallest body that the client takes, and the name of its coding.
    fn body(&self, request: &HeaderMap) -> (Option<&'static str>, Bytes) {
        for (coding, packed) in [("br", &self.brotli), ("gzip", &self.gzip)] {
            if accepts(request, coding)
                && let Some(body) = packed.as_ref()
            {
                return (Some(coding), body.clone());
            }
        }
        (None, Bytes::from_static(self.plain))
    }
}

fn brotli(mut plain: &[u8]) -> Option<Bytes> {
    let mut packed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut plain, &mut packed, &params).ok()?;
    Some(packed.into())
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
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
    use std::io::Read;

    fn asking_for(codings: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, codings.parse().unwrap())])
    }

    async fn get(path: &str, codings: &str) -> (StatusCode, HeaderMap, Bytes) {
        let name = path.strip_prefix(FOLDER).unwrap().to_owned();
        let response = serve(Path(name), asking_for(codings)).await;
        let (head, body) = response.into_parts();
        (head.status, head.headers, axum::body::to_bytes(body, 1 << 20).await.unwrap())
    }

    #[test]
    fn names_carry_ten_hex_digits_of_the_content() {
        let hash = css().strip_prefix("/static/app.").unwrap().strip_suffix(".css").unwrap();
        assert!(hash.len() == 10 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        assert!(icon().starts_with("/static/favicon.") && icon().contains(".svg"));
    }

    #[tokio::test]
    async fn the_style_sheet_is_kept_for_a_year_under_its_own_type() {
        let (status, headers, body) = get(css(), "").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], FOREVER);
        assert_eq!(headers[VARY], "accept-encoding");
        assert!(!headers.contains_key(CONTENT_ENCODING));
        assert_eq!(body, &include_bytes!("../static/app.css")[..]);
    }

    #[tokio::test]
    async fn each_coding_unpacks_to_the_file() {
        warm();
        let (_, headers, body) = get(css(), "gzip, deflate, br").await;
        assert_eq!(headers[CONTENT_ENCODING], "br");
        let mut unpacked = Vec::new();
        brotli::BrotliDecompress(&mut &body[..], &mut unpacked).unwrap();
        assert_eq!(unpacked, CSS.plain);

        let (_, headers, body) = get(css(), "gzip").await;
        assert_eq!(headers[CONTENT_ENCODING], "gzip");
        unpacked.clear();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, CSS.plain);
    }

    #[test]
    fn a_coding_of_weight_zero_is_refused() {
        let coding = |line: &str| CSS.body(&asking_for(line)).0;
        assert_eq!(coding("br;q=0, gzip"), Some("gzip"));
        assert_eq!(coding("br; q=0.000, GZIP; q=0.5"), Some("gzip"));
        assert_eq!(coding("*"), Some("br"));
        assert_eq!(coding("br;q=0, *"), Some("gzip"));
        assert_eq!(coding("br, *;q=0"), Some("br"));
        assert_eq!(coding("identity, deflate"), None);
        assert_eq!(coding("*;q=0"), None);
    }

    #[tokio::test]
    async fn a_name_that_is_not_there_is_not_found() {
        for path in
            ["/static/app.css", "/static/app.0000000000.css", "/static/../Cargo.toml", "/static/"]
        {
            assert_eq!(get(path, "br").await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn the_old_icon_address_answers_for_a_day_only() {
        let response = favicon(HeaderMap::new()).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "image/svg+xml; charset=utf-8");
        assert_eq!(response.headers()[CACHE_CONTROL], A_DAY);
    }

    #[test]
    fn the_style_sheet_stays_small() {
        assert!(gzip(CSS.plain).unwrap().len() < 4096);
    }
}
