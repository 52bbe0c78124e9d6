//! How often things may happen before they are refused.

use super::sources::RawSettings;
use super::values::{DAY, HOUR, MINUTE, Rate, whole};

/// Wrong guesses at one code, unless it is set.
const GUESSES: i64 = 5;

/// More guesses at one code than this would make the code's length pointless.
const GUESSES_MAX: i64 = 20;

/// The limits; `None` is off. The table of settings has the reason for each default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed logins from an IP address.
    pub login_ip: Option<Rate>,
    /// Failed logins to an account.
    pub login_account: Option<Rate>,
    /// Registrations from an IP address.
    pub register_ip: Option<Rate>,
    /// Codes asked for from an IP address.
    pub forgot_ip: Option<Rate>,
    /// Codes asked for an account.
    pub forgot_account: Option<Rate>,
    /// Wrong guesses at an account, over all its codes.
    pub reset_account: Option<Rate>,
    /// Mails to a mailbox.
    pub mail_address: Option<Rate>,
    /// Mails to the mailboxes of a domain.
    pub mail_domain: Option<Rate>,
    /// All mails.
    pub mail_site: Option<Rate>,
    /// Wrong guesses at one code.
    pub reset_code: i64,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |count, period| Some(Rate { count, period });
        Self {
            login_ip: rate(300, 15 * MINUTE),
            login_account: rate(10, 15 * MINUTE),
            register_ip: rate(60, HOUR),
            forgot_ip: rate(60, HOUR),
            forgot_account: rate(10, HOUR),
            reset_account: rate(20, DAY),
            mail_address: rate(30, DAY),
            mail_domain: rate(3000, HOUR),
            mail_site: rate(30_000, HOUR),
            reset_code: GUESSES,
        }
    }
}

impl Limits {
    /// For tests. The limit of guesses at one code cannot be off.
    pub const fn off() -> Self {
        Self {
            login_ip: None,
            login_account: None,
            register_ip: None,
            forgot_ip: None,
            forgot_account: None,
            reset_account: None,
            mail_address: None,
            mail_domain: None,
            mail_site: None,
            reset_code: GUESSES,
        }
    }

    pub(super) fn apply(&mut self, raw: &mut RawSettings) {
        for (name, slot) in [
            ("LIMIT_LOGIN_IP", &mut self.login_ip),
            ("LIMIT_LOGIN_ACCOUNT", &mut self.login_account),
            ("LIMIT_REGISTER_IP", &mut self.register_ip),
            ("LIMIT_FORGOT_IP", &mut self.forgot_ip),
            ("LIMIT_FORGOT_ACCOUNT", &mut self.forgot_account),
            ("LIMIT_RESET_ACCOUNT", &mut self.reset_account),
            ("LIMIT_MAIL_ADDRESS", &mut self.mail_address),
            ("LIMIT_MAIL_DOMAIN", &mut self.mail_domain),
            ("LIMIT_MAIL_SITE", &mut self.mail_site),
        ] {
            raw.set(name, slot, Rate::parse_or_off);
        }
        raw.set("LIMIT_RESET_CODE", &mut self.reset_code, whole(1..=GUESSES_MAX));
    }
}
