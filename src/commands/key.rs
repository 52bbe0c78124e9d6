//! `vestibule key rotate`: replace the server's key.

use super::CommandError;
use crate::accounts::rotate_key::{RotateError, rotate_key};
use crate::config::Config;

pub const EXAMPLE: &str = "Example:
  vestibule key rotate

With VESTIBULE_SECRET it says what to do instead.";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Replace vestibule.key; the old key stays in force for codes and emails on their way
    #[command(after_help = super::help(EXAMPLE))]
    Rotate,
}

pub async fn run(command: Command, config: &Config) -> Result<(), CommandError> {
    let Command::Rotate = command;
    let rotated = rotate_key(config).await.map_err(|why| match why {
        RotateError::Setting => CommandError::Usage(why.to_string()),
        RotateError::Failed(_) => CommandError::Failed(why.to_string()),
    })?;
    let when = if rotated.is_in_use {
        "The database is in use: a running server uses the old key until you start it again."
    } else {
        "It comes into force when the server starts."
    };
    eprintln!(
        "There is a new key in {}. {when} The old key stays in force for codes and emails on their way, until the last of them has expired. Copy the file to where you keep the key.",
        rotated.key.display()
    );
    Ok(())
}
