//! What every letter keeps to, whatever its words.

use super::*;

const AT: i64 = 1_795_371_600;

fn about() -> About<'static> {
    About {
        site: "Käse & <Brot>",
        origin: "https://accounts.example.com",
        username: "ann",
        to: "ann@example.com",
        at: AT,
        from: "192.0.2.7, Firefox on Linux".to_owned(),
    }
}

fn all() -> Vec<Letter> {
    let about = about();
    [
        registered(&about),
        login(&about),
        new_device(&about),
        reset_code(&about, "CDFGHJKL", 600),
        password_changed(&about),
        test(&about),
    ]
    .map(Result::unwrap)
    .into()
}

/// What a reader without CSS sees of the letter, in one line, without the preheader.
fn words_of(html: &str) -> String {
    let body = html.split("</div>").nth(1).unwrap();
    let mut words = String::new();
    for piece in body.split('<') {
        words.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    let words = words.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn text_and_html_say_the_same() {
    for letter in all() {
        let text = letter.text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words_of(&letter.html), text, "{}", letter.kind);
    }
}

#[test]
fn each_letter_has_its_own_subject_with_the_sites_name() {
    let mut subjects: Vec<_> = all().into_iter().map(|letter| letter.subject).collect();
    assert!(subjects.iter().all(|subject| subject.contains("Käse & <Brot>")));
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 6);
}

#[test]
fn news_says_who_when_where_and_what_to_do() {
    for letter in all().into_iter().filter(|letter| letter.kind != "test") {
        let text = letter.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "Hello ann,",
            "on 22 November 2026, 18:20 UTC, from 192.0.2.7, Firefox on Linux",
            "If this was not you, ",
            "https://accounts.example.com/forgot",
        ] {
            assert!(text.contains(words), "{}: {words} in {text}", letter.kind);
        }
        assert_eq!(letter.to, "ann@example.com");
    }
}

#[test]
fn the_code_stands_alone_on_its_line_and_in_no_subject_or_preview() {
    let letter = reset_code(&about(), "CDFGHJKL", 600).unwrap();
    assert!(letter.text.lines().any(|line| line == "CDFG-HJKL"), "{}", letter.text);
    assert!(letter.text.contains("works for 10 minutes"));
    assert!(letter.text.contains("in the browser where you asked for it"));
    assert!(!letter.subject.contains("CDFG"));
    assert!(!letter.html.split("</div>").next().unwrap().contains("CDFG"));
    assert_eq!(letter.expires_at, AT + 600);
    assert_eq!(login(&about()).unwrap().expires_at, AT + 86_400);
}

#[test]
fn lines_are_short() {
    let site = "a site with a rather long name that goes on for a while, as some do";
    let long = About { site, username: "a-username-of-thirty-character", ..about() };
    for letter in [registered(&long), reset_code(&long, "CDFGHJKL", 5400), new_device(&long)] {
        let letter = letter.unwrap();
        for line in letter.text.lines() {
            assert!(line.chars().count() <= 78, "{line}");
        }
    }
}

#[test]
fn html_loads_nothing_runs_nothing_and_links_to_this_site_only() {
    for letter in all() {
        let html = &letter.html;
        for needed in [
            "<html lang=\"en\">",
            "<title>",
            "<meta name=\"color-scheme\" content=\"light dark\">",
            "display: none",
        ] {
            assert!(html.contains(needed), "{}: {needed}", letter.kind);
        }
        for refused in ["<img", "<script", "<link", "url(", "src=", "<Brot>"] {
            assert!(!html.contains(refused), "{}: {refused}", letter.kind);
        }
        for link in html.split("href=\"").skip(1) {
            assert!(link.starts_with("https://accounts.example.com/"), "{link}");
        }
    }
}

#[test]
fn the_words_are_plain() {
    for letter in all() {
        let text = letter.text.to_lowercase();
        for word in ["please", "oops", "invalid", "sorry", "click here"] {
            assert!(!text.contains(word), "{}: {word}", letter.kind);
        }
    }
}

#[test]
fn a_visitor_cannot_write_a_paragraph_of_our_letter() {
    let from = "192.0.2.7\r\n\r\nYour account is blocked. Pay at https://evil.example\u{2028}now";
    let letter = login(&About { from: from.to_owned(), ..about() }).unwrap();
    let kept = login(&about()).unwrap();
    let paragraphs = |text: &str| text.split("\n\n").count();
    assert_eq!(paragraphs(&letter.text), paragraphs(&kept.text));
    assert!(!letter.text.contains("\u{2028}"));
}
