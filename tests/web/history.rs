//! The history of an account: what was done to it, and the emails to its owner.

use vestibule::accounts::history::{history_of, words};
use vestibule::models::user::{User, find_user_by_username};
use vestibule::tasks::sweep::sweep;

use crate::support::{OTHER_PASSWORD, PASSWORD, Site};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

const DAY: i64 = 24 * 60 * 60;

async fn user(site: &Site, name: &str) -> User {
    find_user_by_username(site.db().reader(), name).await.unwrap().unwrap()
}

/// What the owner reads, the oldest first.
async fn history(site: &Site, name: &str) -> Vec<String> {
    let entries = history_of(&site.app, &user(site, name).await, None, 2000).await.unwrap();
    let mut lines: Vec<(i64, String)> =
        entries.iter().map(|entry| (entry.created_at, words(entry))).collect();
    // Those of one moment in any order.
    lines.sort();
    lines.into_iter().map(|(_, words)| words).collect()
}

on_both_databases! {
    async fn the_page_shows_what_happened_when_and_from_where(site: Site) {
        site.registered("ann").await;
        site.registered("bob").await;
        let mut ann = site.browser();
        ann.user_agent = Some(FIREFOX);
        ann.log_in("ann", PASSWORD).await;
        ann.open("/account/history").await;
        assert_eq!(ann.title(), "History – Vestibule");
        let entries = ann.all_text(".entries li");
        assert_eq!(entries.len(), 4, "{entries:?}");
        assert!(entries.contains(&"Logged in 22 November 2026, 18:00 UTC Firefox on Linux".to_owned()), "{entries:?}");
        assert!(entries.contains(&"Email sent: login from a new device 22 November 2026, 18:00 UTC".to_owned()), "{entries:?}");
        assert!(ann.all_text("main a").iter().all(|link| link != "Older" && link != "Newest"));
    }

    async fn a_long_history_is_shown_in_pages(site: Site) {
        let mut ann = site.registered("ann").await;
        let fill = "with recursive n(i) as (select 101 union all select i + 1 from n where i < 198)
            insert into vestibule_history (user_id, id, kind, created_at)
            select vestibule_users.id, '00000000000000000000000' || n.i, 'login', 1795370400 from vestibule_users, n";
        vestibule::db::sql(fill).execute(site.db().writer()).await.unwrap();
        ann.open("/account/history").await;
        assert_eq!(ann.all_text(".entries li").len(), 50);
        ann.click("Older").await;
        assert_eq!(ann.all_text(".entries li").len(), 50);
        assert!(ann.all_text("main a").iter().all(|link| link != "Older"));
        ann.click("Newest").await;
        assert!(ann.text().contains("Account created"));
        ann.open("/account/history?before=00000000000000000000000000").await;
        assert!(ann.text().contains("Nothing more to show."));
        for made_up in ["%27", "zzz", "0", ""] {
            ann.open(&format!("/account/history?before={made_up}")).await;
            assert_eq!(ann.all_text(".entries li").len(), 50, "{made_up}");
        }
        ann.open("/account/history?before=a&before=b").await;
        assert_eq!(ann.status, 400);
    }

    async fn what_was_done_and_which_emails_were_sent_is_recorded(site: Site) {
        let mut ann = site.registered("ann").await;
        site.registered("bob").await;
        site.wait(60);
        ann.open("/account").await.press("Log out").await;
        ann.log_in("ann", PASSWORD).await;
        site.wait(60);
        let (mut browser, code) = site.with_code("ann").await;
        browser.reset(&code, OTHER_PASSWORD).await;
        site.wait(60);
        site.browser().log_in("ann", "not the password").await;
        let expected = ["Account created", "Email sent: welcome", "Logged in",
            "Email sent: password changed", "Email sent: password reset code", "Password reset with an emailed code"];
        assert_eq!(history(&site, "ann").await, expected);
        assert_eq!(history(&site, "bob").await, expected[..2]);
    }

    async fn an_email_to_nobody_is_recorded_for_no_account_and_soon_deleted(site: Site) {
        site.registered("ann").await;
        for (name, email) in [("nobody", "nobody@meadow.example"), ("ann", "nobody@meadow.example")] {
            site.browser().ask_for_code(name, email).await;
        }
        assert_eq!(site.count("select count(*) from vestibule_history where user_id = ''").await, 2);
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_history").await, 2);
        assert_eq!(history(&site, "ann").await.len(), 2);
    }

    async fn the_history_is_kept_for_ninety_days(site: Site) {
        site.registered("ann").await;
        site.wait(89 * DAY);
        site.browser().log_in("ann", PASSWORD).await;
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_history").await, 4);
        site.wait(DAY);
        assert_eq!(history(&site, "ann").await, ["Email sent: login from a new device", "Logged in"], "before the sweep");
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_history").await, 2);
    }

    async fn an_account_has_a_thousand_entries_at_most(site: Site) {
        let mut ann = site.registered("ann").await;
        let fill = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1100)
            insert into vestibule_history (user_id, id, kind, created_at)
            select vestibule_users.id, '0' || n.i, 'login', 1795370400 from vestibule_users, n";
        vestibule::db::sql(fill).execute(site.db().writer()).await.unwrap();
        ann.open("/account").await.press("Log out").await;
        for _ in 0..2 {
            ann.log_in("ann", PASSWORD).await.press("Log out").await;
        }
        assert_eq!(site.count("select count(*) from vestibule_history").await, 1000);
        let lines = history(&site, "ann").await;
        assert!(lines.contains(&"Account created".to_owned()));
    }
}
