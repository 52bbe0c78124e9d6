//! The accent colour of pages and emails, and the shades that are derived from it.

use super::colour::{Colour, bisect};

/// The contrast that text needs (WCAG 2.2, 1.4.3).
const MIN_CONTRAST: f32 = 4.5;

/// On dark pages the accent is derived, so it can have more contrast.
const MIN_CONTRAST_ON_DARK: f32 = 7.0;

/// More chroma than this glares on a dark page (OKLCH; the purest screen colours have 0.15 to 0.32).
const MAX_CHROMA_ON_DARK: f32 = 0.13;

/// Under the pointer the accent is darker, or lighter if it is so dark that nobody would see it.
const NEAR_BLACK: f32 = 0.25;

const EXPECTED: &str =
    "expected a colour of three or six hexadecimal digits, like #1d5b50; the # may be left out";

/// The backgrounds of text, the page and the sheet on it, as in `tailwind.config.js`.
const LIGHT: [Colour; 2] = [Colour([0xf4, 0xf1, 0xea]), Colour([0xff, 0xfe, 0xfb])];
const DARK: [Colour; 2] = [Colour([0x14, 0x13, 0x11]), Colour([0x1f, 0x1d, 0x1a])];

/// The accent colour in both schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent {
    /// On light pages.
    pub light: Shades,
    /// On dark pages.
    pub dark: Shades,
}

/// The colours that an accent consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shades {
    /// Links and buttons.
    pub accent: Colour,
    /// Both under the pointer.
    pub hover: Colour,
    /// Text on a button.
    pub on: Colour,
}

impl Accent {
    /// Reads the accent on light pages; the one on dark pages is derived from it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let accent = Colour::parse(text.trim()).ok_or(EXPECTED)?;
        let default = Self::default();
        if accent == default.light.accent {
            return Ok(default);
        }
        let (background, contrast) = worst(LIGHT, accent);
        if contrast >= MIN_CONTRAST {
            return Ok(Self { light: light(accent), dark: dark(accent) });
        }
        // Rounded down: 4.499 is not printed as 4.50, which would pass.
        let contrast = (contrast * 100.0).floor() / 100.0;
        let nearest = darkened(accent);
        Err(format!(
            "has a contrast of {contrast:.2}:1 against the page's {background}, and words need {MIN_CONTRAST}:1 (WCAG 2.2, 1.4.3): the nearest that has it is {nearest}"
        ))
    }
}

impl Default for Accent {
    /// A deep green, each shade chosen by hand.
    fn default() -> Self {
        Self {
            light: Shades {
                accent: Colour([0x1d, 0x5b, 0x50]),
                hover: Colour([0x12, 0x3e, 0x37]),
                on: Colour([0xff, 0xfe, 0xfb]),
            },
            dark: Shades {
                accent: Colour([0x83, 0xcb, 0xb9]),
                hover: Colour([0xa9, 0xe0, 0xd2]),
                on: Colour([0x0e, 0x21, 0x1c]),
            },
        }
    }
}

/// The background on which `colour` is harder to read, and the contrast there.
fn worst(backgrounds: [Colour; 2], colour: Colour) -> (Colour, f32) {
    let [page, sheet] = backgrounds.map(|background| (background, colour.contrast(background)));
    if page.1 < sheet.1 { page } else { sheet }
}

/// The same hue, with as much of the chroma as possible, just dark enough for light pages.
fn darkened(accent: Colour) -> Colour {
    let [lightness, chroma, hue] = accent.oklch();
    let at = |lightness| Colour::of_oklch([lightness, chroma, hue]);
    at(bisect(lightness, 0.0, |lightness| worst(LIGHT, at(lightness)).1 >= MIN_CONTRAST))
}

/// An accent that is readable on the sheet is dark enough for text in the colour of the sheet.
fn light(accent: Colour) -> Shades {
    let [lightness, chroma, hue] = accent.oklch();
    let step = if lightness < NEAR_BLACK { 0.25 } else { -0.1 };
    let hover = Colour::of_oklch([lightness + step, chroma, hue]);
    Shades { accent, hover, on: LIGHT[1] }
}

/// The same hue, as light as dark pages require, and with less chroma.
fn dark(accent: Colour) -> Shades {
    let [lightness, chroma, hue] = accent.oklch();
    let chroma = chroma.min(MAX_CHROMA_ON_DARK);
    let at = |lightness| Colour::of_oklch([lightness, chroma, hue]);
    let is_readable = |lightness| worst(DARK, at(lightness)).1 >= MIN_CONTRAST_ON_DARK;
    let accent = at(bisect(lightness, 1.0, is_readable));
    let hover = Colour::of_oklch([accent.oklch()[0] + 0.075, chroma * 0.8, hue]);
    Shades { accent, hover, on: Colour::of_oklch([0.23, chroma * 0.4, hue]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 15th step of each channel: 5832 colours, black, white and the pure ones among them.
    fn many() -> impl Iterator<Item = Colour> {
        let steps = || (0..=255).step_by(15);
        steps().flat_map(move |red| {
            steps().flat_map(move |green| steps().map(move |blue| Colour([red, green, blue])))
        })
    }

    fn assert_readable(accent: &Accent) {
        for (shades, pages) in [(&accent.light, LIGHT), (&accent.dark, DARK)] {
            let Shades { accent: colour, hover, on } = *shades;
            for text in [colour, hover] {
                assert!(worst(pages, text).1 >= MIN_CONTRAST, "{text} on the pages: {accent:?}");
                assert!(on.contrast(text) >= MIN_CONTRAST, "{on} on {text}: {accent:?}");
            }
            assert!(hover.contrast(colour) > 1.15, "{hover} looks like {colour}: {accent:?}");
        }
        assert!(worst(DARK, accent.dark.accent).1 >= MIN_CONTRAST_ON_DARK, "{accent:?}");
        assert!(accent.dark.accent.oklch()[1] < MAX_CHROMA_ON_DARK + 0.01, "{accent:?}");
    }

    /// Degrees between two hues.
    fn apart(one: Colour, two: Colour) -> f32 {
        let turn = (one.oklch()[2] - two.oklch()[2]).rem_euclid(360.0);
        turn.min(360.0 - turn)
    }

    #[test]
    fn the_default_accent_is_readable() {
        assert_readable(&Accent::default());
        assert_eq!(Accent::parse("#1D5B50"), Ok(Accent::default()));
    }

    #[test]
    fn accepted_accents_are_readable_and_unchanged_on_light_pages() {
        let mut accepted = 0;
        for colour in many() {
            if let Ok(accent) = Accent::parse(&colour.to_string()) {
                assert_eq!(accent.light.accent, colour);
                assert_readable(&accent);
                let dark = accent.dark.accent;
                let hue_shows = colour.oklch()[1] > 0.04;
                assert!(!hue_shows || apart(dark, colour) < 4.0, "{colour} becomes {dark}");
                accepted += 1;
            }
        }
        assert!((1000..4000).contains(&accepted), "{accepted}");
    }

    #[test]
    fn a_refused_accent_comes_with_the_nearest_accepted_one() {
        let mut refused = 0;
        for colour in many() {
            let Err(message) = Accent::parse(&colour.to_string()) else { continue };
            let suggested = message.rsplit(' ').next().unwrap();
            let suggested = Accent::parse(suggested).unwrap().light.accent;
            let contrast = worst(LIGHT, suggested).1;
            assert!(contrast < 4.6, "{colour}: {suggested} is darker than it must be");
            let hue_shows = suggested.oklch()[1] > 0.04;
            assert!(!hue_shows || apart(suggested, colour) < 4.0, "{colour}: {suggested}");
            refused += 1;
        }
        assert!(refused > 1000, "{refused}");
    }

    #[test]
    fn a_refusal_names_both_contrasts_and_the_nearest_colour() {
        for (text, expected) in [
            ("#ffffff", ["1.00:1 against the page's #fffefb", "#6e6e6e"]),
            ("#ff0", ["1.05:1 against the page's #f4f1ea", "#727200"]),
            ("0FF", ["1.11:1 against the page's #f4f1ea", "#007b7b"]),
            ("#808080", ["3.50:1 against the page's #f4f1ea", "#6e6e6e"]),
        ] {
            let [contrast, nearest] = expected;
            let message = format!(
                "has a contrast of {contrast}, and words need 4.5:1 (WCAG 2.2, 1.4.3): the nearest that has it is {nearest}"
            );
            assert_eq!(Accent::parse(text), Err(message));
        }
    }

    #[test]
    fn invalid_colours_are_refused() {
        for text in ["", "green", "#12345", "rgb(1,2,3)", "#1d5b50ff"] {
            assert_eq!(Accent::parse(text), Err(EXPECTED.into()), "{text}");
        }
        assert_eq!(Accent::parse(" 1D5B50 "), Ok(Accent::default()));
    }

    /// The two values of `name` in `tailwind.config.js`, light and dark.
    fn in_tailwind(name: &str) -> [String; 2] {
        let config = include_str!("../../tailwind.config.js");
        let key =
            |line: &str| line.trim().split(':').next().map(|key| key.trim_matches('"') == name);
        let line = config.lines().find(|line| key(line) == Some(true)).unwrap();
        let mut values = line.rsplit('[').next().unwrap().split('"').skip(1).step_by(2);
        std::array::from_fn(|_| values.next().unwrap().to_owned())
    }

    #[test]
    fn tailwind_has_the_same_backgrounds_and_the_same_default() {
        let [light, dark] = [LIGHT, DARK].map(|pages| pages.map(|it| it.to_string()));
        assert_eq!(in_tailwind("paper"), [light[0].as_str(), &dark[0]]);
        assert_eq!(in_tailwind("sheet"), [light[1].as_str(), &dark[1]]);
        let Accent { light, dark } = Accent::default();
        assert_eq!(in_tailwind("accent"), [light.accent, dark.accent].map(|it| it.to_string()));
        assert_eq!(in_tailwind("accent-hover"), [light.hover, dark.hover].map(|it| it.to_string()));
        assert_eq!(in_tailwind("on-accent"), [light.on, dark.on].map(|it| it.to_string()));
    }
}
