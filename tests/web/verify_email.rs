//! Proof that the address of an account is its owner's.

use crate::support::{OTHER_PASSWORD, PASSWORD, Site};

const VERIFIED: &str = "select count(*) from vestibule_users where email_verified_at > 0";

on_both_databases! {
    async fn a_completed_reset_proves_the_address(site: Site) {
        let mut ann = site.registered("ann").await;
        ann.open("/account/password").await.fill("Current password", PASSWORD);
        ann.fill("New password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD);
        ann.press("Change password").await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(site.count(VERIFIED).await, 0, "who knows the password need not have the mailbox");
        let (mut browser, code) = site.with_code("ann").await;
        assert_eq!(site.count(VERIFIED).await, 0);
        browser.reset(&code, PASSWORD).await;
        assert_eq!(browser.path(), "/login");
        assert_eq!(site.count(VERIFIED).await, 1);
    }
}
