//! The static files: embedded in the binary, branded by the settings, named after their content,
//! compressed once.

use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::config::{Accent, Config, ImageFormat, Picture, Shades};

/// Where browsers find the files.
const FOLDER: &str = "/static/";

/// An SVG that is opened by itself is a page: it keeps its own styles, and runs nothing.
const SVG_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

const STYLE_SHEET: &str = include_str!("../static/app.css");
const SCRIPT: &str = include_str!("../static/app.js");
const MARK: &str = include_str!("../static/favicon.svg");

/// Every static file of one site.
#[derive(Debug)]
pub struct Assets {
    css: Asset,
    script: Asset,
    /// Our own mark.
    mark: Asset,
    logo: Option<(Asset, (u32, u32))>,
    logo_dark: Option<(Asset, (u32, u32))>,
}

/// The logo as pages show it.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// `/static/logo.0123456789.svg`.
    pub path: &'a str,
    /// In the picture's own measure.
    pub width: u32,
    /// In the picture's own measure.
    pub height: u32,
}

impl Assets {
    /// Names the files; nothing is compressed yet.
    pub fn new(config: &Config) -> Self {
        let css = style_sheet(&config.accent).into();
        let logo = config.logo.as_ref();
        let with_size = |picture: &Picture| {
            (Asset::new("logo", Kind::Image(picture.format), picture.bytes.clone()), picture.size)
        };
        Self {
            css: Asset::new("app", Kind::Css, css),
            script: Asset::new("app", Kind::Script, SCRIPT.into()),
            mark: mark(&config.accent),
            logo: logo.map(|logo| with_size(&logo.light)),
            logo_dark: logo.and_then(|logo| logo.dark.as_ref()).map(with_size),
        }
    }

    /// The path of the style sheet: `/static/app.0123456789.css`.
    pub fn css(&self) -> &str {
        &self.css.path
    }

    /// The path of the script: `/static/app.0123456789.js`.
    pub fn script(&self) -> &str {
        &self.script.path
    }

    /// The path of the icon: `/static/favicon.0123456789.svg`, or a square logo's.
    pub fn icon(&self) -> &str {
        &self.icon_asset().path
    }

    /// The icon: a logo that is about square, because a word is unreadable in a tab; else our mark.
    pub fn icon_asset(&self) -> &Asset {
        let is_square =
            |(width, height): (u32, u32)| 2 * width.max(height) <= 3 * width.min(height);
        self.logo.as_ref().filter(|(_, size)| is_square(*size)).map_or(&self.mark, |(logo, _)| logo)
    }

    /// The logo, if one is set.
    pub fn logo(&self) -> Option<Image<'_>> {
        self.logo.as_ref().map(image)
    }

    /// The logo for dark pages, if they have one of their own.
    pub fn logo_dark(&self) -> Option<Image<'_>> {
        self.logo_dark.as_ref().map(image)
    }

    /// Compresses every file now, so that no visitor waits for it. Takes some milliseconds.
    pub fn warm(&self) {
        for asset in self.all() {
            asset.brotli();
            asset.gzip();
        }
    }

    fn all(&self) -> impl Iterator<Item = &Asset> {
        let logos = [&self.logo, &self.logo_dark].into_iter().flatten().map(|(logo, _)| logo);
        [&self.css, &self.script, &self.mark].into_iter().chain(logos)
    }

    /// The file that is served as `/static/NAME`.
    pub fn named(&self, name: &str) -> Option<&Asset> {
        self.all().find(|asset| asset.path.strip_prefix(FOLDER) == Some(name))
    }
}

fn image((logo, (width, height)): &(Asset, (u32, u32))) -> Image<'_> {
    Image { path: &logo.path, width: *width, height: *height }
}

/// The embedded one, followed by what another accent changes: rules outside of its layers override
/// those inside.
fn style_sheet(accent: &Accent) -> String {
    if *accent == Accent::default() {
        return STYLE_SHEET.to_owned();
    }
    let root = |shades: &Shades| {
        let Shades { accent, hover, on } = shades;
        format!(":root{{--accent:{accent};--accent-hover:{hover};--on-accent:{on}}}")
    };
    let (light, dark) = (root(&accent.light), root(&accent.dark));
    format!("{STYLE_SHEET}{light}@media (prefers-color-scheme:dark){{{dark}}}\n")
}

/// Our own mark in the accent that is set.
fn mark(accent: &Accent) -> Asset {
    let drawn =
        MARK.replace(&Accent::default().light.accent.to_string(), &accent.light.accent.to_string());
    Asset::new("favicon", Kind::Image(ImageFormat::Svg), drawn.into())
}

/// What a file is, and what follows from it when it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Css,
    Script,
    Image(ImageFormat),
}

impl Kind {
    /// For `Content-Type`, and the end of the name.
    fn media_type_and_extension(self) -> (&'static str, &'static str) {
        match self {
            Self::Css => ("text/css; charset=utf-8", "css"),
            Self::Script => ("text/javascript; charset=utf-8", "js"),
            Self::Image(ImageFormat::Svg) => ("image/svg+xml; charset=utf-8", "svg"),
            Self::Image(ImageFormat::Png) => ("image/png", "png"),
            Self::Image(ImageFormat::Webp) => ("image/webp", "webp"),
            Self::Image(ImageFormat::Jpeg) => ("image/jpeg", "jpg"),
        }
    }
}

/// One file.
pub struct Asset {
    path: String,
    kind: Kind,
    plain: Bytes,
    brotli: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
}

impl Asset {
    fn new(stem: &str, kind: Kind, plain: Bytes) -> Self {
        let digest = Sha256::digest(&plain);
        let hash =
            digest.iter().take(5).fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
        let path = format!("{FOLDER}{stem}.{hash}.{}", kind.media_type_and_extension().1);
        Self { path, kind, plain, brotli: OnceLock::new(), gzip: OnceLock::new() }
    }

    /// For `Content-Type`.
    pub fn media_type(&self) -> &'static str {
        self.kind.media_type_and_extension().0
    }

    /// The `Content-Security-Policy` in place of the site's own.
    pub fn policy(&self) -> Option<&'static str> {
        (self.kind == Kind::Image(ImageFormat::Svg)).then_some(SVG_POLICY)
    }

    /// As it is.
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Compressed; `None` where there is nothing to gain.
    pub fn brotli(&self) -> Option<&Bytes> {
        self.brotli.get_or_init(|| brotli(self.text()?)).as_ref()
    }

    /// Compressed; `None` where there is nothing to gain.
    pub fn gzip(&self) -> Option<&Bytes> {
        self.gzip.get_or_init(|| gzip(self.text()?)).as_ref()
    }

    /// What is worth compressing: pictures of pixels are compressed already.
    fn text(&self) -> Option<&[u8]> {
        self.media_type().ends_with("charset=utf-8").then_some(&self.plain)
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asset").field("path", &self.path).finish_non_exhaustive()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Logo;

    fn plain() -> Assets {
        Assets::new(&Config::default())
    }

    fn branded(accent: &str) -> Assets {
        let accent = Accent::parse(accent).unwrap();
        Assets::new(&Config { accent, ..Config::default() })
    }

    fn with_logo(format: ImageFormat) -> Assets {
        let bytes = Bytes::from_static(b"<svg xmlns='http://www.w3.org/2000/svg'/>");
        let light = Picture { format, size: (3, 2), bytes };
        let logo = Logo { light, dark: None, show_name: true };
        Assets::new(&Config { logo: Some(logo), ..Config::default() })
    }

    #[test]
    fn names_carry_ten_hex_digits_of_the_content() {
        let assets = plain();
        let hash = assets.css().strip_prefix("/static/app.").unwrap().strip_suffix(".css").unwrap();
        assert!(hash.len() == 10 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        let icon = assets.icon();
        assert!(
            icon.strip_prefix("/static/favicon.")
                .is_some_and(|rest| rest.len() == "0123456789.svg".len()),
            "{icon}"
        );
    }

    #[test]
    fn only_the_names_on_the_pages_are_there() {
        let assets = plain();
        assert!(assets.named(assets.css().strip_prefix(FOLDER).unwrap()).is_some());
        for name in ["app.css", "app.0000000000.css", "../Cargo.toml", ""] {
            assert!(assets.named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn another_accent_is_another_name_and_the_script_stays() {
        let (green, purple, red) = (plain(), branded("#663399"), branded("#a3241b"));
        for (one, two) in [(&green, &purple), (&purple, &red)] {
            assert_ne!(one.css(), two.css());
            assert_ne!(one.icon(), two.icon());
            assert_eq!(one.script(), two.script());
        }
        assert_eq!(plain().css(), branded("#1D5B50").css());
    }

    #[test]
    fn an_accent_overrides_the_variables_of_both_schemes_behind_the_style_sheet() {
        let Accent { light, dark } = Accent::parse("#663399").unwrap();
        let css = style_sheet(&Accent { light, dark });
        let rules = css.strip_prefix(STYLE_SHEET).unwrap();
        let (in_light, in_dark) = rules.split_once("@media (prefers-color-scheme:dark){").unwrap();
        for (rule, shades) in [(in_light, light), (in_dark, dark)] {
            let Shades { accent, hover, on } = shades;
            let expected =
                format!(":root{{--accent:{accent};--accent-hover:{hover};--on-accent:{on}}}");
            assert!(rule.starts_with(&expected), "{rules}");
        }
        for name in ["--accent:", "--accent-hover:", "--on-accent:"] {
            assert_eq!(STYLE_SHEET.matches(name).count(), 2, "{name}");
        }
    }

    #[test]
    fn our_own_mark_is_drawn_in_the_accent() {
        let accent = Accent::parse("#663399").unwrap();
        let drawn = mark(&accent).plain;
        let drawn = str::from_utf8(&drawn).unwrap();
        assert!(drawn.contains("#663399"), "{drawn}");
        let Accent { light, dark } = Accent::default();
        for shade in [light.accent, light.hover, dark.accent, dark.hover, dark.on] {
            assert!(!drawn.contains(&shade.to_string()), "{shade} is not the site's: {drawn}");
        }
    }

    #[test]
    fn a_square_logo_is_the_icon() {
        let assets = with_logo(ImageFormat::Png);
        let logo = assets.logo().unwrap();
        let hash = logo.path.strip_prefix("/static/logo.").unwrap().strip_suffix(".png");
        assert_eq!(hash.map(str::len), Some(10));
        assert_eq!((logo.path, logo.width, logo.height), (assets.icon(), 3, 2));
        assert!(plain().logo().is_none());
    }

    #[test]
    fn a_wide_or_tall_logo_is_not_the_icon() {
        let mut assets = with_logo(ImageFormat::Png);
        let (logo, _) = assets.logo.take().unwrap();
        for (size, is_icon) in [((60, 20), false), ((20, 60), false), ((48, 48), true)] {
            let one = Asset::new("logo", logo.kind, logo.plain.clone());
            assets.logo = Some((one, size));
            assert_eq!(assets.icon().contains("/logo."), is_icon, "{size:?}");
            assert!(assets.logo().is_some());
        }
    }

    #[test]
    fn the_style_sheet_stays_small() {
        assert!(gzip(&branded("#663399").css.plain).unwrap().len() < 4096);
    }

    #[test]
    fn the_script_stays_small() {
        assert!(SCRIPT.len() < 8 * 1024);
        assert!(brotli(SCRIPT.as_bytes()).unwrap().len() < 2700);
    }
}
