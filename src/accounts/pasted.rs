//! Text that was copied out of a mail, without what mail programs and keyboards add to it.

/// `text` as it was meant: without space around it, without invisible characters, and in ASCII where
/// it has the full-width forms of ASCII and the full stops that East Asian keyboards give.
///
/// No other compatibility character is mapped: the Kelvin sign would turn `mi\u{212a}e@` into the
/// address of another person (CVE-2019-19844).
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in trimmed(text).chars() {
        if !is_invisible(c) || (is_joiner(c) && plain.ends_with(|before: char| !before.is_ascii()))
        {
            plain.push(narrow(c));
        }
    }
    plain
}

/// `text` without space and invisible characters around it.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// The joiners stay between letters that are not ASCII: in some scripts the names of hosts need them.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3002}' | '\u{ff61}' => '.',
        c => c,
    }
}

/// Whether `c` is shown as nothing: Unicode's `Default_Ignorable_Code_Point` (soft hyphen, zero
/// width, marks of direction, fillers, variation selectors, tags) and the few formats beside it, such as the place of an image (U+FFFC).
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffc}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Unicode's `Dash` outside of ancient scripts, and characters that look like a dash or are typed for
/// one: box drawing, the long-vowel mark of Japanese keyboards.
const DASHES: &[char] = &[
    '-', '\u{58a}', '\u{5be}', '\u{2d7}', '\u{1400}', '\u{1806}', '\u{2010}', '\u{2011}',
    '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2043}', '\u{2053}', '\u{207b}', '\u{208b}',
    '\u{2212}', '\u{2500}', '\u{2501}', '\u{2796}', '\u{2e17}', '\u{2e1a}', '\u{2e3a}', '\u{2e3b}',
    '\u{2e40}', '\u{2e5d}', '\u{301c}', '\u{3030}', '\u{30a0}', '\u{30fc}', '\u{fe31}', '\u{fe32}',
    '\u{fe58}', '\u{fe63}', '\u{ff0d}', '\u{ff70}',
];

/// Whether `c` is a dash of any kind.
pub fn is_dash(c: char) -> bool {
    DASHES.contains(&c)
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
