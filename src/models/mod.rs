//! Models: one file per table, with its row struct and its queries.

pub mod approval;
pub mod client;
pub mod device;
pub mod django_user;
pub mod expired;
pub mod history;
pub mod hook_event;
pub mod imported_user;
pub mod loaded_user;
pub mod login;
pub mod mail_link;
pub mod mail_log;
pub mod newest_row;
pub mod one_time_code;
pub mod outbox;
pub mod rate_limit;
pub mod registration;
pub mod reserved_username;
pub mod server_key;
pub mod session;
pub mod signing_key;
pub mod ticket;
pub mod user;
pub mod user_password;
pub mod user_session;
