//! The whole journey of one user.

use crate::support::{OTHER_PASSWORD, PASSWORD, Site};

on_both_databases! {
    async fn a_person_registers_logs_out_forgets_the_password_and_gets_back_in(site: Site) {
        let mut ann = site.browser();
        ann.open("/").await;
        assert_eq!(ann.visited, ["/", "/login"]);
        ann.click("Create an account").await;
        ann.fill("Username", "ann").fill("Email", "ann@meadow.example");
        ann.fill("Password", PASSWORD).fill("Confirm password", PASSWORD);
        ann.press("Create account").await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(ann.flashes(), ["Your account was created."]);

        ann.press("Log out").await;
        assert_eq!(ann.path(), "/login");
        assert_eq!(ann.flashes(), ["You've been logged out."]);
        assert!(!ann.is_logged_in().await);

        ann.log_in("ann", PASSWORD).await;
        assert_eq!(ann.path(), "/account");
        ann.press("Log out").await;

        site.wait(60);
        ann.click("Forgot your password?").await;
        ann.fill("Username", "ann").fill("Email", "ann@meadow.example");
        ann.press("Email me a code").await;
        assert_eq!(ann.path(), "/reset");
        let code = site.newest_code().await;
        site.wait(60);
        ann.fill("Code", &code).fill("New password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD);
        ann.press("Change password").await;
        assert_eq!(ann.path(), "/login");
        assert_eq!(ann.flashes(), ["Your password was changed. Log in with the new one."]);

        ann.log_in("ann", PASSWORD).await;
        assert_eq!(ann.path(), "/login");
        ann.log_in("ann", OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code", "password_changed"]);
    }
}
