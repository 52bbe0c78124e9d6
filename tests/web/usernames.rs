//! Usernames: sites without them, names of any script, names that look alike or are addresses, and a
//! forgotten one.

use axum::http::StatusCode;
use vestibule::Config;
use vestibule::config::{Rate, UsernameMode, UsernameRule};

use crate::support::work::work_of;
use crate::support::{Browser, PASSWORD, Site, body_of, email_of};

const TAKEN: &str =
    "That username or email is already registered. Log in, reset your password, or choose another.";

/// A change of the settings.
type Change = fn(&mut Config);

fn without_usernames(config: &mut Config) {
    config.usernames.mode = UsernameMode::None;
    config.usernames.asked_when_forgotten = false;
}

fn by_email(config: &mut Config) {
    config.usernames.asked_when_forgotten = false;
}

fn optional(config: &mut Config) {
    config.usernames.mode = UsernameMode::Optional;
    config.usernames.rule = UsernameRule::Unicode;
}

fn unicode(config: &mut Config) {
    config.usernames.rule = UsernameRule::Unicode;
}

async fn register(browser: &mut Browser, username: Option<&str>, email: &str) {
    let mut fields = vec![("email", email), ("password", PASSWORD), ("password_confirm", PASSWORD)];
    fields.extend(username.map(|username| ("username", username)));
    browser.open("/register").await;
    let answer = browser.post("/register", &fields).await;
    browser.keep(&answer);
    browser.status = answer.status();
    let place = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
    browser.html = body_of(answer).await;
    if let Some(place) = place {
        browser.open(&place).await;
    }
}

/// Changes the address of the user who is logged in in `browser`.
async fn change_email(site: &Site, browser: &mut Browser, email: &str) {
    site.wait(601);
    let fields = [("email", email), ("current_password", PASSWORD)];
    browser.post("/account/email", &fields).await;
    let mail = site.mails().await.into_iter().find(|mail| mail.to == email).unwrap();
    let mut lines = mail.text.lines();
    let code = lines.find(|line| line.len() == 9 && line.as_bytes()[4] == b'-').unwrap().to_owned();
    browser.open("/account/email/confirm").await.fill("Code", &code);
    browser.press("Change email").await;
}

async fn logs_in(mut browser: Browser, login: &str) -> bool {
    let answer = browser.post("/login", &[("username", login), ("password", PASSWORD)]).await;
    browser.keep(&answer);
    browser.is_logged_in().await
}

on_both_databases! {
    async fn a_site_without_usernames_asks_for_the_email_alone(site: Site) {
        let mut ann = site.changed(without_usernames).await;
        ann.open("/register").await;
        assert!(!ann.html.contains("name=\"username\""));
        register(&mut ann, Some("ignored"), "Ann@meadow.example").await;
        assert_eq!(ann.path(), "/account");
        assert!(!ann.html.contains("<dt>Username</dt>"));
        let session = ann.open("/session").await.html.clone();
        assert!(session.contains(r#""username":"Ann@meadow.example""#), "{session}");
        for path in ["/account/username", "/forgot/username"] {
            assert_eq!(ann.open(path).await.status, StatusCode::NOT_FOUND);
        }
        let mails = site.mails().await;
        assert!(mails[0].text.contains("Hello,\n") && mails[0].text.contains("Log in with this email."));
        assert!(!mails[0].text.contains("username"), "{}", mails[0].text);
        let mut other = site.changed(without_usernames).await;
        other.open("/login").await;
        other.fill("Email", "ann@MEADOW.example").fill("Password", PASSWORD);
        other.press("Log in").await;
        assert_eq!(other.path(), "/account");
        register(&mut site.changed(without_usernames).await, None, "bob@meadow.example").await;
        assert_eq!(site.count("select count(*) from vestibule_users where username = ''").await, 2);
        // Later it is no repeat of the same form.
        site.wait(61);
        let mut again = site.changed(without_usernames).await;
        register(&mut again, None, "bob@meadow.example").await;
        assert_eq!(again.path(), "/login");
        assert_eq!(again.flashes(), ["That email is already registered. Log in, reset your password, or use another."]);
    }

    async fn a_code_is_mailed_to_an_address_alone_where_the_site_says_so(site: Site) {
        site.registered("ann").await;
        for change in [without_usernames as Change, by_email] {
            site.wait(60);
            let mut browser = site.changed(change).await;
            browser.open("/forgot").await;
            browser.fill("Email", "ann@meadow.example");
            browser.press("Email me a code").await;
            assert_eq!(browser.path(), "/reset");
            assert!(browser.text().contains("If ann@meadow.example matches an account"), "{}", browser.text());
            let code = site.newest_code().await;
            let password = format!("moss lantern quartz {}", site.mails().await.len());
            browser.reset(&code, &password).await;
            assert_eq!(browser.path(), "/login", "{}", browser.text());
        }
    }

    async fn a_limit_is_told_at_a_field_that_the_page_has(site: Site) {
        let ann = site.changed(|config| {
            without_usernames(config);
            let once = Some(Rate { count: 1, period: 60 });
            (config.limits.register_ip, config.limits.forgot_ip) = (once, once);
        });
        let mut ann = ann.await;
        for (path, button) in [("/register", "Create account"), ("/forgot", "Email me a code")] {
            ann.tab().post(path, &[("email", "bob@meadow.example"), ("password", PASSWORD), ("password_confirm", PASSWORD)]).await;
            ann.open(path).await.fill("Email", "ann@meadow.example");
            if path == "/register" {
                ann.fill("Password", PASSWORD).fill("Confirm password", PASSWORD);
            }
            ann.press(button).await;
            assert_eq!(ann.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
            for link in ann.all_attributes("main a[href^='#']", "href") {
                assert!(ann.html.contains(&format!("id=\"{}\"", &link[1..])), "{path} {link}");
            }
            assert_eq!(ann.problems().len(), 1, "{path}");
        }
    }

    async fn every_name_that_exists_logs_in_whatever_the_settings(site: Site) {
        site.registered("ann").await;
        register(&mut site.changed(unicode).await, Some("мария"), "maria@meadow.example").await;
        register(&mut site.changed(optional).await, None, "bob@meadow.example").await;
        for change in [without_usernames as Change, optional, unicode, |_: &mut Config| ()] {
            for login in ["ann", "ANN@meadow.example", "Мария", "maria@meadow.example", "bob@meadow.example"] {
                assert!(logs_in(site.changed(change).await, login).await, "{login}");
            }
        }
    }

    async fn accounts_without_a_username_reset_their_passwords_in_every_mode(site: Site) {
        register(&mut site.changed(without_usernames).await, None, "bob@meadow.example").await;
        register(&mut site.browser(), Some("ann"), "ann@meadow.example").await;
        for (change, username) in [(optional as Change, ""), (|_: &mut Config| (), "bob@meadow.example")] {
            site.wait(1);
            site.changed(change).await.ask_for_code_as(username, "bob@meadow.example").await;
        }
        site.changed(optional).await.ask_for_code_as("", "ann@meadow.example").await;
        assert_eq!(site.mails_to("bob").await, ["registered", "reset_code", "reset_code"]);
        assert_eq!(site.mails_to("ann").await, ["registered"]);
    }

    async fn both_ways_to_name_an_account_without_a_username_have_one_limit(site: Site) {
        register(&mut site.changed(without_usernames).await, None, "bob@meadow.example").await;
        let app = site.changed(optional).await;
        let mut statuses = Vec::new();
        for at in 0..12 {
            let username = if at % 2 == 0 { "" } else { "Bob@meadow.example" };
            let fields = [("username", username), ("email", "bob@meadow.example")];
            statuses.push(app.tab().post("/forgot", &fields).await.status());
        }
        assert_eq!(statuses[9..], [StatusCode::SEE_OTHER, StatusCode::TOO_MANY_REQUESTS, StatusCode::TOO_MANY_REQUESTS]);
    }

    async fn an_address_that_is_no_username_names_an_account_without_one(site: Site) {
        let email = "o'neill@b\u{fc}cher.example";
        register(&mut site.changed(without_usernames).await, None, email).await;
        site.browser().ask_for_code_as(&email.to_uppercase(), email).await;
        assert!(site.mails().await.iter().any(|mail| mail.kind == "reset_code"));
    }

    async fn a_password_made_of_the_username_is_refused_where_the_code_was_asked_for_by_email(site: Site) {
        register(&mut site.browser(), Some("harbourkettleribbon"), "ann@meadow.example").await;
        site.wait(1);
        let mut ann = site.changed(by_email).await;
        ann.open("/forgot").await.fill("Email", "ann@meadow.example");
        ann.press("Email me a code").await;
        let code = site.newest_code().await;
        ann.reset(&code, "harbourkettleribbon").await;
        assert_eq!(ann.path(), "/reset");
        assert_eq!(ann.problems().len(), 1, "{:?}", ann.problems());
        // It cost no attempt, and the code is not used up.
        ann.reset(&code, "harbour moss lantern").await;
        assert_eq!(ann.path(), "/login", "{}", ann.text());
    }

    async fn names_that_look_alike_are_taken(site: Site) {
        site.registered("paul").await;
        for username in ["раul", "pau1", "PAUL", "рауl"] {
            let mut browser = site.changed(unicode).await;
            register(&mut browser, Some(username), "other@meadow.example").await;
            assert!(!browser.is_logged_in().await, "{username}");
        }
        for (at, username) in ["ann@example.org", "josé", "_x_", "a", "ann+b", "山田太郎", &"é".repeat(150)].iter().enumerate() {
            let mut browser = site.changed(unicode).await;
            register(&mut browser, Some(username), &format!("n{at}@meadow.example")).await;
            assert!(browser.is_logged_in().await, "{username} {}", browser.text());
            assert!(logs_in(site.browser(), username).await, "{username}");
        }
    }

    async fn a_username_captures_no_login_of_the_address_that_it_is(site: Site) {
        site.registered("victim").await;
        let mut eve = site.changed(unicode).await;
        register(&mut eve, Some("victim@meadow.example"), "eve@meadow.example").await;
        assert_eq!(eve.flashes(), [TAKEN]);
        // Before the owner of the address comes.
        let mut eve = site.changed(unicode).await;
        register(&mut eve, Some("late@meadow.example"), "eve@meadow.example").await;
        assert!(eve.is_logged_in().await);
        register(&mut site.changed(unicode).await, Some("late"), "late@meadow.example").await;
        let mut late = site.browser();
        late.log_in("late@meadow.example", PASSWORD).await;
        assert!(late.text().contains("late@meadow.example") && !late.text().contains("eve@"));
        // Eve logs in with her own address.
        assert!(logs_in(site.browser(), "eve@meadow.example").await);
    }

    async fn no_username_is_the_address_that_an_account_without_one_is_known_by(site: Site) {
        register(&mut site.changed(optional).await, None, "victim@meadow.example").await;
        for change in [unicode as Change, optional] {
            let mut eve = site.changed(change).await;
            register(&mut eve, Some("Victim@meadow.example"), "eve@meadow.example").await;
            assert!(!eve.is_logged_in().await);
        }
        // Where people may have none, nobody takes the address of a person who comes later.
        let mut eve = site.changed(optional).await;
        register(&mut eve, Some("late@meadow.example"), "eve@meadow.example").await;
        assert!(eve.text().contains("Use your own email, or a username without @."), "{}", eve.text());
        register(&mut eve, Some("eve@meadow.example"), "eve@meadow.example").await;
        assert!(eve.is_logged_in().await);
        for (username, words) in [
            ("late@meadow.example", "Use your own email, or a username without @."),
            ("victim@meadow.example", "Use your own email, or a username without @."),
            ("eve.x", "eve.x"),
        ] {
            eve.open("/account/username").await;
            eve.fill("New username", username);
            eve.press("Change username").await;
            assert!(eve.text().contains(words), "{}", eve.text());
        }
    }

    async fn an_account_without_a_username_keeps_its_address_to_itself_when_it_changes(site: Site) {
        let mut ann = site.changed(optional).await;
        register(&mut ann, None, "ann@meadow.example").await;
        change_email(&site, &mut ann, "new@meadow.example").await;
        assert_eq!(site.count("select count(*) from vestibule_users where username_key = 'new@meadow.example'").await, 1);
        let mut eve = site.changed(unicode).await;
        register(&mut eve, Some("new@meadow.example"), "eve@meadow.example").await;
        assert!(!eve.is_logged_in().await);
        // A username can be chosen later, and its key is then of that.
        ann.open("/account/username").await.fill("New username", "ann");
        assert!(!ann.text().contains("90 days"));
        ann.press("Choose username").await;
        assert_eq!(site.count("select count(*) from vestibule_users where username_key = 'ann' and username = 'ann'").await, 1);
    }

    /// Applications would take one for the other.
    async fn an_account_without_a_username_does_not_move_to_the_username_of_another(site: Site) {
        let mut eve = site.changed(unicode).await;
        register(&mut eve, Some("late@meadow.example"), "eve@meadow.example").await;
        let mut ann = site.changed(optional).await;
        register(&mut ann, None, "ann@meadow.example").await;
        change_email(&site, &mut ann, "late@meadow.example").await;
        assert_eq!(ann.problems(), ["Another account uses this email. Log in to that one, or use a different email."]);
    }

    async fn a_username_that_is_the_own_address_does_not_outlive_it(site: Site) {
        let mut eve = site.changed(optional).await;
        register(&mut eve, Some("job@meadow.example"), "job@meadow.example").await;
        change_email(&site, &mut eve, "home@meadow.example").await;
        assert!(eve.open("/session").await.html.contains(r#""username":"home@meadow.example""#), "{}", eve.html);
        // The link of the notice can give the address back for three days.
        site.wait(3 * 24 * 60 * 60 + 1);
        let mut owner = site.changed(optional).await;
        register(&mut owner, None, "job@meadow.example").await;
        assert!(owner.is_logged_in().await, "{}", owner.text());
    }

    async fn an_address_that_a_link_can_give_back_is_nobodys_username(site: Site) {
        let mut ann = site.changed(optional).await;
        register(&mut ann, None, "ann@meadow.example").await;
        site.prove_addresses().await;
        change_email(&site, &mut ann, "thief@meadow.example").await;
        let mut thief = site.changed(unicode).await;
        register(&mut thief, Some("ann@meadow.example"), "second@meadow.example").await;
        assert!(!thief.is_logged_in().await);
        register(&mut thief, Some("thief"), "second@meadow.example").await;
        thief.open("/account/username").await.fill("New username", "ann@meadow.example");
        thief.press("Change username").await;
        assert!(thief.text().contains("That username is taken."), "{}", thief.text());
    }

    async fn a_forgotten_username_is_mailed_to_the_stored_address(site: Site) {
        site.registered("ann").await;
        let mut browser = site.browser();
        browser.open("/forgot").await;
        browser.click("Forgot your username?").await;
        browser.fill("Email", "ANN@meadow.example");
        browser.press("Email me my username").await;
        assert_eq!(browser.path(), "/login");
        assert_eq!(browser.flashes(), ["If that email has an account, we've emailed its username."]);
        let mails = site.mails().await;
        assert_eq!((mails[0].kind.as_str(), mails[0].to.as_str()), ("username_reminder", "ann@meadow.example"));
        assert!(mails[0].text.contains("\n\nann\n\n"));
    }

    async fn forms_with_an_address_alone_show_nobody_whether_there_is_an_account(site: Site) {
        site.registered("zzknown").await;
        register(&mut site.changed(without_usernames).await, None, &email_of("zzalone")).await;
        let forms: [(Change, &str, &str); 5] = [
            (by_email, "/forgot/username", "email"),
            (by_email, "/forgot", "email"),
            (optional, "/forgot", "email"),
            (without_usernames, "/forgot", "email"),
            (without_usernames, "/login", "username"),
        ];
        for (change, path, field) in forms {
            // Limits of before.
            site.wait(24 * 60 * 60);
            let app = site.changed(change).await;
            // The first request of a site opens connections.
            app.post(path, &[(field, "zzother@meadow.example"), ("password", "x")]).await;
            let mut seen = Vec::new();
            for name in ["zzknown", "zznobod", "zzalone"] {
                let email = email_of(name);
                let mut all = Vec::new();
                for _ in 0..12 {
                    let browser = app.tab();
                    let fields = [(field, email.as_str()), ("password", "not the one")];
                    let (answer, work) = work_of(browser.post(path, &fields)).await;
                    let (status, place) = (answer.status(), answer.headers().get("location").cloned());
                    all.push((status, place, body_of(answer).await.replace(&email, "X"), work));
                }
                assert_eq!(all.last().unwrap().0, StatusCode::TOO_MANY_REQUESTS, "{path}");
                seen.push(all);
            }
            for known in [&seen[0], &seen[2]] {
                let at = known.iter().zip(&seen[1]).position(|(one, other)| one != other);
                assert_eq!(at, None, "{path} {:?}", at.map(|at| (&known[at].3, &seen[1][at].3)));
            }
        }
        assert_eq!(site.mails_to("zznobod").await, [""; 0]);
    }

    async fn requests_for_a_username_use_up_no_codes(site: Site) {
        site.registered("ann").await;
        for _ in 0..30 {
            site.wait(3600);
            site.browser().post("/forgot/username", &[("email", "ann@meadow.example")]).await;
        }
        site.browser().ask_for_code("ann", "ann@meadow.example").await;
        let kinds = site.mails_to("ann").await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "reset_code").count(), 1);
        assert!(kinds.iter().filter(|kind| *kind == "username_reminder").count() < 12, "{kinds:?}");
    }
}
