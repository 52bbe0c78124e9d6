//! Copies a site's data from SQLite to PostgreSQL, or back.

use crate::config::Config;
use crate::db::{self, CopiedTable, CopyError, Db, Location};
use crate::files;

/// Copies everything to `target`, called `name`, which has no accounts, while nobody else uses either
/// database.
pub async fn copy_to(
    config: &Config,
    target: &Location,
    name: &str,
) -> Result<Vec<CopiedTable>, CopyError> {
    config.database.require_existing()?;
    if let (Location::Sqlite(from), Location::Sqlite(to)) = (&config.database, target)
        && files::is_same(from, to)
    {
        return Err(CopyError::SameFile(name.to_owned()));
    }
    let from = Db::open_alone(&config.database).await?;
    let to = Db::open_alone(target).await.map_err(|error| error.at(name))?;
    let copied = db::copy(&from, &to).await;
    to.close().await;
    from.close().await;
    copied
}
