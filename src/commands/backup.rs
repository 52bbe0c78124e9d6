//! `vestibule backup FILE` and `vestibule restore FILE`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{CommandError, print};
use crate::accounts::backup::{back_up_to, restore_from};
use crate::config::Config;

pub const BACKUP_EXAMPLES: &str = "Beside a running server, too. Overwrites nothing.

Examples:
  vestibule backup /var/backups/vestibule.db
  vestibule backup \"/var/backups/$(date +%F).db\" --json";

pub const RESTORE_EXAMPLES: &str = "Stop the server first. All sessions and trusted devices are ended, codes and waiting emails are deleted.

Examples:
  vestibule restore /var/backups/vestibule.db
  vestibule restore /var/backups/vestibule.db --force";

#[derive(clap::Args)]
pub struct Backup {
    /// The new file
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// Replace the database that exists
    #[arg(long)]
    force: bool,
}

pub async fn back_up(config: &Config, command: Backup) -> Result<(), CommandError> {
    if command.file == Path::new("-") {
        return Err(CommandError::Usage(
            "a backup is checked before it gets its name: give the name of a file".to_owned(),
        ));
    }
    let backup = back_up_to(config, &command.file).await?;
    let key = name_of_key(backup.key.as_deref());
    eprintln!(
        "The backup is written and checked. {key} is not part of it: keep that too, in another place."
    );
    if command.json {
        let tables: serde_json::Map<String, Value> =
            backup.tables.into_iter().map(|(name, rows)| (name, json!(rows))).collect();
        return print(&json!({ "file": command.file, "tables": tables }));
    }
    backup.tables.iter().try_for_each(|(name, rows)| print(&format!("{name}\t{rows}")))
}

pub async fn restore(config: &Config, command: Restore) -> Result<(), CommandError> {
    let restored = restore_from(config, &command.file, command.force).await?;
    let (sessions, devices, mails) = (restored.sessions, restored.devices, restored.mails);
    eprintln!(
        "The backup is restored. All sessions are ended ({sessions}) and no device is trusted ({devices} were); codes and waiting emails ({mails}) are deleted. Passwords, addresses, disabled accounts and invitations are those of the backup."
    );
    let missing = restored.key.filter(|key| !key.exists());
    if let Some(key) = missing {
        eprintln!(
            "{} is missing: restore it too. Without it the next start makes a new one, or asks for --accept-new-key.",
            key.display()
        );
    }
    Ok(())
}

fn name_of_key(file: Option<&Path>) -> String {
    let path = file.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    path.map_or_else(
        || "The key in VESTIBULE_SECRET".to_owned(),
        |path| format!("The key {}", path.display()),
    )
}
