//! The `vestibule_tickets` table: one-time tickets that carry a login to an application's own host.

use super::expired::{Expired, expired};
use crate::db::{DbError, Executor, row, sql};

/// Tickets that a session may have at once: each link of an application that is opened makes one.
const MAX_TICKETS: i64 = 100;

row! {
    columns ticket_columns;
    /// A ticket.
    #[derive(Clone, Debug)]
    pub struct Ticket {
        /// SHA-256 of the ticket.
        pub token_hash: Vec<u8>,
        /// The key of the login session.
        pub session_key: Vec<u8>,
        /// The application's origin.
        pub app: String,
        /// The digest of the cookie that the browser got when the login began at the application.
        pub browser: String,
        /// A URL of the application.
        pub next: String,
        /// Unix time.
        pub expires_at: i64,
    }
}

const INSERT: &str = concat!(
    "insert into vestibule_tickets (",
    ticket_columns!(),
    ") select $1, $2, $3, $4, $5, $6 where
    (select count(*) from vestibule_tickets where session_key = $2 and expires_at > $7) < $8"
);

const COUNT: &str = "select count(*) from vestibule_tickets where token_hash = $1";

const TAKE: &str =
    concat!("delete from vestibule_tickets where token_hash = $1 returning ", ticket_columns!());

/// Tickets that have expired.
pub const EXPIRED: Expired = expired!("vestibule_tickets", "token_hash", "expires_at <= $1", 0);

/// Adds a ticket and returns whether it did: none beyond 100 of a session.
pub async fn insert_ticket(
    executor: Executor<'_>,
    new: &Ticket,
    now: i64,
) -> Result<bool, DbError> {
    let insert = sql(INSERT).bind(new.token_hash.clone()).bind(new.session_key.clone());
    let insert = insert.bind(new.app.clone()).bind(new.browser.clone()).bind(new.next.clone());
    let insert = insert.bind(new.expires_at).bind(now).bind(MAX_TICKETS);
    Ok(insert.execute(executor).await? > 0)
}

/// Whether there is such a ticket, expired or not.
pub async fn has_ticket(executor: Executor<'_>, token_hash: &[u8]) -> Result<bool, DbError> {
    let found = sql(COUNT).bind(token_hash.to_vec()).fetch_optional::<(i64,)>(executor).await?;
    Ok(found.is_some_and(|(tickets,)| tickets > 0))
}

/// Uses a ticket up, expired or not: once, whatever is sent in parallel.
pub async fn take_ticket(
    executor: Executor<'_>,
    token_hash: Vec<u8>,
) -> Result<Option<Ticket>, DbError> {
    sql(TAKE).bind(token_hash).fetch_optional(executor).await
}

/// Deletes every ticket.
pub async fn delete_all_tickets(executor: Executor<'_>) -> Result<u64, DbError> {
    sql("delete from vestibule_tickets").execute(executor).await
}
