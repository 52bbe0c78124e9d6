//! The site as its visitors find it: through the page, by label, reading the mail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that cannot go on has failed; a story is read from top to bottom"
)]

#[macro_use]
mod support;

mod account;
mod app_examples;
mod app_login;
mod approval;
mod backup;
mod base_path;
mod bots;
mod brand;
mod causes;
mod change_email;
mod change_password;
mod change_username;
mod check;
mod command_line;
mod commands_that_read;
mod confirm_registration;
mod cookies;
mod copy;
mod crashes;
mod current_user;
mod database;
mod delete_account;
mod documentation;
mod enumeration;
mod events;
mod export;
mod faults;
mod fetched;
mod first_starts;
mod forms;
mod forward;
mod forward_attacks;
mod frame;
mod guessing;
mod headers;
mod healthcheck;
mod history;
mod hooks;
mod host_database;
mod identity_tokens;
mod import;
mod invitation;
mod journey;
mod layers;
mod limits;
mod lockout;
mod login;
mod login_code;
mod look_alikes;
mod mail_limits;
mod mail_link;
mod mail_log;
mod mailbox;
mod mailer;
mod metrics;
mod migrations;
mod mounting;
mod next_path;
mod nodes;
mod not_me;
mod openapi;
mod operator;
mod outbox;
mod overload;
mod password_reset;
mod password_reset_request;
mod pasted;
mod postgres;
mod program;
mod properties;
mod protect;
mod protection;
mod proxies;
mod query_plans;
mod register;
mod registration;
mod repeats;
mod requests;
mod security;
mod server_key;
mod session;
mod session_info;
mod sessions;
mod settings;
mod stop;
mod sweep;
mod systemd;
mod test_app;
mod trusted_devices;
mod unix_socket;
mod unlock;
mod upgrades;
mod user_commands;
mod usernames;
mod verifiers;
mod verify_email;
