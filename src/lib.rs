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
//! let router: axum::Router = vestibule::router(app); // merge it with your own
//! # drop((tasks, router)); Ok(()) }
//! ```
//!
//! Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: without it every visitor
//! counts as one address, on this machine, and may read the development mailbox. The router has a fallback of its own, so yours must have none.
//!
//! # The map of the code
//!
//! One word finds a feature everywhere: `password_reset` is `accounts/password_reset.rs`,
//! `controllers/password_reset.rs`, `templates/password_reset.html` and
//! `tests/web/password_reset.rs`. Modules use those below them, never those above (a test holds them to it):
//!
//! | | |
//! |---|---|
//! | `main`, [`commands`], `server`, `routes` | arguments; one file a command; listener and connections; every URL and layer |
//! | `middleware`, `controllers`, [`tasks`], `visitor` | one concern, one page, one background loop each; who sent a request |
//! | [`app`], `error`, `flash`, `forms`, `page`, [`mail`], `assets`, `times` | what a request needs and can fail with |
//! | [`accounts`] | the use cases and their values |
//! | [`models`] | a table each |
//! | [`password_hasher`] | the Argon2 pool |
//! | [`db`], [`clock`], [`random`], [`key`], [`config`], [`event`], `permissions` | the ground; what the log tells; modes of files |

mod assets;
mod controllers;
mod error;
mod flash;
mod forms;
mod middleware;
mod page;
mod permissions;
mod routes;
mod server;
mod times;
mod visitor;

pub mod app;
pub mod config;
pub mod tasks;

// Public for the tests, the benchmarks and the fuzz targets, and no promise to anybody else.
#[doc(hidden)]
pub mod accounts;
#[doc(hidden)]
pub mod client_address;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod commands;
#[doc(hidden)]
pub mod db;
#[doc(hidden)]
pub mod event;
#[doc(hidden)]
pub mod key;
#[doc(hidden)]
pub mod mail;
#[doc(hidden)]
pub mod models;
#[doc(hidden)]
pub mod next_path;
#[doc(hidden)]
pub mod password_hasher;
#[doc(hidden)]
pub mod random;

pub use app::App;
pub use config::Config;
pub use routes::router;
