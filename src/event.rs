//! The event log: every line that this program writes to its log, with its name and its fields.
//!
//! One place, so that names and fields stay the same (a test lets no other file write a line), and
//! nothing that a visitor typed is logged. Each line within [`with_origin`] names its request.

use std::fmt::{Display, Write};
use std::net::IpAddr;

use tracing::Level;

/// The most characters of a text from another program (a database, a mail server) on a line.
const MAX_TEXT: usize = 300;

/// Where a request came from, and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// In the answer's `X-Request-Id`, too.
    pub request: String,
    /// The visitor's address; none where the server was not told who connected.
    pub peer: Option<IpAddr>,
}

tokio::task_local! {
    static ORIGIN: Origin;
}

/// Runs `work` for a request: every line from it has the request's id and peer.
pub async fn with_origin<F: Future>(origin: Origin, work: F) -> F::Output {
    ORIGIN.scope(origin, work).await
}

/// Wraps `work` for another task, so that its lines still have the request's id and peer.
pub fn with_current_origin<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let origin = ORIGIN.try_with(Clone::clone).ok();
    async move {
        match origin {
            Some(origin) => with_origin(origin, work).await,
            None => work.await,
        }
    }
}

/// The origin of a request, for another thread.
pub struct CurrentOrigin(Option<Origin>);

/// The origin of the current request.
pub fn current_origin() -> CurrentOrigin {
    CurrentOrigin(ORIGIN.try_with(Clone::clone).ok())
}

impl CurrentOrigin {
    /// Runs `work`: every line from it has the request's id and peer.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        match self.0 {
            Some(origin) => ORIGIN.sync_scope(origin, work),
            None => work(),
        }
    }
}

/// The id of the current request.
pub fn request_id() -> Option<String> {
    ORIGIN.try_with(|origin| origin.request.clone()).ok()
}

/// The fields of a line beside its name, the request and the peer. Empty ones are left out.
#[derive(Clone, Copy, Default)]
pub struct Details<'a> {
    /// The account's id.
    pub account: Option<&'a str>,
    /// One of our own words.
    pub reason: Option<&'static str>,
    /// What another program or library said.
    pub cause: Option<&'a dyn Display>,
    /// The limit that was reached, as its setting is called.
    pub limit: Option<&'static str>,
    /// Seconds until it is open again.
    pub retry_after: Option<i64>,
    /// The most connections at once.
    pub connections: Option<usize>,
    /// How many sessions were ended.
    pub sessions: Option<u64>,
    /// The site that a form came from: scheme, host and port.
    pub origin: Option<&'a str>,
    /// The route, as the program names it, never as it was typed.
    pub path: Option<&'a str>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The program's version.
    pub version: Option<&'static str>,
    /// Of an email.
    pub mail: MailDetails<'a>,
}

/// The fields of an email's event.
#[derive(Clone, Copy, Default)]
pub struct MailDetails<'a> {
    /// Its id.
    pub id: Option<&'a str>,
    /// `reset_code`, `registered`, …
    pub kind: Option<&'a str>,
    /// The address, masked.
    pub to: Option<&'a str>,
    /// How often delivery was tried.
    pub tries: Option<i64>,
    /// Seconds until the next try.
    pub wait: Option<i64>,
}

struct Entry {
    name: &'static str,
    level: Level,
    fields: &'static [&'static str],
    when: &'static str,
}

macro_rules! events {
    ($($variant:ident $level:ident $name:literal [$($field:literal)*] $when:literal)*) => {
        /// What happened. The sentences are those of the documentation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {$(
            #[doc = $when]
            $variant,
        )*}

        impl Event {
            /// All, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            fn entry(self) -> Entry {
                match self {$(
                    Self::$variant =>
                        Entry { name: $name, level: Level::$level, fields: &[$($field),*], when: $when },
                )*}
            }
        }
    };
}

events! {
    Registered INFO "registered" ["account"]
        "Somebody made an account, and is logged in with it."
    RegisterRefused INFO "register_refused" ["reason"]
        "A registration was refused: `taken` is a username or an address that has an account."
    Login INFO "login" ["account"]
        "Somebody logged in with a password."
    LoginRefused INFO "login_refused" ["account"]
        "A login was refused. `account` when there is such an account: then the password was wrong."
    LoginStopped WARN "login_stopped" ["account"]
        "There were 100 wrong passwords in a row: from now on the browsers that sent them (one trusted device, or all others together) are refused until there is a new password. `account` when there is such an account."
    DeviceNew INFO "device_new" ["account"]
        "A login came from a browser that this account was not used from before, but from others."
    Limited WARN "limited" ["account" "limit" "retry_after"]
        "A rate limit was exceeded. `limit` is the name of its setting; requests are allowed again in `retry_after` seconds. `login_in_a_row` has no setting, and only a new password resets it. `account` when it is known."
    MailLimitReached WARN "mail_limit_reached" ["limit" "retry_after"]
        "The site has sent all the mails of one kind that `VESTIBULE_LIMIT_MAIL_SITE` leaves it: written once, when the last of them is counted. Further codes are refused and further notices are left out for `retry_after` seconds."
    AccessRefused INFO "access_refused" ["path"]
        "A page for people who are logged in was asked for without a session."
    CodeAsked INFO "code_asked" ["account"]
        "A code was asked for. No `account`: none has both the username and the address, and no mail goes out."
    CodeResent INFO "code_resent" ["account"]
        "Another code was asked for in the same browser; the one before it is dead."
    CodeRefused INFO "code_refused" ["account" "reason"]
        "A code was refused: `wrong`, `expired`, `too_many` (wrong ones before it) or `gone` (used or replaced)."
    PasswordReset INFO "password_reset" ["account"]
        "A code was used to set a new password."
    PasswordChanged INFO "password_changed" ["account"]
        "Somebody who knew the current password set a new one."
    PasswordChangeRefused INFO "password_change_refused" ["account"]
        "The current password was wrong."
    SessionEnded INFO "session_ended" ["account" "reason" "sessions"]
        "So many sessions of the account were ended by `logout`, `password_change` (the browser's own among them, which goes on under a new id) or `reset`."
    UserAdded INFO "user_added" ["account"]
        "`vestibule user add` made an account."
    CrossSiteRefused WARN "cross_site_refused" ["origin"]
        "A form did not come from this site's own pages. `origin` is where it says that it came from."
    HostRefused WARN "host_refused" []
        "The development mailbox was asked for under a name that is not the site's."
    MailboxRefused WARN "mailbox_refused" []
        "The development mailbox was asked for from another machine, which `VESTIBULE_DEV_MAILBOX` does not allow."
    RequestRefused WARN "request_refused" ["path" "reason" "status"]
        "A request was `too_large`, `too_slow`, `not_a_form` or `unreadable` (a field twice, broken encoding, a head with two meanings)."
    RequestFailed ERROR "request_failed" ["cause" "path" "status"]
        "An answer of 500 or more. The visitor was shown `request` as the reference."
    Panicked ERROR "panicked" ["cause" "path"]
        "A bug. `path` is where in the source."
    Fault WARN "fault" ["cause" "reason"]
        "Something beside the request did not work, and the request went on. What it was: `a_background_task_panicked`, `a_connection_was_not_accepted`, `a_device_was_not_noted`, `a_guess_was_not_given_back`, `a_limit_was_not_taken_back`, `a_password_was_not_hashed_anew`, `a_stored_password_hash_cannot_be_used`, `an_empty_session_was_not_deleted`, `notices_were_not_struck_out`, `the_clock_went_back`, `the_last_use_of_a_session_was_not_noted`, `what_has_expired_was_not_cleared_away`."
    MailSent INFO "mail_sent" ["cause" "kind" "mail"]
        "The mail server took a mail. `cause` is what it said."
    MailWaits WARN "mail_waits" ["cause" "reason"]
        "No mail goes out: `server_away` (no connection, no TLS, no login, no answer) or `database_failed`. It is tried again, at least once a minute."
    MailRefused WARN "mail_refused" ["cause" "kind" "mail" "to" "tries" "wait"]
        "The mail server refused a mail. It is tried again in `wait` seconds."
    MailUnanswered WARN "mail_unanswered" ["kind" "mail" "wait"]
        "The mail server did not say whether it took a mail. It is tried again in `wait` seconds."
    MailGivenUp WARN "mail_given_up" ["cause" "kind" "mail" "reason" "to" "tries"]
        "A mail will not be sent: it was refused for a day (`refused`), waited for a day (`too_old`), or was sealed with another `VESTIBULE_SECRET` (`other_key`)."
    MailExpired INFO "mail_expired" ["kind" "mail"]
        "A code's time was over before its mail could be sent."
    MailboxOpen WARN "mailbox_open" ["cause"]
        "Everybody who can reach the address that is listened on can read all mail at `/dev/mailbox`, codes included: set `VESTIBULE_SMTP_URL` before real people use the site."
    FileExposed WARN "file_exposed" ["cause"]
        "Other users of the machine could read or change a file that holds accounts, or replace the files in its folder. `cause` names it, the mode that was found, and what was done or is to be done."
    WeakSetting WARN "weak_setting" ["cause"]
        "A setting gives up a protection that the default has. `cause` says which, and what is given up."
    ConnectionsFull WARN "connections_full" []
        "All connections are in use, and the next one waits: see `VESTIBULE_MAX_CONNECTIONS`."
    ConnectionsLowered WARN "connections_lowered" ["connections"]
        "The process may not open as many files as `VESTIBULE_MAX_CONNECTIONS` needs: so many `connections` are served at once. Raise the hard limit (`ulimit -Hn`, `LimitNOFILE=`) to 128 above the setting."
    Started INFO "started" ["version"]
        "The site is served from here on."
    Stopping INFO "stopping" []
        "A signal to stop has come: no new connections, what runs may finish."
    Stopped INFO "stopped" ["reason"]
        "It has stopped: `finished`, `out_of_time` (some work was cut off after 9 seconds) or `told_twice` (by a second signal)."
}

impl Event {
    /// The value of the line's `event`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The fields that it may have beside `event`, `request` and `peer`.
    pub fn fields(self) -> &'static [&'static str] {
        self.entry().fields
    }

    /// Writes the line.
    pub fn write(self, details: Details<'_>) {
        let origin = ORIGIN.try_with(Clone::clone).ok();
        let request = origin.as_ref().map(|origin| origin.request.as_str());
        let peer = origin.as_ref().and_then(|origin| origin.peer).map(|peer| peer.to_string());
        emit(&self.entry(), (request, peer.as_deref()), &details);
    }

    /// Writes the line of an account's event.
    pub fn of(self, account: &str) {
        self.write(Details { account: Some(account), ..Details::default() });
    }

    /// Writes the line of revoked sessions, and why.
    pub fn sessions_ended(account: &str, reason: &'static str, sessions: u64) {
        let (account, reason, sessions) = (Some(account), Some(reason), Some(sessions));
        Self::SessionEnded.write(Details { account, reason, sessions, ..Details::default() });
    }

    /// Writes the line of something that did not work.
    pub fn because(self, reason: &'static str, cause: &dyn Display) {
        let (reason, cause) = (Some(reason), Some(cause));
        self.write(Details { reason, cause, ..Details::default() });
    }
}

/// `tracing` needs constant levels and field names: one call with every field for each level.
fn emit(entry: &Entry, (request, peer): (Option<&str>, Option<&str>), details: &Details<'_>) {
    let Details { account, reason, limit, retry_after, connections, .. } = *details;
    let Details { sessions, path, status, version, mail, .. } = *details;
    let MailDetails { id, kind, tries, wait, .. } = mail;
    let cause = details.cause.map(one_line);
    let (origin, to) =
        (details.origin.map(|text| one_line(&text)), mail.to.map(|text| one_line(&text)));
    macro_rules! line {
        ($level:ident) => {
            tracing::event!(
                target: "vestibule", Level::$level, event = entry.name, request, account, peer,
                reason, cause, limit, retry_after, connections, sessions, origin, path, status,
                version, mail = id, kind, to, tries, wait
            )
        };
    }
    match entry.level {
        Level::ERROR => line!(ERROR),
        Level::WARN => line!(WARN),
        _ => line!(INFO),
    }
}

/// Without line breaks: the log of a host program may write texts as they are.
fn one_line(words: &dyn Display) -> String {
    let words = words.to_string();
    words.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A Markdown table of every event with its level, fields and meaning, for the documentation.
pub fn events_table() -> String {
    let mut table = String::from("| `event` | level | fields | when |\n|---|---|---|---|\n");
    for Entry { name, level, fields, when } in Event::ALL.iter().map(|event| event.entry()) {
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{name}` | {level} | {} | {when} |", fields.join(" "));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_on_another_thread_keeps_its_request() {
        let origin = Origin { request: "r1".to_owned(), peer: None };
        let origin = with_origin(origin, async { current_origin() }).await;
        let elsewhere = std::thread::spawn(move || origin.run(request_id));
        assert_eq!(elsewhere.join().unwrap(), Some("r1".to_owned()));
        assert_eq!(current_origin().run(request_id), None);
    }
}
