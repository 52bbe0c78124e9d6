//! Rules that every email follows.

use std::sync::LazyLock;

use super::*;
use crate::config::Colour;

const AT: i64 = 1_795_371_600;

static BASE_URL: LazyLock<BaseUrl> =
    LazyLock::new(|| BaseUrl::parse("https://example.com/accounts").unwrap());

/// Colours that are nowhere in the templates.
static ACCENT: LazyLock<Accent> = LazyLock::new(|| {
    let mut accent = Accent::default();
    accent.light.accent = Colour([1, 2, 3]);
    accent.light.on = Colour([0xfa, 0xfb, 0xfc]);
    accent.dark.accent = Colour([0xc1, 0xc2, 0xc3]);
    accent.dark.on = Colour([0x0a, 0x0b, 0x0c]);
    accent
});

fn context() -> EmailContext<'static> {
    EmailContext {
        site: "Käse & <Brot>",
        base_url: &BASE_URL,
        username: "ann",
        asks_username: true,
        to: "ann@example.com",
        at: AT,
        device: Some("Firefox on Linux".to_owned()),
        address: "192.0.2.7".parse().ok(),
        by_operator: false,
        accent: &ACCENT,
        link: "/a-page/AAAAAAAAAAAAAAAAAAAAAA",
        detail: "b…@example.com",
    }
}

fn code(ttl: i64) -> Code<'static> {
    Code { purpose: Purpose::PasswordReset, shown: "CDFG-HJKL", ttl, in_subject: false }
}

fn all() -> Vec<Email> {
    let context = context();
    let reports = EVENT_EMAILS.iter().map(|render| render(&context));
    let verify = Code { purpose: Purpose::VerifyEmail, ..code(600) };
    let register = Code { purpose: Purpose::Register, ..code(600) };
    let more = [
        super::code(&context, code(600)),
        super::code(&context, verify),
        super::code(&context, register),
        already_registered(&context, 600),
        registered(&context, None),
    ];
    reports.chain(more).map(Result::unwrap).collect()
}

/// All of the kind of a code but one.
fn has_code(email: &Email) -> bool {
    email.is_code() && !email.subject.starts_with("You already")
}

/// The preview that mail programs show after the subject, and the email itself.
fn preview_and_body(html: &str) -> (String, &str) {
    let body = html.split_once("<body").and_then(|(_, body)| body.split_once('>')).unwrap().1;
    let (preview, email) = body.split_once("</div>").unwrap();
    (words_of(preview.split("&#847;").next().unwrap()), email)
}

/// The text of a piece of HTML, in one line.
fn words_of(html: &str) -> String {
    let mut words = String::new();
    for piece in html.split('<') {
        words.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    let words = words
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#39;", "'")
        .replace("&#38;", "&");
    in_one_line(&words)
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every tag, from its `<` to before its `>`.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.match_indices('<').map(|(at, _)| html[at..].split('>').next().unwrap())
}

/// The values of all attributes `name`.
fn values<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let mark = format!("{name}=\"");
    html.match_indices(&mark)
        .map(|(at, _)| html[at + mark.len()..].split('"').next().unwrap())
        .collect()
}

#[test]
fn text_and_html_say_the_same() {
    let welcome = registered(&context(), Some(code(600))).unwrap();
    let by_operator = EmailContext { by_operator: true, ..context() };
    let changes = [password_changed, email_changed, username_changed];
    let changes = changes.map(|render| render(&by_operator).unwrap());
    let to_new_address = email_changed(&EmailContext { detail: "", ..context() }).unwrap();
    for email in all().into_iter().chain([welcome, to_new_address]).chain(changes) {
        let (_, shown) = preview_and_body(&email.html);
        assert_eq!(words_of(shown), in_one_line(&email.text), "{}", email.kind);
    }
}

#[test]
fn each_email_has_its_own_subject_with_the_sites_name() {
    let mut subjects: Vec<_> = all().into_iter().map(|email| email.subject).collect();
    assert!(subjects.iter().all(|subject| subject.contains("Käse & <Brot>")));
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), all().len());
}

#[test]
fn a_notice_says_who_when_where_and_what_to_do() {
    let reports_nothing = |email: &Email| {
        ["test", "invitation", "approval_asked", "approved"].contains(&&*email.kind)
    };
    for email in all().into_iter().filter(|email| !reports_nothing(email)) {
        for line in [
            "Hello ann,",
            "When:        22 November 2026, 18:20 UTC",
            "Device:      Firefox on Linux",
            "IP address:  192.0.2.7",
            "If this wasn't you",
            next_step(&email),
        ] {
            assert!(email.text.lines().any(|l| l == line), "{}: {line}", email.kind);
        }
        assert_eq!(email.to, "ann@example.com");
    }
}

/// A line with the page that the email asks its recipient to open, or with what there is to do elsewhere.
fn next_step(email: &Email) -> &'static str {
    match email.kind.as_str() {
        "reset_code" => "https://example.com/accounts/reset",
        "verify_code" => "https://example.com/accounts/verify",
        REGISTER_CODE if email.subject.starts_with("You already") => {
            "https://example.com/accounts/forgot"
        }
        REGISTER_CODE => "https://example.com/accounts/register/confirm",
        // Its recipient may be who took the account over.
        "username_reminder" | "email_restored" => "https://example.com/accounts/login",
        "account_deleted" => {
            "Someone knew your password. The account can't be brought back. Change the password wherever else you use it."
        }
        _ => "https://example.com/accounts/a-page/AAAAAAAAAAAAAAAAAAAAAA",
    }
}

#[test]
fn an_email_has_one_button_at_most() {
    for email in all() {
        let asks_for_nothing = has_code(&email)
            || ["approval_asked", "email_restored", "account_deleted", "test"]
                .contains(&&*email.kind);
        let buttons = email.html.matches("class=\"button\"").count();
        assert_eq!(buttons, usize::from(!asks_for_nothing), "{}", email.kind);
    }
    assert!(registered(&context(), None).unwrap().html.contains(">Log in</a></td>"));
}

#[test]
fn emails_say_what_happened_and_what_to_do_in_plain_sentences() {
    let sentences = [
        "Someone signed up with your email. Reset the password to take over the account.",
        "Someone logged in to your Käse & <Brot> account from a new device or browser.",
        "Someone is trying to log in to your Käse & <Brot> account.",
        "We've blocked password login where these attempts came from.",
        "Browsers you already use still work.",
        "Use this code to reset your Käse & <Brot> password: CDFG-HJKL",
        "Ignore this email and nothing changes. Never share this code.",
    ];
    let texts: Vec<_> = all().iter().map(|email| in_one_line(&email.text)).collect();
    for sentence in sentences {
        assert!(texts.iter().any(|text| text.contains(sentence)), "{sentence}");
    }
}

#[test]
fn an_unknown_device_or_address_is_called_unknown() {
    let email = login(&EmailContext { device: None, address: None, ..context() }).unwrap();
    assert!(email.text.contains("Device:      unknown\nIP address:  unknown\n"));
}

#[test]
fn the_code_is_alone_on_its_line_and_in_no_other_email() {
    let email = super::code(&context(), code(600)).unwrap();
    assert!(email.text.lines().any(|line| line == "CDFG-HJKL"), "{}", email.text);
    assert_eq!(email.html.matches("CDFG").count(), 1);
    assert!(email.html.contains(">CDFG-HJKL</p>"), "{}", email.html);
    let words = in_one_line(&email.text);
    assert!(
        words
            .contains("expires in 10 minutes and works only in the browser where you requested it")
    );
    for other in all().into_iter().filter(|other| !other.is_code()) {
        assert!(!format!("{}{}", other.text, other.html).contains("CDFG"), "{}", other.kind);
    }
}

#[test]
fn an_email_expires_with_its_code_or_after_a_day() {
    assert_eq!(super::code(&context(), code(600)).unwrap().expires_at, AT + 600);
    assert_eq!(login(&context()).unwrap().expires_at, AT + 86_400);
}

#[test]
fn subject_and_preview_summarize_the_email_without_the_code() {
    for email in all() {
        let (preview, _) = preview_and_body(&email.html);
        assert!(preview.len() > 30 && preview.ends_with('.'), "{}: {preview}", email.kind);
        assert!(!format!("{}{preview}", email.subject).contains("CDFG"), "{}", email.kind);
    }
}

#[test]
fn html_loads_nothing_runs_nothing_and_links_to_this_site_only() {
    for email in all() {
        let html = &email.html;
        for refused in ["<img", "<script", "<link", "<Brot>", "@import", "url(", "src="] {
            assert!(!html.contains(refused), "{}: {refused}", email.kind);
        }
        let is_handler = |word: &str| word.starts_with("on") && word.contains('=');
        assert!(!html.split_whitespace().any(is_handler), "{}", email.kind);
        let links = values(html, "href");
        let base = format!("{}/", *BASE_URL);
        assert!(links.iter().all(|link| link.starts_with(&base)));
        assert_eq!(html.matches("http").count(), html.matches(&base).count(), "{}", email.kind);
    }
}

#[test]
fn html_is_small_and_has_what_mail_programs_look_for() {
    for email in all() {
        let html = &email.html;
        for needed in [
            "<html lang=\"en\">",
            "<title>",
            "<meta name=\"color-scheme\" content=\"light dark\">",
            "<meta name=\"supported-color-schemes\" content=\"light dark\">",
            "<style>",
            "@media (prefers-color-scheme: dark)",
            "<h1 ",
        ] {
            assert_eq!(html.matches(needed).count(), 1, "{}: {needed}", email.kind);
        }
        assert!(html.len() < 10_000, "{}: {}", email.kind, html.len());
    }
}

#[test]
fn what_is_seen_is_styled_in_place() {
    for email in all() {
        let (_, shown) = preview_and_body(&email.html);
        let pieces = shown.split("<!--").map(|piece| piece.rsplit("-->").next().unwrap());
        let shown = pieces.collect::<String>();
        for name in ["table", "h1", "h2", "p", "a", "th"] {
            let start = format!("<{name}");
            let tags: Vec<_> = tags(&shown).filter(|tag| tag.starts_with(&start)).collect();
            assert_eq!(shown.matches(&format!("</{name}>")).count(), tags.len(), "{name}");
            assert!(tags.iter().all(|tag| tag.contains("style=")), "{}: {name}", email.kind);
        }
    }
}

#[test]
fn colours_are_those_of_the_pages_and_of_the_settings() {
    let tokens = include_str!("../../../tailwind.config.js");
    let Accent { light, dark } = *ACCENT;
    let accents = [light.accent, light.on, dark.accent, dark.on].map(|accent| accent.to_string());
    let [light_accent, light_on, dark_accent, dark_on] = &accents;
    for email in all() {
        let html = email.html.replace("&#", "");
        for (at, _) in html.match_indices('#') {
            let colour = &html[at..at + 7];
            let is_accent = accents.iter().any(|accent| *accent == colour);
            assert!(is_accent || tokens.contains(colour), "{}: {colour}", email.kind);
        }
        let (head, body) = html.split_once("</head>").unwrap();
        assert!(head.contains(dark_accent) && head.contains(dark_on), "{}", email.kind);
        assert!(body.contains(light_accent), "{}", email.kind);
        assert_eq!(body.contains(light_on), body.contains("class=\"button\""));
    }
}

#[test]
fn every_light_colour_has_a_class_that_makes_it_dark() {
    let classes = [
        ("#f4f1ea", "paper"),
        ("#fffefb", "sheet"),
        ("#23201b", "ink"),
        ("#5d564c", "quiet"),
        ("#e2dccf", "rule"),
    ];
    for email in all() {
        for (colour, class) in classes {
            for under in ["\n", "\n[data-ogsc] "] {
                let rule = format!("{under}.{class} {{");
                assert!(email.html.contains(&rule), "{rule}");
            }
            let coloured: Vec<_> = tags(&email.html).filter(|tag| tag.contains(colour)).collect();
            assert!(!coloured.is_empty(), "{}: {colour}", email.kind);
            for tag in coloured {
                let classes = values(tag, "class").concat();
                assert!(classes.split(' ').any(|name| name == class), "{}: {tag}", email.kind);
            }
        }
    }
}

#[test]
fn the_words_are_plain() {
    for email in all() {
        let text = email.text.to_lowercase();
        for word in ["please", "oops", "invalid", "sorry", "click here", "e-mail", "was not"] {
            assert!(!text.contains(word), "{}: {word}", email.kind);
        }
    }
}

#[test]
fn only_an_email_with_a_code_has_one() {
    for email in all() {
        let code = has_code(&email).then_some("CDFG-HJKL");
        assert_eq!(code_in(&email.kind, &email.text), code);
    }
    let welcome = registered(&context(), Some(code(600))).unwrap();
    assert_eq!(code_in(&welcome.kind, &welcome.text), Some("CDFG-HJKL"));
    assert_eq!(code_in("password_changed", "CDFG-HJKL"), None);
    for text in ["CDFGHJKL", "cdfg-hjkl", "CDFG-HJKL or", "AAAA-AAAA", "CDFG-HJK", ""] {
        assert_eq!(code_in("reset_code", text), None, "{text}");
    }
}

#[test]
fn the_subject_shows_the_code_if_the_settings_say_so() {
    let shown = super::code(&context(), Code { in_subject: true, ..code(600) }).unwrap();
    assert_eq!(shown.subject, "CDFG-HJKL is your password reset code for Käse & <Brot>");
    let hidden = super::code(&context(), code(600)).unwrap();
    assert_eq!(hidden.subject, "Your password reset code for Käse & <Brot>");
    assert_eq!(shown.text, hidden.text);
}

/// Nobody is greeted without a name, and nobody is asked for what the page does not ask for.
#[test]
fn emails_to_an_account_without_a_username_name_none() {
    for username in ["", "ann"] {
        let context = || EmailContext { username, asks_username: false, ..context() };
        let reports = EVENT_EMAILS.iter().map(|render| render(&context()));
        let registered = registered(&context(), Some(code(600)));
        for email in reports.chain([registered]).map(Result::unwrap) {
            assert!(!email.text.contains("need your username"), "{}", email.kind);
            assert!(!email.text.contains("Hello ,"), "{}", email.kind);
            let is_about_names = ["username_changed", "username_reminder"].contains(&&*email.kind);
            let names_it =
                email.text.contains("your username") || email.html.contains("your username");
            assert!(is_about_names || !username.is_empty() || !names_it, "{}", email.kind);
        }
    }
}
