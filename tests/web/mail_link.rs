//! Links of emails and reserved usernames, as the database keeps them.

use vestibule::accounts::mail_link::{LINK_LIFE, make_link, open_link, use_link};
use vestibule::db::sql;
use vestibule::models::mail_link::{LinkPurpose, MailLink, is_email_taken, revoke_links_since};
use vestibule::models::reserved_username::{RESERVED_FOR, is_username_reserved, reserve_username};
use vestibule::models::user::{User, find_user_by_username};
use vestibule::tasks::sweep::sweep;

use crate::support::{PASSWORD, Site, email_of};

const NOT_ME: LinkPurpose = LinkPurpose::NotMe;

async fn user(site: &Site, username: &str) -> User {
    find_user_by_username(site.db().reader(), username).await.unwrap().unwrap()
}

async fn made(site: &Site, user: Option<&User>, to: &str) -> String {
    let mut tx = site.db().begin().await.unwrap();
    let token = make_link(&site.app, &mut tx, NOT_ME, user, to).await.unwrap();
    tx.commit().await.unwrap();
    token
}

async fn used(site: &Site, purpose: LinkPurpose, token: &str) -> Option<MailLink> {
    let mut tx = site.db().begin().await.unwrap();
    let link = use_link(&site.app, &mut tx, purpose, token).await.unwrap();
    tx.commit().await.unwrap();
    link
}

on_both_databases! {
    async fn a_link_of_an_email_works_once_and_for_its_purpose_alone(site: Site) {
        site.registered("ann").await;
        let ann = user(&site, "ann").await;
        let token = made(&site, Some(&ann), "Ann@Meadow.example").await;
        assert_eq!(token.len(), 22, "128 bits");
        assert!(used(&site, LinkPurpose::Unlock, &token).await.is_none());
        for _ in 0..2 {
            assert!(open_link(&site.app, NOT_ME, &token).await.unwrap().is_some(), "to open it uses nothing up");
        }
        let uses = (0..8).map(|_| used(&site, NOT_ME, &token));
        let uses = futures_util::future::join_all(uses).await;
        assert_eq!(uses.iter().flatten().count(), 1);
        let link = uses.into_iter().flatten().next().unwrap();
        assert_eq!((link.user_id, link.credential_version), (Some(ann.id), 1));
        assert_eq!((&*link.email, &*link.email_key), ("Ann@Meadow.example", "ann@meadow.example"));
        assert!(open_link(&site.app, NOT_ME, &token).await.unwrap().is_none());
    }

    async fn a_link_of_an_email_expires_after_three_days_and_is_swept(site: Site) {
        site.registered("ann").await;
        let token = made(&site, Some(&user(&site, "ann").await), &email_of("ann")).await;
        let decoy = made(&site, None, "nobody@example.invalid").await;
        site.wait(LINK_LIFE - 1);
        sweep(&site.app).await.unwrap();
        for token in [&token, &decoy] {
            assert!(open_link(&site.app, NOT_ME, token).await.unwrap().is_some());
        }
        site.wait(1);
        assert!(open_link(&site.app, NOT_ME, &token).await.unwrap().is_none());
        assert!(used(&site, NOT_ME, &token).await.is_none());
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_mail_links").await, 0);
    }

    async fn the_database_keeps_no_token_and_no_link_of_a_deleted_account(site: Site) {
        site.registered("ann").await;
        let token = made(&site, Some(&user(&site, "ann").await), &email_of("ann")).await;
        let kept = "select count(*) from vestibule_mail_links where length(token_hash) = 32 and purpose = 'not_me'";
        assert!(site.count(kept).await >= 1);
        sql("delete from vestibule_users").execute(site.db().writer()).await.unwrap();
        assert!(used(&site, NOT_ME, &token).await.is_none());
        assert_eq!(site.count("select count(*) from vestibule_mail_links").await, 0);
    }

    async fn links_made_since_a_version_of_the_credentials_are_revoked_and_older_ones_stay(site: Site) {
        site.registered("ann").await;
        let ann = user(&site, "ann").await;
        let mut tokens = Vec::new();
        for credential_version in [3, 4, 5] {
            let then = User { credential_version, ..ann.clone() };
            tokens.push(made(&site, Some(&then), &email_of("ann")).await);
        }
        revoke_links_since(site.db().writer(), &ann.id, 4).await.unwrap();
        let mut left = Vec::new();
        for token in &tokens {
            left.push(used(&site, NOT_ME, token).await.is_some());
        }
        assert_eq!(left, [true, false, false]);
    }

    async fn nobody_registers_an_address_that_a_link_can_give_back(site: Site) {
        site.registered("ann").await;
        let ann = user(&site, "ann").await;
        made(&site, Some(&ann), "old@meadow.example").await;
        let held = async |id: &str| is_email_taken(site.db().reader(), "old@meadow.example", id, site.app.clock.now()).await.unwrap();
        assert_eq!((held("").await, held(&ann.id).await), (true, false));
        let mut bob = site.browser();
        bob.register("bob", "OLD@meadow.example", PASSWORD).await;
        assert!(bob.path().starts_with("/login"), "{}", bob.text());
        assert!(find_user_by_username(site.db().reader(), "bob").await.unwrap().is_none());
        site.wait(LINK_LIFE);
        bob.register("bob", "old@meadow.example", PASSWORD).await;
        assert_eq!(bob.path(), "/account", "{}", bob.text());
    }

    async fn a_reserved_username_is_free_for_its_last_owner_and_for_others_after_ninety_days(site: Site) {
        site.registered("ann").await;
        let ann = user(&site, "ann").await;
        reserve_username(site.db().writer(), "anna", Some(&ann.id), site.app.clock.now()).await.unwrap();
        let reserved = async |id: &str| is_username_reserved(site.db().reader(), "anna", id, site.app.clock.now()).await.unwrap();
        assert_eq!((reserved("").await, reserved("other").await, reserved(&ann.id).await), (true, true, false));
        let mut other = site.browser();
        other.register("anna", "other@meadow.example", PASSWORD).await;
        assert!(other.path().starts_with("/login"), "{}", other.text());
        sql("delete from vestibule_users where id = $1").bind(&ann.id).execute(site.db().writer()).await.unwrap();
        assert!(reserved(&ann.id).await, "it stays reserved when the account is gone");
        site.wait(RESERVED_FOR - 1);
        sweep(&site.app).await.unwrap();
        assert!(reserved("").await);
        site.wait(1);
        other.register("anna", "other@meadow.example", PASSWORD).await;
        assert_eq!(other.path(), "/account", "{}", other.text());
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_reserved_usernames").await, 0);
    }
}
