//! What a visitor's session holds, as its row has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tower_sessions::session;

use crate::accounts::one_time_code::PendingCode;
use crate::flash::Flash;
use crate::models::login::Login;
use crate::models::one_time_code::Purpose;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SessionData {
    #[serde(flatten)]
    pub login: Option<Login>,
    /// What the next page shows once.
    #[serde(rename = "notices", default, skip_serializing_if = "Vec::is_empty")]
    pub flashes: Vec<Flash>,
    /// The codes that were requested in this browser.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codes: BTreeMap<Purpose, PendingCode>,
    /// Where earlier versions stored the one of a reset.
    #[serde(default, skip_serializing)]
    reset: Option<PendingCode>,
    /// The digest of the session that this browser last set a password in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_set_in: Option<String>,
    /// The digest of the token of the link that this browser used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_link: Option<String>,
}

impl SessionData {
    pub fn read(text: &str) -> Result<Self, session::Error> {
        let mut data: Self = serde_json::from_str(text)?;
        if let Some(reset) = data.reset.take() {
            data.codes.insert(Purpose::PasswordReset, reset);
        }
        Ok(data)
    }

    pub fn text(&self) -> Result<String, session::Error> {
        Ok(serde_json::to_string(self)?)
    }

    /// What is left when the session ends: a registration under way is nobody's who logs in or out meanwhile.
    pub fn without_login(mut self) -> Self {
        self.codes.retain(|purpose, _| *purpose == Purpose::Register);
        Self { codes: self.codes, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// During an update, people have sessions and codes of the version before.
    #[test]
    fn sessions_of_an_earlier_version_are_read() {
        let stored = r#"{"user_id":"u","credential_version":2,"remember":true,"username":"ann",
            "notices":["code_replaced"],"code_unseen":true,"password_set_in":"p",
            "reset":{"id":"c","username":"ann","email":"ann@meadow.example","digest":"d",
                "codes_sent":3,"sent_at":7,"budget":"id u 2"}}"#;
        let data = SessionData::read(stored).unwrap();
        assert!(data.login.is_some_and(|login| login.remember && login.credential_version == 2));
        assert_eq!(data.flashes.len(), 1);
        assert_eq!(data.password_set_in.as_deref(), Some("p"));
        let code = &data.codes[&Purpose::PasswordReset];
        assert_eq!((&*code.username, &*code.email), ("ann", "ann@meadow.example"));
        assert_eq!((&*code.digest, code.codes_sent, code.sent_at), ("d", 3, 7));
        assert_eq!(code.attempts_key, "id u 2");
    }
}
