//! Vestibule, the entrance hall of a web site: people register, log in, log out, and get back in
//! with a one-time code sent by email.
//!
//! # Mounting it in an axum application
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = vestibule::Config::load(&Default::default())?;
//! let app = vestibule::App::start(config).await?;
//! let tasks = vestibule::tasks::spawn(&app)?; // sends mail, clears what has expired; stops when dropped
//! let router: axum::Router = vestibule::router(&app); // merge it with your own, or nest it
//! # drop((tasks, router)); Ok(()) }
//! ```
//!
//! Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: without it every visitor
//! has the same address, which is on this machine and may read the development mailbox. To nest the
//! router, let the base URL end with the same path: if they differ, each page says so instead of being
//! shown. The feature `cli`, on by default, is for the program alone.
//!
//! # The map of the code
//!
//! One word finds a feature everywhere: `password_reset` is `accounts/password_reset.rs`,
//! `controllers/password_reset.rs`, `templates/password_reset.html` and
//! `tests/web/password_reset.rs`. Modules use only those below them (a test checks it):
//!
//! | module | content |
//! |---|---|
//! | `commands`, `check`, `server`, [`tasks`] | one file per command, and per subject of `vestibule check`; connections; background tasks |
//! | `routes` | every URL and middleware |
//! | `controllers`, `middleware` | HTTP: one file per page, and per concern of all pages |
//! | `visitor`, `page`, `forms`, `error` | what controllers share |
//! | `accounts` | the use cases and their values |
//! | [`app`] | what a request needs: settings, database, clock, key, hasher, outbox |
//! | `mail`, `models` | emails and their delivery; one file per table |
//! | `password_hasher`, `imported_hash`, `assets` | Argon2id on dedicated threads; hashes of other programs; static files |
//! | [`config`], `db`, `key` | settings; the two databases; the server's key |
//! | `clock`, `random`, `event`, `metrics`, `tls` … | time, random numbers, the log, the metrics, TLS to other servers |

mod assets;
#[cfg(feature = "cli")]
mod check;
mod controllers;
mod current_user;
mod disk;
mod error;
mod files;
mod flash;
mod forms;
mod frame;
mod middleware;
mod page;
mod permissions;
mod routes;
#[cfg(feature = "cli")]
mod server;
mod times;
mod tls;
mod unencoded;
mod visitor;

pub mod app;
pub mod config;
pub mod tasks;
#[cfg(feature = "testing")]
pub mod testing;

// Public only for the tests, the benchmarks and the fuzz targets.
#[doc(hidden)]
pub mod accounts;
#[doc(hidden)]
pub mod client_address;
#[doc(hidden)]
pub mod clock;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod commands;
#[doc(hidden)]
pub mod db;
#[doc(hidden)]
pub mod event;
#[doc(hidden)]
pub mod forwarded;
#[doc(hidden)]
pub mod imported_hash;
#[doc(hidden)]
pub mod key;
#[doc(hidden)]
pub mod mail;
#[doc(hidden)]
pub mod metrics;
#[doc(hidden)]
pub mod models;
#[doc(hidden)]
pub mod next_path;
#[doc(hidden)]
pub mod password_hasher;
#[doc(hidden)]
pub mod random;
#[doc(hidden)]
pub mod signing_key;

pub use app::App;
pub use config::Config;
pub use current_user::CurrentUser;
pub use frame::PageParts;
pub use middleware::protect::{protect, require_login, security_headers};
pub use routes::router;

// What the binary serves, for the tests, the benchmarks and the fuzz targets.
#[doc(hidden)]
pub use routes::site;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use server::metrics::router as metrics_router;

/// The code of the guide compiles, and its test passes.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryGuide;
