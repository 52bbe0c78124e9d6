//! The one accent colour of pages and mails, and what is made of it.

use super::colour::{Colour, bisect};

/// What words need against what is behind them (WCAG 2.2, 1.4.3).
const READABLE: f32 = 4.5;

/// What the accent gets on dark pages, where nothing holds it to the very colour that was set.
const CONTRAST_ON_DARK: f32 = 7.0;

/// More chroma than this glares on a dark page (OKLCH; the purest screen colours have 0.15 to 0.32).
const MOST_CHROMA_ON_DARK: f32 = 0.13;

/// Darker colours than this have no room for one yet darker: what is under the pointer is lighter.
const NEAR_BLACK: f32 = 0.25;

const EXPECTED: &str =
    "expected a colour of three or six hexadecimal digits, like #1d5b50; the # may be left out";

/// What the accent is read on. The same colours stand in `tailwind.config.js`.
struct Backgrounds {
    /// Behind the sheet.
    paper: Colour,
    /// What one reads on.
    sheet: Colour,
}

const LIGHT: Backgrounds =
    Backgrounds { paper: Colour::new(0x00f4_f1ea), sheet: Colour::new(0x00ff_fefb) };

const DARK: Backgrounds =
    Backgrounds { paper: Colour::new(0x0014_1311), sheet: Colour::new(0x001f_1d1a) };

impl Backgrounds {
    /// The one that `colour` is harder to read on, and the contrast there.
    fn worse(&self, colour: Colour) -> (Colour, f32) {
        let on_paper = (self.paper, colour.contrast(self.paper));
        let on_sheet = (self.sheet, colour.contrast(self.sheet));
        if on_paper.1 < on_sheet.1 { on_paper } else { on_sheet }
    }

    fn is_readable(&self, colour: Colour, contrast: f32) -> bool {
        self.worse(colour).1 >= contrast
    }
}

/// The accent colour in both schemes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accent {
    /// On light pages.
    pub light: Shades,
    /// On dark pages.
    pub dark: Shades,
}

/// What an accent is made of, each as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shades {
    /// Links and buttons.
    pub accent: String,
    /// Both under the pointer.
    pub hover: String,
    /// Words on a button.
    pub on: String,
}

impl Shades {
    fn of(accent: &str, hover: &str, on: &str) -> Self {
        Self { accent: accent.to_owned(), hover: hover.to_owned(), on: on.to_owned() }
    }

    fn from_colours(accent: Colour, hover: Colour, on: Colour) -> Self {
        Self { accent: accent.to_string(), hover: hover.to_string(), on: on.to_string() }
    }

    /// What can be read on light pages is dark enough to bear words in the sheet's own colour.
    fn on_light(accent: Colour) -> Self {
        let [lightness, chroma, hue] = accent.oklch();
        let step = if lightness < NEAR_BLACK { 0.25 } else { -0.1 };
        let hover = Colour::of_oklch([lightness + step, chroma, hue]);
        Self::from_colours(accent, hover, LIGHT.sheet)
    }

    /// The same hue, as light as it must be on dark pages, and calmer.
    fn on_dark(given: Colour) -> Self {
        let [lightness, chroma, hue] = given.oklch();
        let calm = chroma.min(MOST_CHROMA_ON_DARK);
        let at = |lightness| Colour::of_oklch([lightness, calm, hue]);
        let reads = |lightness| DARK.is_readable(at(lightness), CONTRAST_ON_DARK);
        let accent = at(bisect(lightness, 1.0, reads));
        let hover = Colour::of_oklch([accent.oklch()[0] + 0.075, calm * 0.8, hue]);
        let on = Colour::of_oklch([0.23, calm * 0.4, hue]);
        Self::from_colours(accent, hover, on)
    }
}

impl Accent {
    /// Reads `#1d5b50` or `#1db`, in either case and without the `#` too, which begins a comment in
    /// YAML. On light pages the accent is that very colour, on dark ones it is made from it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let given = Colour::parse(text.trim()).ok_or(EXPECTED)?;
        let default = Self::default();
        if given.to_string() == default.light.accent {
            return Ok(default);
        }
        if LIGHT.is_readable(given, READABLE) {
            Ok(Self { light: Shades::on_light(given), dark: Shades::on_dark(given) })
        } else {
            Err(hard_to_read(given))
        }
    }
}

fn hard_to_read(given: Colour) -> String {
    let (background, contrast) = LIGHT.worse(given);
    // Rounded down: 4.499 is not told as 4.50, which would pass.
    let contrast = (contrast * 100.0).floor() / 100.0;
    let nearest = nearest(given);
    format!(
        "has a contrast of {contrast:.2}:1 against the page's {background}, and words need {READABLE}:1 (WCAG 2.2, 1.4.3): the nearest that has it is {nearest}"
    )
}

/// The same hue and as much of the chroma as there is, just dark enough.
fn nearest(given: Colour) -> Colour {
    let [lightness, chroma, hue] = given.oklch();
    let at = |lightness| Colour::of_oklch([lightness, chroma, hue]);
    at(bisect(lightness, 0.0, |lightness| LIGHT.is_readable(at(lightness), READABLE)))
}

impl Default for Accent {
    /// A deep green, each shade chosen by hand.
    fn default() -> Self {
        Self {
            light: Shades::of("#1d5b50", "#123e37", "#fffefb"),
            dark: Shades::of("#83cbb9", "#a9e0d2", "#0e211c"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 15th step of each channel: 5832 colours, black, white and the pure ones among them.
    fn many() -> impl Iterator<Item = Colour> {
        let steps = || (0..=255).step_by(15);
        steps().flat_map(move |red| {
            steps().flat_map(move |green| {
                steps().map(move |blue| Colour::new(red << 16 | green << 8 | blue))
            })
        })
    }

    fn read(shade: &str) -> Colour {
        assert!(shade.starts_with('#') && shade == shade.to_lowercase(), "{shade}");
        Colour::parse(shade).unwrap()
    }

    fn obeys_the_rules(accent: &Accent) {
        for (shades, pages) in [(&accent.light, LIGHT), (&accent.dark, DARK)] {
            let [colour, hover, on] =
                [&shades.accent, &shades.hover, &shades.on].map(|it| read(it));
            for words in [colour, hover] {
                assert!(pages.is_readable(words, READABLE), "{words} on the pages: {accent:?}");
                assert!(on.contrast(words) >= READABLE, "{on} on {words}: {accent:?}");
            }
            assert!(hover.contrast(colour) > 1.15, "{hover} looks like {colour}: {accent:?}");
        }
        assert!(DARK.is_readable(read(&accent.dark.accent), CONTRAST_ON_DARK), "{accent:?}");
        assert!(read(&accent.dark.accent).oklch()[1] < MOST_CHROMA_ON_DARK + 0.01, "{accent:?}");
    }

    /// Degrees between two hues.
    fn apart(one: Colour, two: Colour) -> f32 {
        let turn = (one.oklch()[2] - two.oklch()[2]).rem_euclid(360.0);
        turn.min(360.0 - turn)
    }

    #[test]
    fn the_default_obeys_the_rules_of_every_other() {
        obeys_the_rules(&Accent::default());
        assert_eq!(Accent::parse("#1D5B50"), Ok(Accent::default()));
    }

    #[test]
    fn what_is_accepted_can_be_read_everywhere_and_stays_as_it_is_on_light_pages() {
        let mut accepted = 0;
        for colour in many() {
            if let Ok(accent) = Accent::parse(&colour.to_string()) {
                assert_eq!(accent.light.accent, colour.to_string());
                obeys_the_rules(&accent);
                let dark = read(&accent.dark.accent);
                let hue_shows = colour.oklch()[1] > 0.04;
                assert!(!hue_shows || apart(dark, colour) < 4.0, "{colour} becomes {dark}");
                accepted += 1;
            }
        }
        assert!((1000..4000).contains(&accepted), "{accepted}");
    }

    #[test]
    fn what_is_refused_comes_with_a_colour_that_is_accepted_and_only_just() {
        let mut refused = 0;
        for colour in many() {
            let Err(words) = Accent::parse(&colour.to_string()) else { continue };
            let suggested = words.rsplit(' ').next().unwrap();
            assert_eq!(Accent::parse(suggested).unwrap().light.accent, suggested);
            let suggested = read(suggested);
            let contrast = LIGHT.worse(suggested).1;
            assert!(contrast < 4.6, "{colour}: {suggested} is darker than it must be");
            let hue_shows = suggested.oklch()[1] > 0.04;
            assert!(!hue_shows || apart(suggested, colour) < 4.0, "{colour}: {suggested}");
            refused += 1;
        }
        assert!(refused > 1000, "{refused}");
    }

    #[test]
    fn a_refusal_names_the_contrast_what_is_needed_and_the_nearest_colour() {
        for (text, told) in [
            ("#ffffff", ["1.00:1 against the page's #fffefb", "#6e6e6e"]),
            ("#ff0", ["1.05:1 against the page's #f4f1ea", "#727200"]),
            ("0FF", ["1.11:1 against the page's #f4f1ea", "#007b7b"]),
            ("#808080", ["3.50:1 against the page's #f4f1ea", "#6e6e6e"]),
        ] {
            let [contrast, nearest] = told;
            let words = format!(
                "has a contrast of {contrast}, and words need 4.5:1 (WCAG 2.2, 1.4.3): the nearest that has it is {nearest}"
            );
            assert_eq!(Accent::parse(text), Err(words));
        }
    }

    #[test]
    fn what_is_no_colour_is_refused() {
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
        assert_eq!(in_tailwind("paper"), [LIGHT.paper, DARK.paper].map(|it| it.to_string()));
        assert_eq!(in_tailwind("sheet"), [LIGHT.sheet, DARK.sheet].map(|it| it.to_string()));
        let Accent { light, dark } = Accent::default();
        assert_eq!(in_tailwind("accent"), [light.accent, dark.accent]);
        assert_eq!(in_tailwind("accent-hover"), [light.hover, dark.hover]);
        assert_eq!(in_tailwind("on-accent"), [light.on, dark.on]);
    }
}
