//! What a static file is, and what follows from it when it is served.

use crate::config::ImageFormat;

/// An SVG that is opened by itself is a page: it keeps its own styles, and runs nothing.
const SVG_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Css,
    Script,
    Image(ImageFormat),
}

impl Kind {
    /// For `Content-Type`.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Css => "text/css; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
            Self::Image(ImageFormat::Svg) => "image/svg+xml; charset=utf-8",
            Self::Image(ImageFormat::Png) => "image/png",
            Self::Image(ImageFormat::Webp) => "image/webp",
            Self::Image(ImageFormat::Jpeg) => "image/jpeg",
        }
    }

    /// The end of the name.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Css => "css",
            Self::Script => "js",
            Self::Image(ImageFormat::Svg) => "svg",
            Self::Image(ImageFormat::Png) => "png",
            Self::Image(ImageFormat::Webp) => "webp",
            Self::Image(ImageFormat::Jpeg) => "jpg",
        }
    }

    /// Text gets smaller when it is compressed; pixels are compressed already.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Css | Self::Script | Self::Image(ImageFormat::Svg))
    }

    /// The `Content-Security-Policy` in place of the site's own.
    pub(super) fn policy(self) -> Option<&'static str> {
        (self == Self::Image(ImageFormat::Svg)).then_some(SVG_POLICY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_type_and_its_extension() {
        for (kind, media_type, extension) in [
            (Kind::Css, "text/css; charset=utf-8", "css"),
            (Kind::Script, "text/javascript; charset=utf-8", "js"),
            (Kind::Image(ImageFormat::Svg), "image/svg+xml; charset=utf-8", "svg"),
            (Kind::Image(ImageFormat::Png), "image/png", "png"),
            (Kind::Image(ImageFormat::Webp), "image/webp", "webp"),
            (Kind::Image(ImageFormat::Jpeg), "image/jpeg", "jpg"),
        ] {
            assert_eq!((kind.media_type(), kind.extension()), (media_type, extension));
            assert_eq!(kind.is_text(), media_type.ends_with("charset=utf-8"), "{kind:?}");
        }
    }
}
