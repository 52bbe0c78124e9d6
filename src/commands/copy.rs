//! `vestibule copy --to URL`: move the data to another database.

use std::path::PathBuf;

use serde_json::json;

use super::{CommandError, location, print_rows};
use crate::accounts::copy::copy_to;
use crate::config::Config;
use crate::db::{CopiedTable, Location};
use crate::key::file;

pub const EXAMPLES: &str = "Copies every table of VESTIBULE_DATABASE_URL to a new database, and compares both. Stop the server first. \
A password of PostgreSQL comes from PGPASSWORD, or the URL from a file.

Examples:
  PGPASSWORD=… vestibule copy --to postgres://vestibule@db.example.org/vestibule
  vestibule copy --to-file url.txt
  VESTIBULE_DATABASE_URL=postgres://… vestibule copy --to sqlite:vestibule.db";

#[derive(clap::Args)]
pub struct Copy {
    /// The new database: a postgres:// URL without a password, or sqlite:PATH
    #[arg(long, value_name = "URL", required_unless_present = "to_file")]
    to: Option<String>,
    /// Read the URL from a file
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    to_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Config, command: Copy) -> Result<(), CommandError> {
    let (target, name) =
        location::read(("--to", command.to), ("--to-file", command.to_file), false)?;
    let tables = copy_to(config, &target, &name).await?;
    eprintln!("Everything is copied: counts and checksums of both databases are the same.");
    eprintln!("{}", about_key(config, &target));
    let as_json = |table: &CopiedTable| json!({ "table": table.name, "rows": table.rows, "checksum": table.checksum });
    print_rows(&tables, command.json, as_json, |table| {
        format!("{}\t{}\t{}", table.name, table.rows, table.checksum)
    })
}

/// The new site needs the key of the old one.
fn about_key(config: &Config, target: &Location) -> String {
    let Some(path) = config.key_file() else { return "Keep VESTIBULE_SECRET as it is.".to_owned() };
    let path = std::path::absolute(&path).unwrap_or(path);
    let key = path.display();
    match target {
        Location::Sqlite(path) => {
            format!("Copy the key {key} to {}.", file::beside(path).display())
        }
        _ => format!(
            "Set VESTIBULE_DATABASE_URL to the new database and VESTIBULE_SECRET to the text of {key}, or VESTIBULE_SECRET_FILE to its path."
        ),
    }
}
