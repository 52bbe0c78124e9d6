//! Flashes that wait for the next page, in the session or in a cookie.

use std::mem::{discriminant, take};

use super::session_data::SessionData;
use super::{Visitor, cookies};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::models::session::write_if_possible;

/// Flashes that wait to be shown: repeated forms must not make the session grow.
const MAX_FLASHES: usize = 3;

impl Visitor {
    /// Has the next page show `flash` if the request carried a session cookie, valid or not. Kept
    /// in a cookie and not in a new session: a made-up session cookie must not cost a database row.
    pub fn set_flash_cookie(&self, flash: &Flash) {
        let found = cookies::COOKIE_FLASHES.iter().find(|(_, known)| known == flash);
        if let Some((value, _)) = found
            && self.cookie(&cookies::SESSION).is_some()
        {
            self.set_cookie(&cookies::FLASH, (*value).to_owned());
        }
    }

    /// Has the next page say that the session has ended, if the request carried the cookie of a session that
    /// no longer exists. A first visit has none, nor has a browser that was shown "You've been logged out.".
    pub fn flash_if_session_expired(&self) {
        // tower-sessions drops the id of a session that it does not find.
        if self.session.id().is_none() {
            self.set_flash_cookie(&Flash::SessionEnded);
        }
    }

    /// The flash of [`Visitor::set_flash_cookie`], once.
    pub fn take_flash_cookie(&self) -> Option<Flash> {
        let sent = self.cookie(&cookies::FLASH).filter(|_| self.shows_page())?;
        self.cookies.remove(cookies::FLASH.build(&self.app.config, String::new()));
        let found = cookies::COOKIE_FLASHES.into_iter().find(|(value, _)| *value == sent);
        found.map(|(_, flash)| flash)
    }

    /// Shows `flash` on the next page, once.
    pub async fn add_flash(&mut self, flash: Flash) -> Result<(), RequestError> {
        let flashes = &mut self.data.flashes;
        flashes.retain(|old| discriminant(old) != discriminant(&flash));
        if flashes.len() < MAX_FLASHES {
            flashes.push(flash);
        }
        self.save().await
    }

    /// Returns the flashes and removes them from the session.
    pub(super) async fn take_flashes(&mut self) -> Result<Vec<Flash>, RequestError> {
        let flashes = take(&mut self.data.flashes);
        if flashes.is_empty() {
            return Ok(flashes);
        }
        if self.data != SessionData::default() {
            self.save().await?;
        } else if !write_if_possible("an_empty_session_was_not_deleted", self.end_session()).await {
            // The cookie is removed anyway. The row holds no login and expires within an hour.
            self.session.clear().await;
        }
        Ok(flashes)
    }
}
