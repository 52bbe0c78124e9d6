//! How often things may happen before they are refused.

use super::sources::RawSettings;
use super::values::{Rate, rate_or_off, whole};

/// The limits; `None` is off. The table of settings has the reason for each default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed logins from an IP address.
    pub login_ip: Option<Rate>,
    /// Failed logins to an account.
    pub login_account: Option<Rate>,
    /// Registrations from an IP address.
    pub register_ip: Option<Rate>,
    /// Codes requested from an IP address.
    pub forgot_ip: Option<Rate>,
    /// Codes requested for an account.
    pub forgot_account: Option<Rate>,
    /// Wrong guesses at an account, over all its codes.
    pub reset_account: Option<Rate>,
    /// Emails to a mailbox.
    pub mail_address: Option<Rate>,
    /// Emails to the mailboxes of a domain.
    pub mail_domain: Option<Rate>,
    /// All emails.
    pub mail_site: Option<Rate>,
    /// Wrong guesses at one code.
    pub reset_code: i64,
}

impl Limits {
    pub(super) fn read(raw: &mut RawSettings) -> Self {
        let mut rate = |name| raw.value(name, rate_or_off);
        Self {
            login_ip: rate("LIMIT_LOGIN_IP"),
            login_account: rate("LIMIT_LOGIN_ACCOUNT"),
            register_ip: rate("LIMIT_REGISTER_IP"),
            forgot_ip: rate("LIMIT_FORGOT_IP"),
            forgot_account: rate("LIMIT_FORGOT_ACCOUNT"),
            reset_account: rate("LIMIT_RESET_ACCOUNT"),
            mail_address: rate("LIMIT_MAIL_ADDRESS"),
            mail_domain: rate("LIMIT_MAIL_DOMAIN"),
            mail_site: rate("LIMIT_MAIL_SITE"),
            // With more than 20 the code's length would be pointless.
            reset_code: raw.value("LIMIT_RESET_CODE", whole(1..=20)),
        }
    }
}
