//! Copies a site's data from SQLite to PostgreSQL, or back.

use crate::config::Config;
use crate::db::{self, CopiedTable, CopyError, Db, Location};

/// Copies everything to `target`, which has no accounts, while nobody else uses either database.
pub async fn copy_to(config: &Config, target: &Location) -> Result<Vec<CopiedTable>, CopyError> {
    config.database.require_existing()?;
    let from = Db::open_alone(&config.database).await?;
    let to = Db::open_alone(target).await.map_err(|error| match target {
        Location::Sqlite(_) => error,
        _ => error.at("the target"),
    })?;
    let copied = db::copy(&from, &to).await;
    to.close().await;
    from.close().await;
    copied
}
