//! What is pasted from a mail is taken, whatever mail programs have put into it.

use crate::support::{OTHER_PASSWORD, PASSWORD, Site, email_of};

fn full_width(code: &str) -> String {
    code.chars()
        .map(|c| match c {
            '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
            _ => c,
        })
        .collect()
}

fn between(code: &str, what: &str) -> String {
    code.chars().fold(what.to_owned(), |text, c| text + &String::from(c) + what)
}

#[tokio::test]
async fn pasted_codes_are_accepted() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let pasted: [fn(&str) -> String; 9] = [
        |code| between(code, "\u{ad}"),
        |code| between(code, "\u{200b}"),
        |code| format!("\u{2068}{code}\u{2069}"),
        |code| format!("\u{202a}\u{feff}{code}\u{202c}\u{200e}"),
        full_width,
        |code| full_width(&code.to_lowercase()).replace('\u{ff0d}', "\u{30fc}"),
        |code| between(code, "\u{3000}"),
        |code| code.replace('-', "\u{2043}"),
        |code| code.replace('-', "\u{2e3a}\u{fe0f}\u{2060}"),
    ];
    for (at, paste) in pasted.into_iter().enumerate() {
        site.wait(86_400);
        let (mut ann, code) = site.with_code("ann").await;
        ann.reset(&paste(&code), &format!("{OTHER_PASSWORD} {at}")).await;
        assert_eq!(ann.path(), "/login", "{:?}: {}", paste(&code), ann.text());
    }
}

#[tokio::test]
async fn invisible_characters_around_a_name_or_an_address_are_dropped() {
    let site = Site::on_sqlite().await;
    let mut ann = site.browser();
    ann.register(
        "\u{200b}Ann\u{feff} ",
        "\u{2068}ann@mea\u{ad}dow.example\u{2069}\u{a0}",
        PASSWORD,
    )
    .await;
    assert_eq!(ann.path(), "/account", "{}", ann.text());
    assert!(ann.text().contains("ann@meadow.example"));
    assert_eq!(site.mails_to("ann").await, ["registered"]);
    for login in [
        "\u{feff}ann",
        "ann\u{200e}\u{200b}",
        "\u{200b} ann@meadow.example\u{2060}",
        "ann@mea\u{ad}dow.example",
        "an\u{200b}n",
        "an\u{ad}n",
        "a\u{2060}nn",
        "a\u{200d}nn",
        "ａｎｎ",
        "ann＠meadow.example",
        "ａｎｎ@meadow.example",
        "<ann@meadow.example>",
        "mailto:ann@meadow.example",
        "<mailto:Ann@meadow。example>",
    ] {
        let mut browser = site.browser();
        assert_eq!(browser.log_in(login, PASSWORD).await.path(), "/account", "{login:?}");
    }
    for (name, email) in [
        ("\u{2066}ann\u{2069}", "ann@meadow.example\u{200b}"),
        ("a\u{ad}nn", "<ann@meadow.example>"),
        ("ａｎｎ", "MAILTO:ａｎｎ＠meadow.example"),
    ] {
        site.wait(86_400);
        let before = site.mails().await.len();
        site.browser().ask_for_code(name, email).await;
        let mails = site.mails().await;
        assert_eq!((mails.len(), mails[0].kind.as_str()), (before + 1, "reset_code"), "{name:?}");
    }
}

#[tokio::test]
async fn a_name_in_other_scripts_is_refused_and_a_password_is_not_changed() {
    let site = Site::on_sqlite().await;
    for name in ["аnn", "änn", "mi\u{212a}e", "\u{17f}am"] {
        let mut browser = site.browser();
        browser.register(name, &email_of("ann"), PASSWORD).await;
        assert_eq!((browser.path(), browser.problems().len()), ("/register", 1), "{name:?}");
    }
    for email in ["mi\u{212a}e@meadow.example", "mıke@meadow.example"] {
        let mut browser = site.browser();
        browser.register("mike", email, PASSWORD).await;
        assert_eq!((browser.path(), browser.problems().len()), ("/register", 1), "{email:?}");
    }
    let with_mark = format!("{PASSWORD}\u{200b}");
    site.browser().register("ann", &email_of("ann"), &with_mark).await;
    assert_eq!(site.browser().log_in("ann", PASSWORD).await.path(), "/login");
    assert_eq!(site.browser().log_in("ann", &with_mark).await.path(), "/account");
}

#[tokio::test]
async fn an_invisible_character_in_the_username_does_not_hide_it_from_the_password_check() {
    let site = Site::on_sqlite().await;
    let mut browser = site.browser();
    browser.register("\u{200b}wilhelmina1874", &email_of("x"), "wilhelmina1874").await;
    assert_eq!((browser.path(), browser.problems().len()), ("/register", 1), "{}", browser.text());
}
