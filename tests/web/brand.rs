//! The brand: accent colour and logo on pages and as files.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use vestibule::config::{Accent, Logo, Picture};

use crate::support::program::Folder;
use crate::support::{Browser, Site};

const PURPLE: &str = "#663399";

const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 60 40'><style>path{fill:#639}</style><path d='M0 0h60v20z'/></svg>";

/// A PNG of one pixel.
const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0dIDATx\xdacH3\x9e\xf9\x1f\x00\x04g\x022F\x1bg\x93\x00\x00\x00\x00IEND\xaeB`\x82";

async fn get(browser: &Browser, path: &str) -> (StatusCode, HeaderMap, Bytes) {
    let answer = browser.send(Request::get(path).body(Body::empty()).unwrap()).await;
    let (head, body) = answer.into_parts();
    (head.status, head.headers, to_bytes(body, 1 << 20).await.unwrap())
}

/// The style sheet and the icon that the login page names.
async fn style_and_icon(site: &Site) -> [String; 2] {
    let mut visitor = site.browser();
    visitor.open("/login").await;
    let mut found = Vec::new();
    for css in ["link[rel=stylesheet]", "link[rel=icon]"] {
        let (status, _, body) = get(&visitor, &visitor.attribute(css, "href").unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        found.push(String::from_utf8(body.to_vec()).unwrap());
    }
    found.try_into().unwrap()
}

async fn with_logo(name: &str, content: &[u8]) -> Site {
    let logo = logo(name, content);
    Site::with(|config| config.logo = Some(logo)).await
}

fn logo(name: &str, content: &[u8]) -> Logo {
    let folder = Folder::new();
    let path = folder.0.join(name);
    std::fs::write(&path, content).unwrap();
    let light = Picture::read(path.to_str().unwrap()).unwrap();
    Logo { light, dark: None, show_name: true }
}

#[tokio::test]
async fn an_accent_is_in_the_style_sheet_and_in_the_icon() {
    let accent = Accent::parse(PURPLE).unwrap();
    let dark = accent.dark.accent;
    let site = Site::with(|config| config.accent = accent).await;
    let [style, icon] = style_and_icon(&site).await;
    assert!(style.contains(":root{--accent:#663399;--accent-hover:"), "{style}");
    assert!(style.contains(&format!("(prefers-color-scheme:dark){{:root{{--accent:{dark};")));
    assert!(icon.contains(PURPLE) && !icon.contains("#1d5b50"), "{icon}");
}

#[tokio::test]
async fn without_a_brand_the_files_are_unchanged() {
    let site = Site::on_sqlite().await;
    let [style, icon] = style_and_icon(&site).await;
    assert!(style == include_str!("../../static/app.css"));
    assert_eq!(icon, include_str!("../../static/favicon.svg"));
    let mut visitor = site.browser();
    visitor.open("/login").await;
    assert!(visitor.attribute("header .site img", "src").is_none());
    assert!(visitor.attribute("header .site svg", "viewBox").is_some());
}

#[tokio::test]
async fn a_logo_is_shown_next_to_the_name_and_as_the_icon() {
    let site = with_logo("brand.png", SVG.as_bytes()).await;
    for path in ["/login", "/nowhere"] {
        let mut visitor = site.browser();
        visitor.open(path).await;
        let logo = |name| visitor.attribute("header .site img.logo", name);
        assert_eq!(logo("alt").as_deref(), Some(""), "the name is next to it");
        assert_eq!((logo("width"), logo("height")), (Some("60".into()), Some("40".into())));
        assert_eq!(visitor.attribute("link[rel=icon]", "href"), logo("src"));
        assert!(visitor.attribute("header .site svg", "viewBox").is_none());
        assert_eq!(visitor.all_text("header .site"), ["Vestibule"]);
    }
}

#[tokio::test]
async fn a_dark_logo_is_shown_on_dark_pages() {
    let source = "header .site picture source";
    let mut visitor = with_logo("light.svg", SVG.as_bytes()).await.browser();
    visitor.open("/login").await;
    assert!(visitor.attribute(source, "srcset").is_none());
    let (light, dark) = (logo("light.svg", SVG.as_bytes()), logo("dark.png", PNG));
    let site = Site::with(|config| {
        config.logo = Some(Logo { dark: Some(dark.light), ..light });
    });
    let mut visitor = site.await.browser();
    for path in ["/login", "/nowhere"] {
        visitor.open(path).await;
        let of = |name| visitor.attribute(source, name);
        assert_eq!(of("media").as_deref(), Some("(prefers-color-scheme: dark)"));
        assert_eq!((of("width"), of("height")), (Some("1".into()), Some("1".into())));
        for (file, content) in [
            (of("srcset"), PNG),
            (visitor.attribute("header .site picture img", "src"), SVG.as_bytes()),
        ] {
            let (status, _, body) = get(&visitor, &file.unwrap()).await;
            assert_eq!((status, &body[..]), (StatusCode::OK, content));
        }
    }
}

#[tokio::test]
async fn a_logo_without_the_name_has_it_as_its_alternative_text() {
    let wordmark = logo("wordmark.svg", SVG.as_bytes());
    let site = Site::with(|config| {
        config.site_name = "Lamp & Sons".into();
        config.logo = Some(Logo { show_name: false, ..wordmark });
    });
    let mut visitor = site.await.browser();
    for path in ["/login", "/nowhere"] {
        visitor.open(path).await;
        assert_eq!(visitor.all_text("header .site"), [""]);
        let alt = visitor.attribute("header .site img.logo", "alt");
        assert_eq!(alt.as_deref(), Some("Lamp & Sons"), "{path}");
        assert!(visitor.title().ends_with(" – Lamp & Sons"), "{}", visitor.title());
    }
}

#[tokio::test]
async fn a_logo_is_cached_for_a_year_and_served_with_its_type() {
    for (name, content, kind, end) in [
        ("logo.gif", SVG.as_bytes(), "image/svg+xml; charset=utf-8", ".svg"),
        ("logo", PNG, "image/png", ".png"),
    ] {
        let site = with_logo(name, content).await;
        let mut visitor = site.browser();
        visitor.open("/login").await;
        let path = visitor.attribute("img.logo", "src").unwrap();
        assert!(path.starts_with("/_vestibule/logo.") && path.ends_with(end), "{path}");
        let (status, headers, body) = get(&visitor, &path).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, content));
        assert_eq!(headers["content-type"], kind);
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        let accepting = Request::get(&path).header("accept-encoding", "br, gzip");
        let answer = visitor.send(accepting.body(Body::empty()).unwrap()).await;
        let is_compressed = answer.headers().contains_key("content-encoding");
        assert_eq!(is_compressed, kind.starts_with("image/svg"), "pixels are compressed already");
        let (_, headers, body) = get(&visitor, "/favicon.ico").await;
        assert_eq!((&headers["content-type"], &body[..]), (&kind.parse().unwrap(), content));
        assert_eq!(headers["cache-control"], "public, max-age=86400");
        for other in [format!("/_vestibule/{name}"), format!("/_vestibule/logo{end}"), path + "x"] {
            assert_eq!(get(&visitor, &other).await.0, StatusCode::NOT_FOUND, "{other}");
        }
    }
}

#[tokio::test]
async fn an_svg_has_a_separate_policy() {
    let site = with_logo("logo.svg", SVG.as_bytes()).await;
    let mut visitor = site.browser();
    visitor.open("/login").await;
    let path = visitor.attribute("img.logo", "src").unwrap();
    for path in [path.as_str(), "/favicon.ico"] {
        let (_, headers, _) = get(&visitor, path).await;
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
    let policy = visitor.headers["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("unsafe") && policy.contains("img-src 'self'"), "{policy}");
}

#[test]
fn brand_errors_are_printed_together_and_the_suggested_colour_works() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("words.svg"), "<html/>").unwrap();
    let wrong = [("VESTIBULE_ACCENT", "#ffcc00"), ("VESTIBULE_LOGO", "words.svg")];
    let ended = folder.run(&["serve"], &wrong, "");
    assert_eq!((ended.status, ended.err.lines().count()), (2, 2), "{}", ended.err);
    for words in [
        "VESTIBULE_ACCENT=\"#ffcc00\": has a contrast of 1.34:1 against the page's #f4f1ea",
        "VESTIBULE_LOGO=\"words.svg\": its first element is not svg",
    ] {
        assert!(ended.err.contains(words), "{}", ended.err);
    }
    let suggested = ended.err.lines().next().unwrap().rsplit(' ').next().unwrap();
    std::fs::write(folder.0.join("words.svg"), SVG).unwrap();
    let program = folder.serve(&[("VESTIBULE_ACCENT", suggested), ("VESTIBULE_LOGO", "words.svg")]);
    let page = program.get("/login", "").body;
    let path = |name: &str| page.split('"').find(|part| part.starts_with(name)).unwrap().to_owned();
    let style = program.get(&path("/_vestibule/app."), "").body;
    assert!(style.contains(&format!(":root{{--accent:{suggested};")), "{suggested}");
    assert_eq!(program.get(&path("/_vestibule/logo."), "").body, SVG);
}
