//! `vestibule::testing`, on the databases that an application may have.

use axum::Router;
use vestibule::testing::TestApp;

use crate::support::host_database::HostDatabase;
use crate::support::{Browser, PASSWORD};

#[tokio::test]
async fn the_mailbox_is_read_between_requests_on_each_database() {
    for host in HostDatabase::all().await {
        let test = TestApp::with(host.builder()).await;
        let router: Router = vestibule::router(test.app());
        let mut ann = Browser::new(router);
        ann.register("ann", "ann@meadow.example", PASSWORD).await;
        assert_eq!(test.mailbox().to("ann@meadow.example").len(), 1);
        ann.open("/account").await.press("Log out").await;
        assert_eq!(test.mailbox().to("ann@meadow.example").len(), 1);
        assert!(test.mailbox().to("bob@meadow.example").is_empty());
    }
}
