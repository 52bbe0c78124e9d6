//! `CurrentUser`: the user who is logged in, as applications know them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::models::user::User;

/// The user who is logged in. As JSON it is what `GET /session` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentUser {
    /// Opaque, 26 characters; never changes. `vestibule_users(id)` in the database.
    pub id: String,
    /// Lower-case, unique; a user may change it. The address, as `email`, where the account has no username:
    /// no other account has that as its username.
    pub username: String,
    /// As the user typed it.
    pub email: String,
    /// Whether the user has shown that mail to the address reaches them.
    pub email_verified: bool,
    /// When this session began. RFC 3339 in JSON.
    #[serde(with = "time::serde::rfc3339")]
    pub logged_in_at: OffsetDateTime,
}

impl CurrentUser {
    /// `logged_in_at` is Unix time.
    pub(crate) fn new(user: &User, logged_in_at: i64) -> Self {
        let logged_in_at = OffsetDateTime::from_unix_timestamp(logged_in_at);
        Self {
            id: user.id.clone(),
            username: user.display_name().to_owned(),
            email: user.email.clone(),
            email_verified: user.is_email_verified(),
            logged_in_at: logged_in_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_fields_by_name_and_the_time_in_rfc_3339() {
        let user = User {
            id: "01".to_owned(),
            username: "ann".to_owned(),
            email: "Ann@meadow.example".to_owned(),
            password_hash: "a hash".to_owned(),
            credential_version: 1,
            created_at: 0,
            email_verified_at: Some(1),
            password_blocked_at: None,
            approval_asked_at: None,
            disabled_at: None,
        };
        let user = CurrentUser::new(&user, 1_795_370_400);
        let json = serde_json::to_value(&user).unwrap();
        let expected = serde_json::json!({
            "id": "01",
            "username": "ann",
            "email": "Ann@meadow.example",
            "email_verified": true,
            "logged_in_at": "2026-11-22T18:00:00Z",
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<CurrentUser>(json).unwrap(), user);
    }
}
