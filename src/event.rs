//! The event log: every line that this program writes, with its name and its fields.
//!
//! One place, so that names and fields stay the same (a test lets no other file write a line), and
//! nothing that a visitor typed is logged. `docs/events.md` says when each event is written.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::Value;
use tracing::{Instrument, Level};

/// The most characters of one text: a database or a mail server may say a lot.
const MAX_TEXT: usize = 300;

/// The request that a line belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The id that the response carries as `X-Request-Id`.
    pub request: String,
    /// The visitor's address, if it is known.
    pub peer: Option<IpAddr>,
}

/// Whether this process works for the operator alone.
static BY_OPERATOR: AtomicBool = AtomicBool::new(false);

/// Says that each line of this process is about what the operator does on the command line.
pub fn act_for_operator() {
    BY_OPERATOR.store(true, Ordering::Relaxed);
}

tokio::task_local! {
    static ORIGIN: Option<Origin>;
}

/// The request that the current task works for.
pub fn current_origin() -> Option<Origin> {
    ORIGIN.try_with(Clone::clone).ok().flatten()
}

/// Runs a future whose lines belong to the request `origin`.
pub async fn with_origin<F: Future>(origin: Option<Origin>, work: F) -> F::Output {
    ORIGIN.scope(origin, work).await
}

/// A future whose lines and traces belong to the current request, on any task.
pub fn in_current_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    with_origin(current_origin(), work).in_current_span()
}

/// Runs a closure whose lines belong to the request `origin`.
pub fn run_with_origin<T>(origin: Option<Origin>, work: impl FnOnce() -> T) -> T {
    ORIGIN.sync_scope(origin, work)
}

macro_rules! events {
    ($($variant:ident $level:ident $name:literal $({ $($field:ident: $type:ty),* })?)*) => {
        /// What happened.
        #[derive(Clone, Copy)]
        pub enum Event<'a> {$(
            $variant $({ $($field: $type),* })?,
        )*}

        impl Event<'_> {
            /// The name, level and fields of each event.
            pub const ALL: &'static [(&'static str, Level, &'static [&'static str])] =
                &[$(($name, Level::$level, &[$($(stringify!($field)),*)?])),*];

            /// Writes the line, with the current request's id and peer, or that the operator did it. Fields that
            /// are `None` are left out.
            pub fn write(self) {
                let origin = current_origin();
                let request = origin.as_ref().map(|origin| &*origin.request);
                let peer = origin.as_ref().and_then(|origin| origin.peer).map(|ip| ip.to_string());
                let actor = BY_OPERATOR.load(Ordering::Relaxed).then_some("operator");
                match self {$(
                    Self::$variant $({ $($field),* })? => tracing::event!(
                        target: "vestibule", Level::$level,
                        event = $name, request, peer, actor, $($($field = $field.value()),*)?
                    ),
                )*}
            }
        }
    };
}

events! {
    Registered INFO "registered" { account: &'a str }
    ApprovalAsked INFO "approval_asked" { account: &'a str }
    UserApproved INFO "user_approved" { account: &'a str }
    LoginWaits INFO "login_waits" { account: &'a str }
    EmailVerified INFO "email_verified" { account: &'a str }
    RegisterRefused INFO "register_refused" { reason: &'static str }
    Login INFO "login" { account: &'a str }
    LoginByCode INFO "login_by_code" { account: &'a str }
    LoginRefused INFO "login_refused" { account: Option<&'a str> }
    LoginStopped WARN "login_stopped" { account: Option<&'a str> }
    DeviceNew INFO "device_new" { account: &'a str }
    DeviceForgotten INFO "device_forgotten" { account: &'a str }
    DataExported INFO "data_exported" { account: &'a str }
    Limited WARN "limited" {
        account: Option<&'a str>, limit: &'static str, retry_after: Option<i64>
    }
    MailLimitReached WARN "mail_limit_reached" { limit: &'static str, retry_after: i64 }
    AppLogin INFO "app_login" { account: &'a str, app: &'a str }
    TicketRefused WARN "ticket_refused" { reason: &'static str }
    ForwardRefused WARN "forward_refused" { reason: &'static str }
    KeyReplaced WARN "key_replaced" { cause: &'a dyn Display }
    KeyRotated INFO "key_rotated"
    OldKeyForgotten INFO "old_key_forgotten"
    SigningKeyAdded INFO "signing_key_added" { number: i64 }
    AccessRefused INFO "access_refused" { path: Option<&'a str> }
    CodeAsked INFO "code_asked" { account: Option<&'a str>, purpose: &'static str }
    CodeResent INFO "code_resent" { account: Option<&'a str>, purpose: &'static str }
    CodeRefused INFO "code_refused" {
        account: Option<&'a str>, purpose: &'static str, reason: &'static str
    }
    EmailChanged INFO "email_changed" { account: &'a str }
    UsernameAsked INFO "username_asked" { account: Option<&'a str> }
    UsernameChanged INFO "username_changed" { account: &'a str }
    EmailRestored WARN "email_restored" { account: &'a str }
    NotMe WARN "not_me" { account: &'a str }
    Unlocked INFO "unlocked" { account: &'a str }
    LinkRefused INFO "link_refused" { purpose: &'static str }
    PasswordReset INFO "password_reset" { account: &'a str }
    PasswordChanged INFO "password_changed" { account: &'a str }
    CurrentPasswordRefused INFO "current_password_refused" { account: &'a str }
    SessionEnded INFO "session_ended" { account: &'a str, reason: &'static str, sessions: u64 }
    Invited INFO "invited" { to: &'a str }
    InvitationRevoked INFO "invitation_revoked" { to: &'a str }
    UserAdded INFO "user_added" { account: &'a str }
    UserDisabled INFO "user_disabled" { account: &'a str }
    UserEnabled INFO "user_enabled" { account: &'a str }
    CodeGiven INFO "code_given" { account: &'a str }
    UserDeleted INFO "user_deleted" { account: &'a str }
    HookFailed WARN "hook_failed" {
        cause: &'a dyn Display, hook: &'static str, account: &'a str, tries: i64, wait: i64
    }
    CrossSiteRefused WARN "cross_site_refused" { origin: Option<&'a str> }
    HostRefused WARN "host_refused"
    MailboxRefused WARN "mailbox_refused"
    RequestRefused WARN "request_refused" {
        reason: &'static str, path: Option<&'a str>, status: u64
    }
    RequestFailed ERROR "request_failed" {
        cause: Option<&'a dyn Display>, path: Option<&'a str>, status: u64
    }
    Panicked ERROR "panicked" { cause: &'a str, path: Option<&'a str> }
    Fault WARN "fault" { reason: &'static str, cause: &'a dyn Display }
    MailSent INFO "mail_sent" {
        cause: &'a str, account: Option<&'a str>, mail: &'a str, kind: &'a str, to: &'a str
    }
    MailWaits WARN "mail_waits" { reason: &'static str, cause: &'a dyn Display }
    MailRefused WARN "mail_refused" {
        cause: &'a str, account: Option<&'a str>, mail: &'a str, kind: &'a str, to: &'a str,
        tries: i64, wait: i64
    }
    MailDeferred WARN "mail_deferred" {
        cause: &'a str, account: Option<&'a str>, mail: &'a str, kind: &'a str, to: &'a str,
        tries: i64, wait: i64
    }
    MailUnanswered WARN "mail_unanswered" {
        account: Option<&'a str>, mail: &'a str, kind: &'a str, to: &'a str, wait: i64
    }
    MailGivenUp WARN "mail_given_up" {
        reason: &'static str, account: Option<&'a str>, mail: &'a str, kind: &'a str, to: &'a str,
        tries: i64
    }
    MailExpired INFO "mail_expired" {
        account: Option<&'a str>, mail: &'a str, kind: &'a str, to: &'a str
    }
    MailboxOpen WARN "mailbox_open" { cause: &'a str }
    FileExposed WARN "file_exposed" { cause: &'a str }
    WeakSetting WARN "weak_setting" { cause: &'a str }
    ConnectionsFull WARN "connections_full"
    ConnectionsLowered WARN "connections_lowered" { connections: u64 }
    Started INFO "started" { version: &'static str }
    Stopping INFO "stopping"
    Stopped INFO "stopped" { reason: &'static str }
}

impl Event<'_> {
    /// Writes the line of a failure that the request outlived.
    pub fn log_fault(reason: &'static str, cause: &dyn Display) {
        Event::Fault { reason, cause }.write();
    }
}

/// A field of an event.
trait Field {
    fn value(&self) -> impl Value;
}

impl<T: Display + ?Sized> Field for &T {
    /// One line without control characters: a host program's log may write texts as they are.
    fn value(&self) -> impl Value {
        let text = self.to_string();
        let text = text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c });
        text.collect::<String>()
    }
}

impl<T: Field> Field for Option<T> {
    fn value(&self) -> impl Value {
        self.as_ref().map(T::value)
    }
}

impl Field for i64 {
    fn value(&self) -> impl Value {
        *self
    }
}

impl Field for u64 {
    fn value(&self) -> impl Value {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_on_another_thread_keeps_its_request() {
        let origin = Origin { request: "r1".to_owned(), peer: None };
        let current = with_origin(Some(origin.clone()), async { current_origin() }).await;
        let thread = std::thread::spawn(|| run_with_origin(current, current_origin));
        assert_eq!(thread.join().unwrap(), Some(origin));
        assert_eq!(current_origin(), None);
    }
}
