//! A login that is carried to an application on another host: by a ticket, into a cookie of that host.
//!
//! A ticket works once, for half a minute, for one application, and only in the browser in which the
//! login began: a stolen link logs nobody in, and a sent one does not log in its receiver as the sender.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Error;
use super::current_session::current_session;
use crate::app::App;
use crate::event::Event;
use crate::models::ticket::{Ticket, has_ticket, insert_ticket, take_ticket};
use crate::models::user_session::delete_session;
use crate::random::{self, token_hash};

/// How long a ticket is valid, in seconds: the way from one host to the other.
const TICKET_LIFETIME: i64 = 30;

/// 32 bytes in base64url.
const TOKEN_LENGTH: usize = 43;

/// What the browser gets for a ticket.
#[derive(Debug)]
pub struct Redeemed {
    /// The value of the application's cookie.
    pub cookie: String,
    /// The URL that it leads to.
    pub next: String,
}

/// A random value for a cookie or a ticket.
pub fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<32>())
}

/// Whether `text` has the shape of [`new_token`] or of a digest.
pub fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && text.bytes().all(is_base64url)
}

/// Whether `text` has the shape of an application's cookie.
pub fn is_app_cookie(text: &str) -> bool {
    text.len() == 2 * TOKEN_LENGTH && text.bytes().all(is_base64url)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

/// How a ticket names the browser that has the cookie `token`.
pub fn browser_digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// Makes a ticket for the application at `origin`, which leads to `next` there.
pub async fn issue_ticket(
    app: &App,
    session_key: Vec<u8>,
    (origin, next): (String, String),
    browser: String,
) -> Result<String, Error> {
    let (token, now) = (new_token(), app.clock.now());
    let ticket = Ticket {
        token_hash: token_hash(&token),
        session_key,
        app: origin,
        browser,
        next,
        expires_at: now + TICKET_LIFETIME,
    };
    if insert_ticket(app.db.writer(), &ticket, now).await? {
        Ok(token)
    } else {
        Err(Error::RateLimited { retry_after: TICKET_LIFETIME })
    }
}

/// Redeems a ticket that came to the application at `origin`, from a browser with the cookie `browser`.
/// `None` if it was issued for another application or browser. Either way the ticket is used up.
pub async fn redeem_ticket(
    app: &App,
    origin: &str,
    token: &str,
    browser: Option<&str>,
) -> Result<Option<Redeemed>, Error> {
    let refused = |reason| {
        Event::TicketRefused { reason }.write();
        Ok(None)
    };
    // A made-up ticket costs a read and no write, or anybody could keep SQLite's only writer busy.
    if !is_token(token) || !has_ticket(app.db.reader(), &token_hash(token)).await? {
        return refused("unknown");
    }
    let Some(ticket) = take_ticket(app.db.writer(), token_hash(token)).await? else {
        return refused("unknown");
    };
    if ticket.expires_at <= app.clock.now() {
        return refused("expired");
    }
    if ticket.app != origin {
        return refused("other_app");
    }
    if browser.map(browser_digest) != Some(ticket.browser) {
        return refused("other_browser");
    }
    let Some(session) = current_session(app, &ticket.session_key).await? else {
        return refused("session_ended");
    };
    Event::AppLogin { account: &session.user.id, app: origin }.write();
    let cookie = app_cookie(app, origin, &session.key);
    Ok(Some(Redeemed { cookie, next: ticket.next }))
}

/// The cookie of the application at `origin`: names the login session, for this origin alone. It ends
/// with the session, so nothing is stored for it.
fn app_cookie(app: &App, origin: &str, session_key: &[u8]) -> String {
    let key = URL_SAFE_NO_PAD.encode(session_key);
    let proof = app.key.proof("app cookie", &[origin, &key]);
    key + &proof
}

/// The key of the login session that a cookie of the application at `origin` names.
pub fn session_of_app(app: &App, origin: &str, cookie: &str) -> Option<Vec<u8>> {
    let (key, _) = cookie.split_at_checked(TOKEN_LENGTH)?;
    let key = URL_SAFE_NO_PAD.decode(key).ok()?;
    let expected = app_cookie(app, origin, &key);
    bool::from(expected.as_bytes().ct_eq(cookie.as_bytes())).then_some(key)
}

/// Ends the login session: in this application, on this site and everywhere else.
pub async fn log_out_of_app(app: &App, session_key: &[u8]) -> Result<(), Error> {
    if let Some(session) = current_session(app, session_key).await?
        && delete_session(app.db.writer(), session_key).await?
    {
        let account = &session.user.id;
        Event::SessionEnded { account, reason: "logout", sessions: 1 }.write();
    }
    Ok(())
}
