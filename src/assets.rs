//! The static files: embedded in the binary, branded by the settings, named after their content.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::config::{Accent, Config, Picture, Shades};

const STYLE_SHEET: &str = include_str!("../static/app.css");
const SCRIPT: &str = include_str!("../static/app.js");
const MARK: &str = include_str!("../static/favicon.svg");

/// An SVG that is opened by itself is a page: it keeps its own styles, and runs nothing.
const SVG_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// Every static file of one site.
#[derive(Debug)]
pub struct Assets {
    pub css: Asset,
    pub script: Asset,
    pub logo: Option<Image>,
    pub logo_dark: Option<Image>,
    /// Our own mark.
    mark: Asset,
}

/// A file, served as `/_vestibule/NAME`.
#[derive(Debug)]
pub struct Asset {
    /// It contains a hash, so that a new version has another name: `app.0123456789.css`.
    pub name: String,
    /// For `Content-Type`.
    pub media_type: &'static str,
    pub bytes: Bytes,
}

#[derive(Debug)]
pub struct Image {
    pub file: Asset,
    /// Width and height.
    pub size: (u32, u32),
}

impl Assets {
    pub fn new(config: &Config) -> Self {
        let accent = &config.accent;
        let logo = config.logo.as_ref();
        let default_accent = Accent::default().light.accent.to_string();
        let mark = MARK.replace(&default_accent, &accent.light.accent.to_string());
        Self {
            css: Asset::new("app", "css", "text/css; charset=utf-8", style_sheet(accent)),
            script: Asset::new("app", "js", "text/javascript; charset=utf-8", SCRIPT),
            logo: logo.map(|logo| Image::new(&logo.light)),
            logo_dark: logo.and_then(|logo| logo.dark.as_ref()).map(Image::new),
            mark: Asset::new("favicon", "svg", "image/svg+xml; charset=utf-8", mark),
        }
    }

    /// The browser's tab shows a logo only if it is about square, because words are unreadable there.
    pub fn icon(&self) -> &Asset {
        let is_square = |logo: &&Image| {
            let (width, height) = logo.size;
            2 * width.max(height) <= 3 * width.min(height)
        };
        self.logo.as_ref().filter(is_square).map_or(&self.mark, |logo| &logo.file)
    }

    pub fn named(&self, name: &str) -> Option<&Asset> {
        let logos = [&self.logo, &self.logo_dark].into_iter().flatten().map(|logo| &logo.file);
        [&self.css, &self.script, &self.mark]
            .into_iter()
            .chain(logos)
            .find(|file| file.name == name)
    }
}

impl Image {
    fn new(picture: &Picture) -> Self {
        let Picture { extension, media_type, size, bytes } = picture;
        Self { file: Asset::new("logo", extension, media_type, bytes.clone()), size: *size }
    }
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hash = Bytes::copy_from_slice(&Sha256::digest(&bytes)[..5]);
        Self { name: format!("{stem}.{hash:x}.{extension}"), media_type, bytes }
    }

    /// The `Content-Security-Policy` in place of the site's own.
    pub fn policy(&self) -> Option<&'static str> {
        self.media_type.starts_with("image/svg").then_some(SVG_POLICY)
    }
}

/// The embedded one. The rules of another accent follow it: rules outside of its layers override
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

    fn with_logo(size: (u32, u32)) -> Assets {
        let bytes = Bytes::from_static(b"pixels");
        let light = Picture { extension: "png", media_type: "image/png", size, bytes };
        let logo = Logo { light, dark: None, show_name: true };
        Assets::new(&Config { logo: Some(logo), ..Config::default() })
    }

    #[test]
    fn names_carry_ten_hex_digits_of_the_content() {
        let assets = plain();
        let hash = assets.css.name.strip_prefix("app.").unwrap().strip_suffix(".css").unwrap();
        assert!(hash.len() == 10 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        let icon = &assets.icon().name;
        let hash = icon.strip_prefix("favicon.").unwrap().strip_suffix(".svg").unwrap();
        assert_eq!(hash.len(), 10, "{icon}");
    }

    #[test]
    fn only_names_with_the_right_hash_are_found() {
        let assets = plain();
        assert!(assets.named(&assets.css.name).is_some());
        for name in ["app.css", "app.0000000000.css", "../Cargo.toml", ""] {
            assert!(assets.named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn another_accent_changes_the_names_of_style_sheet_and_icon() {
        let (green, purple, red) = (plain(), branded("#663399"), branded("#a3241b"));
        for (one, two) in [(&green, &purple), (&purple, &red)] {
            assert_ne!(one.css.name, two.css.name);
            assert_ne!(one.icon().name, two.icon().name);
            assert_eq!(one.script.name, two.script.name);
        }
        assert_eq!(plain().css.name, branded("#1D5B50").css.name);
    }

    #[test]
    fn an_accent_overrides_the_variables_of_both_schemes() {
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
    fn our_mark_has_the_accent() {
        let assets = branded("#663399");
        let drawn = str::from_utf8(&assets.icon().bytes).unwrap();
        assert!(drawn.contains("#663399"), "{drawn}");
        let Accent { light, dark } = Accent::default();
        for shade in [light.accent, light.hover, dark.accent, dark.hover, dark.on] {
            assert!(!drawn.contains(&shade.to_string()), "{shade} is not the site's: {drawn}");
        }
    }

    #[test]
    fn a_logo_is_the_icon_if_it_is_about_square() {
        let cases = [((3, 2), true), ((48, 48), true), ((60, 20), false), ((20, 60), false)];
        for (size, is_icon) in cases {
            let assets = with_logo(size);
            let logo = assets.logo.as_ref().unwrap();
            assert_eq!((logo.size, assets.icon().name == logo.file.name), (size, is_icon));
            let hash = logo.file.name.strip_prefix("logo.").unwrap().strip_suffix(".png");
            assert_eq!(hash.map(str::len), Some(10));
        }
        assert!(plain().logo.is_none());
    }

    #[test]
    fn the_style_sheet_and_the_script_stay_small() {
        assert!(branded("#663399").css.bytes.len() < 16 * 1024);
        assert!(SCRIPT.len() < 8 * 1024);
    }
}
