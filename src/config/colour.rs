//! A colour: how it is written, how it contrasts, and the same hue at another lightness.

use std::fmt;

// A crate, because no reader sees a wrong digit in the matrices of OKLCH.
use color::{AlphaColor, Oklch, OpaqueColor, Srgb};

/// Halvings between two lightnesses or chromas: finer than 8 bits of a channel.
const HALVINGS: usize = 12;

/// What rounding alone puts outside of the gamut.
const GAMUT_ROUNDING: f32 = 0.000_5;

/// Red, green and blue, as screens have them (sRGB).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// Reads `#1d5b50` or `#1db`; the `#` is optional, because it begins a comment in YAML.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if !matches!(digits.len(), 3 | 6) {
            return None;
        }
        format!("#{digits}").parse().ok().map(Self::rounded)
    }

    fn rounded(colour: OpaqueColor<Srgb>) -> Self {
        let rounded = colour.to_rgba8();
        Self([rounded.r, rounded.g, rounded.b])
    }

    fn srgb(self) -> OpaqueColor<Srgb> {
        let [red, green, blue] = self.0;
        AlphaColor::from_rgb8(red, green, blue).discard_alpha()
    }

    /// From 1 to 21, as WCAG 2.2 defines it; either may be the text.
    pub(super) fn contrast(self, other: Self) -> f32 {
        let (one, two) = (self.srgb().relative_luminance(), other.srgb().relative_luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Lightness from 0 to 1, chroma, hue in degrees.
    pub(super) fn oklch(self) -> [f32; 3] {
        self.srgb().convert::<Oklch>().components
    }

    /// The colour of this lightness and hue, with as much of the chroma as a screen can show.
    pub(super) fn of_oklch([lightness, chroma, hue]: [f32; 3]) -> Self {
        let at = |chroma| OpaqueColor::<Oklch>::new([lightness, chroma, hue]).convert::<Srgb>();
        let is_shown = |chroma| {
            let range = -GAMUT_ROUNDING..=1.0 + GAMUT_ROUNDING;
            at(chroma).components.iter().all(|part| range.contains(part))
        };
        let chroma = if is_shown(chroma) { chroma } else { bisect(chroma, 0.0, is_shown) };
        Self::rounded(at(chroma))
    }
}

/// Between a number that `accepts` refuses and one that it accepts: the accepted one that is nearest
/// to the refused.
pub(super) fn bisect(mut refused: f32, mut accepted: f32, accepts: impl Fn(f32) -> bool) -> f32 {
    for _ in 0..HALVINGS {
        let middle = f32::midpoint(refused, accepted);
        if accepts(middle) {
            accepted = middle;
        } else {
            refused = middle;
        }
    }
    accepted
}

/// `#1d5b50`.
impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_three_or_six_digits_in_either_case() {
        for (text, colour) in [
            ("#1d5b50", "#1d5b50"),
            ("1D5B50", "#1d5b50"),
            ("#1dB", "#11ddbb"),
            ("fff", "#ffffff"),
            ("000000", "#000000"),
        ] {
            assert_eq!(Colour::parse(text).unwrap().to_string(), colour);
        }
        for text in
            ["", "#", "1d5b5", "#1d5b5g", "##1d5b50", "1d5b50ff", "+1d5b5", "green", "１２３"]
        {
            assert_eq!(Colour::parse(text), None, "{text}");
        }
    }

    /// By hand: against black it is 20 times the luminance and 1; that of red is 0.2126.
    #[test]
    fn contrast_is_that_of_wcag() {
        let black = Colour([0; 3]);
        for (rgb, contrast) in
            [([0xff; 3], 21.0), ([0x77; 3], 4.69), ([0; 3], 1.0), ([0xff, 0, 0], 5.25)]
        {
            let colour = Colour(rgb);
            assert!((colour.contrast(black) - contrast).abs() < 0.01, "{colour}");
            assert!((black.contrast(colour) - contrast).abs() < 0.01, "{colour}");
        }
    }

    #[test]
    fn a_colour_comes_back_from_oklch() {
        for rgb in [[0x1d, 0x5b, 0x50], [0xff, 0, 0], [0, 0, 0xff], [0xff; 3], [0x80; 3], [0; 3]] {
            let colour = Colour(rgb);
            assert_eq!(Colour::of_oklch(colour.oklch()), colour);
        }
    }

    #[test]
    fn colours_outside_the_gamut_lose_only_chroma() {
        let [lightness, chroma, hue] = Colour::of_oklch([0.8, 0.3, 260.0]).oklch();
        assert!((lightness - 0.8).abs() < 0.005 && (hue - 260.0).abs() < 2.0);
        assert!((0.08..0.2).contains(&chroma), "{chroma}");
    }
}
