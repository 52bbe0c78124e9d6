//! Normalises pasted text: removes what mail programs and keyboards add to it.

use icu_properties::CodePointSetData;
use icu_properties::props::{Dash, DefaultIgnorableCodePoint};

/// `text` as it was meant: without space around it, without invisible characters, and in ASCII where
/// it has the full-width forms of ASCII and the full stops that East Asian keyboards give.
///
/// No other compatibility character is mapped: the Kelvin sign would turn `mi\u{212a}e@` into the
/// address of another person (CVE-2019-19844).
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c)).chars() {
        // Joiners stay between letters that are not ASCII: in some scripts the names of hosts need them.
        let is_joiner = matches!(c, '\u{200c}' | '\u{200d}');
        let is_kept = is_joiner && plain.ends_with(|before: char| !before.is_ascii());
        if is_kept || !is_invisible(c) {
            plain.push(to_ascii_width(c));
        }
    }
    plain
}

fn to_ascii_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3002}' | '\u{ff61}' => '.',
        c => c,
    }
}

/// Whether `c` is shown as nothing: soft hyphen, zero width, marks of direction, fillers, variation
/// selectors, tags, the empty Braille pattern, and marks of annotations and of images.
pub fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || matches!(c, '\u{2800}' | '\u{fff9}'..='\u{fffc}')
}

/// Whether `c` is a dash, or is taken for one: a modifier letter, the hyphen bullet, box drawing, the
/// minus sign of emoji, the long-vowel mark of Japanese keyboards.
pub fn is_dash(c: char) -> bool {
    CodePointSetData::new::<Dash>().contains(c)
        || "\u{2d7}\u{2043}\u{2500}\u{2501}\u{2796}\u{30fc}\u{ff70}".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_as_nothing_goes_and_what_is_seen_stays() {
        for invisible in
            ["\u{ad}", "\u{200b}", "\u{feff}", "\u{2066}", "\u{202e}", "\u{e0020}", "\u{fffc}"]
        {
            assert_eq!(plain(&format!(" {invisible}a{invisible}b{invisible}\u{3000}")), "ab");
        }
        assert_eq!(plain("\u{200c}نام\u{200c}ها\u{200d}"), "نام\u{200c}ها");
        assert_eq!(plain("a\u{200d}n\u{200c}n"), "ann");
        for seen in ['a', 'ü', '-', '.', '\0', '\u{301}', '例'] {
            assert!(!is_invisible(seen), "{seen:?}");
        }
    }

    #[test]
    fn full_width_forms_become_ascii_and_no_other_letter_does() {
        assert_eq!(plain("ａｎｎ＠Ｘ。ｅｘａｍｐｌｅ｡"), "ann@X.example.");
        for other in ["mi\u{212a}e", "ſam", "ﬁn", "ⓐnn", "𝐚nn", "aⁿn", "¼", "mıke"] {
            assert_eq!(plain(other), other);
        }
    }
}
