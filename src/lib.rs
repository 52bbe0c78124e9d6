//! Vestibule, the entrance hall of a web site.

pub mod app;
pub mod assets;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod forms;
pub mod mail;
pub mod models;
pub mod page;
pub mod random;
pub mod secret;
