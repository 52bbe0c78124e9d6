//! A site of its own for every test, and browsers to visit it with.

mod browser;
pub mod certificates;
pub mod cluster;
pub mod front;
pub mod log;
pub mod nodes;
pub mod outbox;
pub mod program;
pub mod received;
pub mod rules;
mod site;
pub mod smtp;
pub mod work;

pub use browser::{Browser, body_of, form_request};
pub use site::{Site, email_of, postgres_url};

/// The server's key.
pub const KEY: &[u8] = b"a key for tests, 32 bytes of it\xff";

/// A password that may stand, and another one.
pub const PASSWORD: &str = "moss lantern quartz";
pub const OTHER_PASSWORD: &str = "velvet anchor pudding";

/// Waits until `holds`, which nothing else tells of.
pub async fn until(holds: impl AsyncFn() -> bool) {
    let mut moments = tokio::time::interval(std::time::Duration::from_millis(10));
    while !holds().await {
        moments.tick().await;
    }
}

/// Runs each story twice: on SQLite, and on PostgreSQL when `TEST_POSTGRES_URL` names one.
macro_rules! on_both_databases {
    ($($(#[$note:meta])* async fn $name:ident($site:ident: Site) $story:block)*) => {$(
        $(#[$note])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn story($site: Site) $story

            #[tokio::test]
            async fn on_sqlite() {
                story(Site::on_sqlite().await).await;
            }

            #[tokio::test]
            async fn on_postgresql() {
                if let Some(site) = Site::on_postgresql().await {
                    story(site).await;
                }
            }
        }
    )*};
}
