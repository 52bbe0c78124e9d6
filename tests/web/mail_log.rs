//! What became of each email: in the log of mail, which the operator reads by address.

use vestibule::mail::worker::Worker;
use vestibule::models::mail_log::{LoggedEmail, list_mails};
use vestibule::models::user::find_user_by_username;
use vestibule::tasks::sweep::sweep;

use crate::support::outbox::{DAY, mailer};
use crate::support::program::Folder;
use crate::support::smtp::FakeSmtp;
use crate::support::{PASSWORD, Site, email_of, until};

async fn mails(site: &Site, address: &str) -> Vec<LoggedEmail> {
    let now = site.app.clock.now();
    list_mails(site.db().reader(), &site.app.key, address, now).await.unwrap()
}

/// Kind and state of each email, oldest first.
async fn states(site: &Site, address: &str) -> Vec<(String, String)> {
    mails(site, address).await.into_iter().map(|mail| (mail.kind, mail.state)).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(kind, state)| ((*kind).to_owned(), (*state).to_owned())).collect()
}

fn worker(site: &Site, server: &FakeSmtp) -> Worker {
    Worker::new(site.app.db.clone(), site.app.outbox.clone(), mailer(&server.url()))
}

on_both_databases! {
    async fn it_tells_the_life_of_each_email_until_30_days_after(site: Site) {
        let server = FakeSmtp::start().await;
        let ann = email_of("ann");
        site.registered("ann").await;
        assert_eq!(states(&site, &ann).await, pairs(&[("registered", "waiting")]));
        server.refuse(&ann, "451 4.7.1 <ann@meadow.example>: come back later");
        let mut worker = worker(&site, &server);
        worker.deliver_due().await.unwrap();
        let mail = mails(&site, &ann).await.remove(0);
        assert_eq!((&*mail.state, mail.sent_at), ("deferred", None));
        assert_eq!(mail.server.as_deref(), Some("451 4.7.1 <a…@meadow.example>: come back later"));
        server.refuse(&ann, "550 5.1.1 no such user");
        site.wait(60);
        worker.deliver_due().await.unwrap();
        assert_eq!(states(&site, &ann).await, pairs(&[("registered", "refused")]));
        server.allow(&ann);
        site.wait(3600);
        worker.deliver_due().await.unwrap();
        for spelling in ["ann@meadow.example", "Ann@MEADOW.example"] {
            let mail = mails(&site, spelling).await.remove(0);
            assert_eq!((&*mail.state, mail.sent_at), ("sent", Some(site.app.clock.now())));
            assert!(mail.server.unwrap().starts_with("250 "));
        }
        assert_eq!(site.count("select count(*) from vestibule_outbox").await, 0);
        site.wait(30 * DAY - 3662);
        assert_eq!(mails(&site, &ann).await.len(), 1);
        site.wait(1);
        assert!(mails(&site, &ann).await.is_empty());
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_mail_log").await, 0);
    }

    async fn an_email_that_was_never_sent_is_given_up_with_the_last_words(site: Site) {
        let server = FakeSmtp::start().await;
        site.registered("ann").await;
        server.refuse(&email_of("ann"), "550 5.1.1 no such user");
        let mut worker = worker(&site, &server);
        worker.deliver_due().await.unwrap();
        site.wait(DAY);
        worker.deliver_due().await.unwrap();
        let mail = mails(&site, &email_of("ann")).await.remove(0);
        assert_eq!((&*mail.state, mail.server.as_deref()), ("given_up", Some("550 5.1.1 no such user")));
    }

    async fn while_the_mail_server_is_away_its_emails_wait_and_say_why(site: Site) {
        let server = FakeSmtp::start().await;
        server.go_down().await;
        site.registered("ann").await;
        worker(&site, &server).deliver_due().await.unwrap();
        let mail = mails(&site, &email_of("ann")).await.remove(0);
        assert_eq!((&*mail.state, mail.server.is_some()), ("waiting", true));
    }

    async fn what_is_never_sent_is_not_shown_and_goes_with_the_next_sweep(site: Site) {
        site.browser().ask_for_code("nobody", "nobody@meadow.example").await;
        assert_eq!(site.count("select count(*) from vestibule_mail_log").await, 1);
        assert!(mails(&site, "nobody@meadow.example").await.is_empty());
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_mail_log").await, 0);
    }

    async fn neither_a_code_nor_an_address_is_stored(site: Site) {
        let server = FakeSmtp::start().await;
        site.registered("wilhelmina").await;
        let mut worker = worker(&site, &server);
        worker.deliver_due().await.unwrap();
        let (_, code) = site.with_code("wilhelmina").await;
        server.refuse(&email_of("wilhelmina"), format!("550 <wilhelmina@meadow.example> spam: {code}"));
        worker.deliver_due().await.unwrap();
        let mails = mails(&site, &email_of("wilhelmina")).await;
        assert_eq!(mails.len(), 2);
        let hit = "select count(*) from vestibule_mail_log
            where server like '%wilhelmina%' or recipient like '%wilhelmina%' or recipient like '%meadow%'";
        assert_eq!(site.count(hit).await, 0);
        assert!(!format!("{mails:?}").contains(&code), "{mails:?}");
    }

    async fn no_row_is_left_of_a_deleted_account(site: Site) {
        site.registered("bob").await;
        site.registered("ann").await;
        let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        let mut tx = site.db().begin().await.unwrap();
        let email = vestibule::models::outbox::Email { kind: "invitation".to_owned(), to: email_of("ann"), ..Default::default() };
        site.app.outbox.enqueue(&mut tx, &email, None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(mails(&site, &email_of("ann")).await.len(), 2);
        vestibule::accounts::delete_account::delete_account(&site.app, &user, None).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_mail_log").await, 1);
        assert_eq!(mails(&site, &email_of("bob")).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_an_array_of_emails_with_their_times() {
    let server = FakeSmtp::start().await;
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_SMTP_URL", &server.url())]);
    program.register_ann(PASSWORD);
    let log = |address: &str, json: bool| {
        let arguments = ["mail", "log", address, "--json"];
        folder.run(&arguments[..if json { 4 } else { 3 }], &[], "")
    };
    until(async || log("ann@meadow.example", false).out.contains("\tsent\t")).await;
    let ended = log("Ann@Meadow.Example", true);
    assert_eq!(ended.status, 0, "{}", ended.err);
    let mails: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let mail = mails[0].as_object().unwrap();
    let keys: Vec<&String> = mail.keys().collect();
    assert_eq!(keys, ["created_at", "id", "kind", "sent_at", "server", "state"]);
    assert_eq!((&mail["kind"], &mail["state"]), (&"registered".into(), &"sent".into()));
    let none = log("eve@meadow.example", true);
    assert_eq!((none.status, none.out.trim()), (0, "[]"));
    let none = log("eve@meadow.example", false);
    assert_eq!((none.status, none.out.as_str()), (0, ""));
    assert_eq!(folder.run(&["mail", "log", "eve"], &[], "").status, 2);
    let nowhere = Folder::new().run(&["mail", "log", "eve@meadow.example"], &[], "");
    assert!(nowhere.status == 1 && nowhere.err.contains("there is no database at"));
}

#[test]
fn without_a_mail_server_an_email_is_kept() {
    let folder = Folder::new();
    folder.serve(&[]).register_ann(PASSWORD);
    let log = |settings: &[(&str, &str)]| {
        let ended = folder.run(&["mail", "log", "ann@meadow.example"], settings, "");
        assert_eq!(ended.status, 0, "{}", ended.err);
        ended.out
    };
    assert!(log(&[]).contains("\tregistered\tkept\t"), "{}", log(&[]));
    let waiting = log(&[("VESTIBULE_SMTP_URL", "smtp://127.0.0.1:1")]);
    assert!(waiting.contains("\tregistered\twaiting\t"), "{waiting}");
}
