//! Measures the imported hashes that are left, so that a refused login takes the same time for all accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;
use crate::event::Event;
use crate::imported_hash::MAX_PASSWORD_BYTES;
use crate::models::imported_user::find_scheme_after;

/// How long an import beside a running server may go unnoticed.
const INTERVAL: Duration = Duration::from_mins(1);

/// Measures each minute what is new. Does not end.
pub async fn run(app: App) {
    let mut known = BTreeSet::new();
    loop {
        if let Err(error) = measure(&app, &mut known).await {
            Event::log_fault("the_imported_hashes_were_not_measured", &error);
        }
        sleep(INTERVAL).await;
    }
}

/// Compares a password with one hash of each scheme that is not known: the hasher learns its time.
pub async fn measure(
    app: &App,
    known: &mut BTreeSet<String>,
) -> Result<(), crate::accounts::Error> {
    // The time of some algorithms grows with the password.
    let longest = [b'x'; MAX_PASSWORD_BYTES];
    let mut last = String::new();
    while let Some(found) = find_scheme_after(app.db.reader(), &last).await? {
        if !known.contains(&found.password_scheme) {
            // Our own, too: some imported ones take less time.
            for stored in [None, Some(&*found.password_hash)] {
                app.hasher.measure(&longest, stored).await?;
            }
            known.insert(found.password_scheme.clone());
        }
        last = found.password_scheme;
    }
    if last.is_empty() && !known.is_empty() {
        app.hasher.forget_imported();
        known.clear();
    }
    Ok(())
}
