//! How far an account trusts the browser that a request came from, and what its attempts are counted by.

use super::mail_limits::MailQuota;
use super::rate_limits::{Counter, RateLimit};
use super::requester::Requester;
use crate::app::App;
use crate::db::DbError;
use crate::models::device::find_device;
use crate::models::user::User;

/// Codes for trusted devices that a network may request, as a multiple of those for others: enough for
/// an office, but not for an attacker who floods mailboxes from many accounts.
const TRUSTED_CODES_FACTOR: i64 = 4;

/// How far an account trusts a browser.
///
/// Each device that the account was used from has a separate limit, so guesses from elsewhere cannot
/// lock the owner out (OWASP "Slow Down Online Guessing Attacks with Device Cookies").
#[derive(Clone, Debug)]
pub struct ClientTrust {
    /// The key of the device, if the account was used from it, perhaps with an earlier password. With an
    /// earlier password it may be the owner's other browser or a thief's.
    device: Option<String>,
    /// Whether the account was used from it with its present password.
    is_trusted: bool,
    /// What the emails with its codes count toward.
    code_quota: MailQuota,
    /// The key of codes and of attempts at them. All trusted devices share one: repeated logins without
    /// the cookie make many of them, and the mailbox may belong to another person.
    pub code_key: String,
}

impl ClientTrust {
    /// How far `user` trusts the requester's browser; without a user the same query runs. `account` is
    /// the key of untrusted attempts.
    pub async fn of(
        app: &App,
        requester: &Requester,
        user: Option<&User>,
        account: String,
    ) -> Result<Self, DbError> {
        let code_quota = MailQuota::Codes;
        let untrusted = Self { device: None, is_trusted: false, code_quota, code_key: account };
        let tokens = &requester.device_tokens;
        if tokens.is_empty() {
            return Ok(untrusted);
        }
        let found = find_device(app.db.reader(), user, tokens, app.clock.now()).await?;
        let Some((user, found)) = user.zip(found) else { return Ok(untrusted) };
        // A new password starts a new count.
        let version = user.credential_version.to_string();
        // Under another name an update of the program would forget up to a year of failures.
        let device = Some(app.key.digest("budget", &[&user.id, &version, &found.token]));
        let is_trusted = found.is_trusted;
        if !is_trusted {
            return Ok(Self { device, ..untrusted });
        }
        let is_owner = user.has_known_address();
        let code_quota = if is_owner { MailQuota::TrustedCodes } else { MailQuota::UnprovedCodes };
        Ok(Self { device, is_trusted, code_quota, code_key: format!("trusted {}", user.id) })
    }

    /// The counters of a login. Only unknown browsers are counted by network: an office must not lock out
    /// a device of the owner. Each device is counted separately: the thief of one must not use up the
    /// attempts of the others.
    pub fn login_counters(&self, app: &App, requester: &Requester) -> Vec<Counter> {
        if let Some(device) = &self.device {
            return Counter::of_failures(app, device);
        }
        let mut counters =
            Counter::of_networks(app, RateLimit::LoginIp, requester.counted_networks());
        counters.extend(Counter::of_failures(app, &self.code_key));
        counters
    }

    /// The counters of a request for a code, besides those of its email. The last is a part of the
    /// mailbox's limit for this account, so that the address is not enough to use up its codes.
    pub fn code_counters(&self, app: &App, requester: &Requester) -> Vec<Counter> {
        let mut networks = requester.counted_networks();
        if self.is_trusted {
            for (network, times) in &mut networks {
                *network = format!("trusted {network}");
                *times *= TRUSTED_CODES_FACTOR;
            }
        }
        let mut counters = Counter::of_networks(app, RateLimit::ForgotIp, networks);
        let key = &self.code_key;
        counters.extend(Counter::of(app, RateLimit::ForgotAccount, key));
        counters.extend(self.code_quota.counter_of_account(app, &format!("asked {key}")));
        counters
    }

    /// The counters of the email with a code to the address `to`. Where no account matches they add
    /// nothing, so that requests with the address only do not use up its owner's emails.
    pub fn code_mail_counters(
        &self,
        app: &App,
        requester: &Requester,
        user: Option<&User>,
        to: &str,
    ) -> Vec<Counter> {
        let mut counters = self.code_quota.counters(app, to, requester);
        for counter in &mut counters {
            counter.adds = i64::from(user.is_some());
        }
        counters
    }
}
