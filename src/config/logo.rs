//! The site's logo: a picture, read from a file at the start.

use std::fs::{self, File};
use std::io::Read;

use bytes::Bytes;
use imagesize::ImageType;
use roxmltree::{Document, Node, ParsingOptions};

use super::sources::RawSettings;
use super::values::yes_or_no;

const EXPECTED: &str = "expected the path of an SVG, PNG, WebP or JPEG file of 64 KiB at most";

/// It is on every page, and stays in memory.
const MAX_BYTES: usize = 64 * 1024;

/// Larger pictures are broken or made to exhaust memory.
const MAX_SIDE: u32 = 1_000_000;

/// A drawing program's file has some dozens.
const MAX_REFERENCES: usize = 200;

const SVG: &str = "http://www.w3.org/2000/svg";

/// The size of an SVG that has none.
const SQUARE: (u32, u32) = (1, 1);

/// The logo, and how pages show it.
#[derive(Clone, Debug)]
pub struct Logo {
    /// The logo on light pages.
    pub light: Picture,
    /// Another one for dark pages.
    pub dark: Option<Picture>,
    /// Whether pages show the site's name next to it.
    pub show_name: bool,
}

impl Logo {
    pub(super) fn read(raw: &mut RawSettings) -> Option<Self> {
        let light = raw.optional("LOGO", Picture::read);
        let dark = raw.optional("LOGO_DARK", Picture::read);
        let show_name = raw.value("SHOW_NAME", yes_or_no);
        if !raw.is_set("LOGO") && dark.is_some() {
            raw.add_error("LOGO_DARK", "needs VESTIBULE_LOGO, the logo for light pages");
        }
        if !raw.is_set("LOGO") && !show_name {
            raw.add_error("SHOW_NAME", "needs VESTIBULE_LOGO: without a name and a logo, no page says which site it belongs to");
        }
        light.map(|light| Self { light, dark, show_name })
    }
}

/// A picture in a format that every browser shows.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The end of its name: `svg`.
    pub extension: &'static str,
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// Width and height, for which pages reserve space.
    pub size: (u32, u32),
    /// The content of the file.
    pub bytes: Bytes,
}

impl Picture {
    /// Reads the file at `path`. Its content determines the format, not its name.
    pub fn read(path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Err(EXPECTED.into());
        }
        if path.starts_with('<') {
            return Err(
                "holds the picture itself: set the variable without _FILE to its path".into()
            );
        }
        read_file(path).and_then(Self::from_bytes).map_err(|why| format!("{why}: {EXPECTED}"))
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, String> {
        let (extension, media_type) = match imagesize::image_type(&bytes) {
            Ok(ImageType::Png) => ("png", "image/png"),
            Ok(ImageType::Webp) => ("webp", "image/webp"),
            Ok(ImageType::Jpeg) => ("jpg", "image/jpeg"),
            _ => ("svg", "image/svg+xml; charset=utf-8"),
        };
        let size = match extension {
            "svg" => svg_size(&bytes)?,
            _ => pixel_size(&bytes).ok_or("is a broken picture")?,
        };
        Ok(Self { extension, media_type, size, bytes: bytes.into() })
    }
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let unreadable = |cause| format!("cannot be read: {cause}");
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no file".into());
    }
    let file = File::open(path).map_err(unreadable)?;
    // Not by its length: some files of the system have none, and never end.
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_BYTES {
        return Err("is larger than 64 KiB".into());
    }
    Ok(bytes)
}

fn pixel_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let size = imagesize::blob_size(bytes).ok()?;
    let side = |side: usize| u32::try_from(side).ok().filter(|side| (1..MAX_SIDE).contains(side));
    Some((side(size.width)?, side(size.height)?))
}

/// Browsers show nothing of an SVG that is no well-formed XML or lacks the namespace.
fn svg_size(bytes: &[u8]) -> Result<(u32, u32), String> {
    let text = str::from_utf8(bytes).map_err(|_| "is no such picture")?;
    // Drawing programs declare entities for namespaces. Thousands of references to a long one are
    // gigabytes of text. roxmltree reads no entity from another file.
    if text.contains("<!ENTITY") && (nests(text) || text.matches('&').count() > MAX_REFERENCES) {
        return Err(
            "has more references to its own entities than a picture needs: save it as plain SVG"
                .into(),
        );
    }
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|_| "is neither a picture nor well-formed XML")?;
    let root = document.root_element();
    if root.has_tag_name((SVG, "svg")) {
        Ok(root_size(root).unwrap_or(SQUARE))
    } else {
        Err(format!("its first element is not svg with xmlns=\"{SVG}\""))
    }
}

/// Whether the value of an entity refers to others, or has no end: each level multiplies the text.
fn nests(text: &str) -> bool {
    text.split("<!ENTITY").skip(1).any(|declaration| {
        let Some(quote) = declaration.find(['"', '\'']) else { return true };
        let (before, after) = declaration.split_at(quote + 1);
        let value = after.split_once(&before[quote..]);
        value.is_none_or(|(value, _)| value.contains('&'))
    })
}

/// By the last two numbers of `viewBox`, else by `width` and `height`.
fn root_size(svg: Node) -> Option<(u32, u32)> {
    let sides = match svg.attribute("viewBox") {
        Some(text) => {
            text.split([' ', ',', '\t', '\n', '\r']).filter(|n| !n.is_empty()).skip(2).collect()
        }
        None => vec![svg.attribute("width")?, svg.attribute("height")?],
    };
    let [width, height] = sides[..] else { return None };
    Some((whole_pixels(width)?, whole_pixels(height)?))
}

/// `24`, `23.5` or `24px`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range by then")]
fn whole_pixels(text: &str) -> Option<u32> {
    let length: f32 = text.trim_end_matches("px").parse().ok()?;
    (0.5..1e6).contains(&length).then(|| length.round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(root: &str) -> Result<(u32, u32), String> {
        let start = format!("\u{feff}<?xml version=\"1.0\"?>\n<!-- <html> -->\n{root}");
        Picture::from_bytes(start.into()).map(|logo| {
            assert_eq!(logo.extension, "svg");
            logo.size
        })
    }

    #[test]
    fn an_svg_has_the_size_of_its_view_box() {
        for (attributes, size) in [
            ("viewBox='0 0 48 24'", (48, 24)),
            ("viewBox='0,0, 47.6 ,24' width='100%' height='3em'", (48, 24)),
            ("width='96px' height='32'", (96, 32)),
            ("width='100%' height='32'", SQUARE),
            ("viewBox='0 0 0 0'", SQUARE),
            ("viewBox='0 0 1 inf'", SQUARE),
            ("viewBox='1 1'", SQUARE),
            ("", SQUARE),
        ] {
            assert_eq!(
                svg(&format!("<svg xmlns='{SVG}' {attributes}/>")),
                Ok(size),
                "{attributes}"
            );
        }
    }

    #[test]
    fn an_svg_of_a_drawing_program_may_declare_entities_and_a_prefix() {
        let doctype = format!("<!DOCTYPE svg PUBLIC 'x' 'y' [<!ENTITY ns '{SVG}'>]>");
        assert_eq!(svg(&format!("{doctype}<svg xmlns='&ns;' viewBox='0 0 2 1'/>")), Ok((2, 1)));
        assert_eq!(svg(&format!("<s:svg xmlns:s='{SVG}' viewBox='0 0 2 1'/>")), Ok((2, 1)));
    }

    #[test]
    fn pictures_that_no_browser_shows_are_refused() {
        for (text, message) in [
            (format!("<svg xmlns='{SVG}'>"), "is neither a picture nor well-formed XML"),
            (format!("<html><svg xmlns='{SVG}'/></html>"), "its first element is not svg"),
            ("<svg/>".into(), "its first element is not svg with xmlns="),
            ("GIF89a".into(), "is neither a picture nor well-formed XML"),
        ] {
            let error = svg(&text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
        let utf_16: Vec<u8> = "<svg/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(Picture::from_bytes(utf_16).is_err());
        assert!(
            Picture::from_bytes(vec![0xff, 0xfe]).unwrap_err().starts_with("is no such picture")
        );
        assert!(Picture::from_bytes(Vec::new()).is_err());
    }

    #[test]
    fn exponential_entity_expansion_is_refused() {
        let grow = |n: u8| format!("<!ENTITY e{} '{}'>", n + 1, format!("&e{n};").repeat(10));
        let entities: String = (0..12).map(grow).collect();
        let text =
            format!("<!DOCTYPE svg [<!ENTITY e0 'x'>{entities}]><svg xmlns='{SVG}'>&e12;</svg>");
        assert!(svg(&text).is_err());
        // 43 KB that were 3.5 GB.
        let (long, longer) = ("x".repeat(1000), "&a;".repeat(250));
        let entities = format!("<!ENTITY a '{long}'><!ENTITY b '{longer}'>");
        let body = "&b;".repeat(14_000);
        let text = format!("<!DOCTYPE svg [{entities}]><svg xmlns='{SVG}'>{body}</svg>");
        assert!(svg(&text).unwrap_err().contains("references"));
        // 61 KB that were 2 GB, with few references.
        let declare = |name, value: String| format!("<!ENTITY {name} '{value}'>");
        let longest = declare('a', "x".repeat(60_000));
        for nested in [declare('b', "&a;".repeat(10)), "<!ENTITY b \"<!ENTITY &a;\">".into()] {
            let text = format!("<!DOCTYPE svg [{longest}{nested}]><svg xmlns='{SVG}'>&b;</svg>");
            assert!(svg(&text).unwrap_err().contains("references"));
        }
    }

    #[test]
    fn format_and_size_are_read_from_the_content() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x30\0\0\0\x18".to_vec();
        let logo = Picture::from_bytes(png.clone()).unwrap();
        assert_eq!((logo.extension, logo.size), ("png", (48, 24)));
        png.truncate(18);
        assert_eq!(Picture::from_bytes(png).unwrap_err(), "is a broken picture");
        let webp = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\x2f\xc0\x05\0\0\0\0\0".to_vec();
        let logo = Picture::from_bytes(webp).unwrap();
        assert_eq!((logo.extension, logo.size), ("webp", (48, 24)));
        let jpeg = b"\xff\xd8\xff\xc0\0\x11\x08\0\x18\0\x30\x03\x01\x22\0\x02\x11\x01\x03\x11\x01"
            .to_vec();
        let logo = Picture::from_bytes(jpeg).unwrap();
        assert_eq!((logo.extension, logo.size), ("jpg", (48, 24)));
    }

    #[test]
    fn paths_that_are_not_regular_files_are_refused() {
        for (path, message) in [
            ("", "expected the path of"),
            ("/nowhere/logo.svg", "cannot be read: No such file"),
            ("/", "is no file: expected"),
            ("/dev/zero", "is no file: expected"),
        ] {
            let error = Picture::read(path).unwrap_err();
            assert!(error.starts_with(message) && error.ends_with(EXPECTED), "{error}");
        }
        let error = Picture::read("<svg/>").unwrap_err();
        assert_eq!(error, "holds the picture itself: set the variable without _FILE to its path");
    }
}
