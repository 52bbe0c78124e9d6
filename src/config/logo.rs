//! The site's logo: a picture, read from a file at the start.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;

use bytes::Bytes;
use imagesize::ImageType;
use roxmltree::{Document, Node, ParsingOptions};

use super::sources::RawSettings;
use super::values::yes_or_no;

/// It is on every page, and stays in memory plain and compressed.
const LARGEST: u64 = 64 * 1024;

/// Larger pictures are broken or made to exhaust memory.
const MOST_PIXELS: u32 = 1_000_000;

/// A drawing program's file has some dozens.
const MOST_REFERENCES: usize = 200;

const SVG: &str = "http://www.w3.org/2000/svg";

/// An SVG that does not say how large it is.
const SQUARE: (u32, u32) = (1, 1);

/// The formats that every browser shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// Shapes, written as XML.
    Svg,
    /// Pixels, none of them lost.
    Png,
    /// Pixels.
    Webp,
    /// Pixels, for photographs.
    Jpeg,
}

/// The logo, and how pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// The logo itself, on light pages.
    pub light: Picture,
    /// Another one for dark pages.
    pub dark: Option<Picture>,
    /// Whether the site's name is written beside it.
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

/// A picture that browsers show.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Told by the content.
    pub format: ImageFormat,
    /// Width and height in its own measure: pages keep its place free until it is there.
    pub size: (u32, u32),
    /// The file as it is.
    pub bytes: Bytes,
}

impl Picture {
    /// Reads the file at `path`. Its content tells what it is, not its name.
    pub fn read(path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Err(expected());
        }
        if path.starts_with('<') {
            return Err(
                "holds the picture itself: set the variable without _FILE to its path".into()
            );
        }
        let unreadable = |cause| format!("cannot be read: {cause}: {}", expected());
        // Opening a pipe would wait for its writer.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(format!("is no file: {}", expected()));
        }
        // Not by its length: some files of the system have none, and never end.
        let (mut file, mut bytes) = (File::open(path).map_err(unreadable)?, Vec::new());
        file.by_ref().take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("is larger than {} KiB: {}", LARGEST / 1024, expected()));
        }
        Self::from_bytes(bytes)
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, String> {
        let format = match imagesize::image_type(&bytes) {
            Ok(ImageType::Png) => ImageFormat::Png,
            Ok(ImageType::Webp) => ImageFormat::Webp,
            Ok(ImageType::Jpeg) => ImageFormat::Jpeg,
            _ => ImageFormat::Svg,
        };
        let size = match format {
            ImageFormat::Svg => size_of_svg(&bytes)?,
            ImageFormat::Png | ImageFormat::Webp | ImageFormat::Jpeg => size_of_pixels(&bytes)?,
        };
        Ok(Self { format, size, bytes: bytes.into() })
    }
}

fn expected() -> String {
    format!("expected the path of an SVG, PNG, WebP or JPEG file of {} KiB at most", LARGEST / 1024)
}

fn size_of_pixels(bytes: &[u8]) -> Result<(u32, u32), String> {
    let size = imagesize::blob_size(bytes).ok();
    let size =
        size.and_then(|size| Some((size.width.try_into().ok()?, size.height.try_into().ok()?)));
    let sides = 1..MOST_PIXELS;
    size.filter(|(width, height)| sides.contains(width) && sides.contains(height))
        .ok_or_else(|| format!("is a broken picture: {}", expected()))
}

/// Browsers show nothing of an SVG that is no well-formed XML or lacks the namespace.
fn size_of_svg(bytes: &[u8]) -> Result<(u32, u32), String> {
    let text = str::from_utf8(bytes).map_err(|_| format!("is no such picture: {}", expected()))?;
    // Drawing programs declare entities for namespaces; thousands of references to a long one are
    // gigabytes of text. They are never read from other files.
    if text.contains("<!ENTITY") && (nests(text) || text.matches('&').count() > MOST_REFERENCES) {
        return Err(format!(
            "has more references to its own entities than a picture needs: save it as plain SVG: {}",
            expected()
        ));
    }
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|_| format!("is neither a picture nor well-formed XML: {}", expected()))?;
    let root = document.root_element();
    if root.has_tag_name((SVG, "svg")) {
        Ok(size_of_root(root).unwrap_or(SQUARE))
    } else {
        Err(format!("its first element is not svg with xmlns=\"{SVG}\": {}", expected()))
    }
}

/// Whether the value of an entity refers to others, or cannot be told: each level multiplies.
fn nests(text: &str) -> bool {
    text.split("<!ENTITY").skip(1).any(|declaration| {
        let quote = declaration.chars().find(|c| matches!(c, '"' | '\''));
        let value = quote
            .and_then(|quote| declaration.split(quote).nth(1).zip(declaration.split(quote).nth(2)));
        value.is_none_or(|(value, _)| value.contains('&'))
    })
}

/// By `viewBox`, whose last two numbers they are, else by `width` and `height`.
fn size_of_root(svg: Node) -> Option<(u32, u32)> {
    let view_box = svg.attribute("viewBox").map(|text| {
        let numbers = text.split([' ', ',', '\t', '\n', '\r']).filter(|part| !part.is_empty());
        numbers.skip(2).collect::<Vec<_>>()
    });
    let sides =
        view_box.or_else(|| Some(vec![svg.attribute("width")?, svg.attribute("height")?]))?;
    match sides[..] {
        [width, height] => Some((side(width)?, side(height)?)),
        _ => None,
    }
}

/// `24`, `23.5` or `24px` in whole pixels.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range by then")]
fn side(text: &str) -> Option<u32> {
    let length: f32 = text.trim_end_matches("px").parse().ok()?;
    (0.5..1e6).contains(&length).then(|| length.round() as u32)
}

/// By hand, because the bytes say nothing to a reader.
impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picture")
            .field("format", &self.format)
            .field("size", &self.size)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(root: &str) -> Result<(u32, u32), String> {
        let start = format!("\u{feff}<?xml version=\"1.0\"?>\n<!-- <html> -->\n{root}");
        Picture::from_bytes(start.into()).map(|logo| {
            assert_eq!(logo.format, ImageFormat::Svg);
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
    fn what_no_browser_shows_is_refused() {
        for (text, words) in [
            (format!("<svg xmlns='{SVG}'>"), "is neither a picture nor well-formed XML: expected"),
            (format!("<html><svg xmlns='{SVG}'/></html>"), "its first element is not svg"),
            ("<svg/>".into(), "its first element is not svg with xmlns="),
            ("GIF89a".into(), "is neither a picture nor well-formed XML"),
        ] {
            let told = svg(&text).unwrap_err();
            assert!(told.starts_with(words) && told.ends_with(&expected()), "{told}");
        }
        let utf_16: Vec<u8> = "<svg/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(Picture::from_bytes(utf_16).is_err());
        assert!(
            Picture::from_bytes(vec![0xff, 0xfe]).unwrap_err().starts_with("is no such picture")
        );
        assert!(Picture::from_bytes(Vec::new()).is_err());
    }

    #[test]
    fn an_entity_that_grows_without_end_is_refused() {
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
    fn the_content_tells_the_kind_and_the_size() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x30\0\0\0\x18".to_vec();
        let logo = Picture::from_bytes(png.clone()).unwrap();
        assert_eq!((logo.format, logo.size), (ImageFormat::Png, (48, 24)));
        png.truncate(18);
        assert!(Picture::from_bytes(png).unwrap_err().starts_with("is a broken picture: expected"));
        let webp = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\x2f\xc0\x05\0\0\0\0\0".to_vec();
        let logo = Picture::from_bytes(webp).unwrap();
        assert_eq!((logo.format, logo.size), (ImageFormat::Webp, (48, 24)));
        let jpeg = b"\xff\xd8\xff\xc0\0\x11\x08\0\x18\0\x30\x03\x01\x22\0\x02\x11\x01\x03\x11\x01"
            .to_vec();
        let logo = Picture::from_bytes(jpeg).unwrap();
        assert_eq!((logo.format, logo.size), (ImageFormat::Jpeg, (48, 24)));
    }

    #[test]
    fn what_is_no_file_is_refused_before_it_is_read() {
        for (path, words) in [
            ("", "expected the path of"),
            ("/nowhere/logo.svg", "cannot be read: No such file"),
            ("/", "is no file: expected"),
            ("/dev/zero", "is no file: expected"),
        ] {
            let told = Picture::read(path).unwrap_err();
            assert!(told.starts_with(words) && told.ends_with(&expected()), "{told}");
        }
        let told = Picture::read("<svg/>").unwrap_err();
        assert_eq!(told, "holds the picture itself: set the variable without _FILE to its path");
    }
}
