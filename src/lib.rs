//! Vestibule, the entrance hall of a web site.

pub mod clock;
pub mod config;
pub mod db;
pub mod mail;
pub mod models;
pub mod random;
pub mod secret;
