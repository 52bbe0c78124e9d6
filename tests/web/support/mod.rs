//! A site for each test, and browsers to visit it with.

pub mod apps;
mod browser;
pub mod certificates;
pub mod cluster;
pub mod front;
pub mod host_database;
pub mod hosts;
pub mod log;
pub mod nodes;
pub mod outbox;
pub mod program;
pub mod proxies;
pub mod received;
pub mod rules;
mod site;
pub mod smtp;
pub mod unix;
pub mod walker;
pub mod work;

use browser::bytes_of;
pub use browser::{Browser, body_of, form_request};
pub use site::{Site, email_of, new_schema, postgres_url};

/// The server's key.
pub const KEY: &[u8] = b"a key for tests, 32 bytes of it\xff";

/// A valid password, and another one.
pub const PASSWORD: &str = "moss lantern quartz";
pub const OTHER_PASSWORD: &str = "velvet anchor pudding";

/// Polls until `holds` returns true.
pub async fn until(holds: impl AsyncFn() -> bool) {
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(10));
    while !holds().await {
        interval.tick().await;
    }
}

/// Runs each test twice: on SQLite, and on PostgreSQL if `TEST_POSTGRES_URL` is set.
macro_rules! on_both_databases {
    ($($(#[$note:meta])* async fn $name:ident($site:ident: Site) $body:block)*) => {$(
        $(#[$note])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test($site: Site) $body

            #[tokio::test]
            async fn on_sqlite() {
                test(Site::on_sqlite().await).await;
            }

            #[tokio::test]
            async fn on_postgresql() {
                if let Some(site) = Site::on_postgresql().await {
                    test(site).await;
                }
            }
        }
    )*};
}
