//! Who is logged in in a session: a part of the session's data.

use serde::{Deserialize, Serialize};

use super::client::Client;
use crate::config::SessionLife;

/// The part of the session's data that is there while a user is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    pub user_id: String,
    /// The user's at login.
    pub credential_version: i64,
    /// Whether "Keep me logged in" was ticked.
    pub remember: bool,
    /// Where the user logged in; empty in sessions of earlier versions.
    #[serde(default)]
    pub client: Client,
    /// When the password was last given, Unix time; 0 in sessions of an earlier version.
    #[serde(default)]
    pub authenticated_at: i64,
}

impl Login {
    /// That of a session with this data, if somebody is logged in in it.
    pub fn of(data: &str) -> Option<Self> {
        serde_json::from_str(data).ok()
    }
}

impl SessionLife {
    /// How long such a session may be unused, in seconds.
    pub fn idle_of(self, login: &Login) -> i64 {
        if login.remember { self.idle } else { self.idle_unremembered }
    }
}
