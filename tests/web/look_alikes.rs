//! Usernames as attackers choose them: twins of a name in other letters, and addresses of other people.

use axum::http::StatusCode;
use futures_util::future::join_all;
use vestibule::Config;
use vestibule::accounts::username::MAX_LENGTH;
use vestibule::config::{UsernameMode, UsernameRule};
use vestibule::db::sql;
use vestibule::models::reserved_username::{RESERVED_FOR, is_username_reserved, reserve_username};
use vestibule::models::user::find_user_by_username;

use crate::support::{Browser, PASSWORD, Site};

const DAY: i64 = 24 * 60 * 60;

fn unicode(config: &mut Config) {
    config.usernames.rule = UsernameRule::Unicode;
    config.limits.register_ip = None;
}

fn without_usernames(config: &mut Config) {
    config.usernames.mode = UsernameMode::None;
    config.usernames.asked_when_forgotten = false;
}

/// The status and the place of the answer to the form.
async fn register(browser: &Browser, username: &str, email: &str) -> (StatusCode, String) {
    let fields = [
        ("username", username),
        ("email", email),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    let answer = browser.post("/register", &fields).await;
    let place = answer.headers().get("location");
    (answer.status(), place.map_or("", |place| place.to_str().unwrap()).to_owned())
}

/// The address of the account that a login with this name leads to; empty if it is refused.
async fn account_of(site: &Site, login: &str) -> String {
    let mut browser = site.browser();
    browser.log_in(login, PASSWORD).await;
    let session = browser.open("/session").await.html.clone();
    let email = session.split(r#""email":""#).nth(1).and_then(|rest| rest.split('"').next());
    email.unwrap_or_default().to_owned()
}

on_both_databases! {
    async fn a_reserved_username_stays_with_its_owner_when_a_twin_gives_up_its_own(site: Site) {
        let db = site.db();
        let mut ids = Vec::new();
        for name in ["ann", "bob"] {
            site.registered(name).await;
            ids.push(find_user_by_username(db.reader(), name).await.unwrap().unwrap().id);
        }
        let (ann, bob) = (&*ids[0], &*ids[1]);
        for (owner, now) in [(Some(ann), 1), (Some(bob), 2), (None, 3)] {
            reserve_username(db.writer(), "paul", owner, now).await.unwrap();
            assert!(!is_username_reserved(db.writer(), "paul", ann, now).await.unwrap());
            assert!(is_username_reserved(db.writer(), "paul", bob, now).await.unwrap());
        }
        let later = 1 + RESERVED_FOR;
        reserve_username(db.writer(), "paul", Some(bob), later).await.unwrap();
        assert!(is_username_reserved(db.writer(), "paul", ann, later).await.unwrap());
    }

    async fn of_names_that_look_alike_one_is_registered_at_the_same_instant(site: Site) {
        let app = site.changed(unicode).await;
        let names = ["paul", "pau1", "PAUL", "\u{440}\u{430}ul", "\u{ff50}aul", "p\u{200b}aul"];
        let forms = names.iter().enumerate().map(async |(at, name)| {
            register(&app.tab(), name, &format!("n{at}@meadow.example")).await
        });
        let answers = join_all(forms).await;
        let made = answers.iter().filter(|(_, place)| place == "/account").count();
        assert_eq!(made, 1, "{answers:?}");
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
    }

    async fn names_with_an_at_that_look_alike_belong_to_one_account(site: Site) {
        let app = site.changed(unicode).await;
        assert_eq!(register(&app.tab(), "p@u1", "paul@meadow.example").await.1, "/account");
        for twin in ["p@ul", "P@UL", "p@u1"] {
            assert_eq!(register(&app.tab(), twin, "eve@meadow.example").await.1, "/login", "{twin}");
        }
        for name in ["@admin", "adrnin@", "r00t@meadow.example"] {
            assert_eq!(register(&app.tab(), name, "eve@meadow.example").await.0, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        }
        // Two addresses that look alike belong to two people.
        for own in ["p@ul.example", "p@u1.example", "root@meadow.example"] {
            assert_eq!(register(&app.tab(), own, own).await.1, "/account", "{own}");
        }
        let mut paul = app.tab();
        paul.log_in("p@u1", PASSWORD).await.open("/account/username").await;
        assert_eq!(paul.fill("New username", "paul").press("Change username").await.path(), "/account");
        for twin in ["p@ul", "p@u1"] {
            assert_eq!(register(&app.tab(), twin, "eve@meadow.example").await.1, "/login", "{twin} is reserved");
        }
    }

    async fn an_address_leads_to_its_owner_whoever_takes_it_as_a_username_at_the_same_instant(site: Site) {
        let app = site.changed(unicode).await;
        for at in 0..8 {
            let (owner, eve) = (format!("late{at}@meadow.example"), format!("eve{at}@meadow.example"));
            let (eves, owners) = (app.tab(), app.tab());
            let (name, taken) = (format!("late{at}"), register(&eves, &owner, &eve));
            let (_, registered) = tokio::join!(taken, register(&owners, &name, &owner));
            assert_eq!(registered.1, "/account");
            assert_eq!(account_of(&site, &owner).await, owner);
        }
    }

    async fn each_spelling_of_a_name_logs_in_and_none_is_another_name(site: Site) {
        let app = site.changed(unicode).await;
        register(&app.tab(), "Jos\u{e9}", "jose@meadow.example").await;
        register(&app.tab(), "\u{130}s", "dotted@meadow.example").await;
        for twin in ["jos\u{e9}", "JOSE\u{301}", "\u{ff4a}os\u{e9}", "jo\u{ad}s\u{e9}\u{202e}"] {
            assert_eq!(account_of(&site, twin).await, "jose@meadow.example", "{twin:?}");
            let (_, place) = register(&app.tab(), twin, "twin@meadow.example").await;
            assert_eq!(place, "/login", "{twin:?}");
        }
        // Doubled marks look like one; a dotless i like i; no text becomes an ASCII letter.
        register(&app.tab(), "mike", "mike@meadow.example").await;
        for (twin, status) in [
            ("jos\u{e9}\u{301}", StatusCode::UNPROCESSABLE_ENTITY),
            ("mi\u{307}ke", StatusCode::UNPROCESSABLE_ENTITY),
            ("mi\u{212a}e", StatusCode::UNPROCESSABLE_ENTITY),
            ("m\u{131}ke", StatusCode::SEE_OTHER),
        ] {
            let answer = register(&app.tab(), twin, "twin@meadow.example").await;
            assert_eq!(answer.0, status, "{twin:?}");
            assert_ne!(answer.1, "/account", "{twin:?}");
            assert_eq!(account_of(&site, twin).await, "", "{twin:?}");
        }
        assert_eq!(site.count("select count(*) from vestibule_users").await, 2);
    }

    async fn what_looks_like_the_name_of_a_deleted_account_is_reserved_with_it(site: Site) {
        let mut paul = site.changed(unicode).await;
        paul.register("pau1", "paul@meadow.example", PASSWORD).await;
        let confirmed = [("username", "PAU1"), ("current_password", PASSWORD)];
        paul.post("/account/delete", &confirmed).await;
        assert_eq!(site.count("select count(*) from vestibule_users").await, 0);
        let app = site.changed(unicode).await;
        for twin in ["paul", "pau1", "\u{440}\u{430}ul"] {
            let (_, place) = register(&app.tab(), twin, "eve@meadow.example").await;
            assert_ne!(place, "/account", "{twin}");
        }
        site.wait(90 * DAY + 1);
        assert_eq!(register(&app.tab(), "pau1", "eve@meadow.example").await.1, "/account");
    }

    /// Two names that looked alike before there were keys: one has its own spelling as its key.
    async fn the_key_that_a_deleted_name_had_gives_nobody_the_name_of_its_twin(site: Site) {
        site.registered("pau1").await;
        sql("update vestibule_users set username_key = 'pau1'").execute(site.db().writer()).await.unwrap();
        site.registered("paul").await;
        for name in ["pau1", "paul"] {
            assert_eq!(account_of(&site, name).await, format!("{name}@meadow.example"));
        }
        sql("delete from vestibule_users where username = 'paul'").execute(site.db().writer()).await.unwrap();
        assert_eq!(register(&site.browser(), "pau1", "eve@meadow.example").await.1, "/login");
        assert_eq!(account_of(&site, "pau1").await, "pau1@meadow.example");
    }

    async fn the_longest_names_are_stored(site: Site) {
        let app = site.changed(unicode).await;
        for (at, letter) in ["m", "\u{fb}", "\u{1e9e}", "\u{6f22}"].into_iter().enumerate() {
            let (_, place) = register(&app.tab(), &letter.repeat(MAX_LENGTH), &format!("n{at}@meadow.example")).await;
            assert_eq!(place, "/account", "{letter}");
        }
        let answer = register(&app.tab(), &"m".repeat(60_000), "long@meadow.example").await;
        assert_eq!(answer.0, StatusCode::UNPROCESSABLE_ENTITY);
    }

    /// Else two accounts would be known by one name.
    async fn a_username_that_is_an_address_keeps_an_account_without_one_from_that_address(site: Site) {
        register(&site.changed(unicode).await, "late@meadow.example", "eve@meadow.example").await;
        let app = site.changed(without_usernames).await;
        assert_eq!(register(&app.tab(), "", "late@meadow.example").await.1, "/login");
        assert_eq!(account_of(&site, "late@meadow.example").await, "eve@meadow.example");
        // With a username of its own, the address is free, and then it is the name of its owner.
        assert_eq!(register(&site.browser(), "late", "late@meadow.example").await.1, "/account");
        assert_eq!(account_of(&site, "late@meadow.example").await, "late@meadow.example");
    }
}
