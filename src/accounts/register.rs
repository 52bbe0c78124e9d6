//! Register: an account for a username and an email address that nobody has yet.

use super::Error;
use super::current_password::is_repeated_password;
use super::email::EmailAddress;
use super::password::Password;
use super::rate_limits::{self, Exceeded, RateLimit, counters_by_network};
use super::requester::Requester;
use super::username::Username;
use super::{REPEATED_WITHIN, notices, trusted_devices};
use crate::app::App;
use crate::event::Event;
use crate::models::user::{NewUser, User, find_user_registered_in, insert_user};

/// What a new account is made of.
#[derive(Debug)]
pub struct NewAccount {
    /// Not reserved.
    pub username: Username,
    /// Where mail goes.
    pub email: EmailAddress,
    /// Not easy to guess.
    pub password: Password,
}

/// How a registration ended.
#[derive(Debug)]
pub enum Registration {
    /// The account exists.
    Registered {
        /// The account.
        user: User,
        /// The device tokens that the browser must keep.
        device_tokens: Vec<String>,
        /// Whether the same form made it a moment ago: a double click.
        is_repeat: bool,
    },
    /// The username or the address belongs to another account.
    Taken,
    /// The network made too many accounts.
    RateLimited(Exceeded),
}

/// Makes an account, trusts the browser and sends the notice, all or nothing.
pub async fn register(
    app: &App,
    requester: &Requester,
    new: &NewAccount,
) -> Result<Registration, Error> {
    let counters = counters_by_network(app, RateLimit::RegisterIp, requester);
    if let Err(exceeded) = rate_limits::count(app, &counters, None).await? {
        return Ok(Registration::RateLimited(exceeded));
    }
    // Hashed before the name is looked up: both answers take the same time.
    let password_hash = requester.hasher(app).hash(new.password.as_bytes()).await?;
    let mut tx = app.db.begin().await?;
    let row = NewUser {
        username: new.username.as_str(),
        email: new.email.as_typed(),
        email_key: new.email.key(),
        password_hash: &password_hash,
        password_set_in: Some(&browser_digest(app, requester)),
    };
    let Some(user) = insert_user(tx.on(), row, app.clock.now()).await? else {
        drop(tx);
        return taken(app, requester, new).await;
    };
    let (_, device_tokens) = trusted_devices::record_login(app, &mut tx, requester, &user).await?;
    notices::send_registered(app, &mut tx, requester, &user).await?;
    tx.commit().await?;
    Event::Registered { account: &user.id }.write();
    Ok(Registration::Registered { user, device_tokens, is_repeat: false })
}

/// The account may be that of the same form, sent twice. This browser may have lost the first answer,
/// and with it its session and the token of its device: only the network and the name of the browser
/// tell that it is the same.
async fn taken(app: &App, requester: &Requester, new: &NewAccount) -> Result<Registration, Error> {
    let (browser, since) = (browser_digest(app, requester), app.clock.now() - REPEATED_WITHIN);
    let names = (new.username.as_str(), new.email.key());
    // From the writer: a registration that is just being committed is waited for.
    let user = find_user_registered_in(app.db.writer(), names, &browser, since).await?;
    if let Some(user) = user {
        match is_repeated_password(app, requester, &user, &new.password).await? {
            Err(exceeded) => return Ok(Registration::RateLimited(exceeded)),
            Ok(false) => {}
            Ok(true) => {
                let mut tx = app.db.begin().await?;
                let (_, device_tokens) =
                    trusted_devices::record_login(app, &mut tx, requester, &user).await?;
                tx.commit().await?;
                return Ok(Registration::Registered { user, device_tokens, is_repeat: true });
            }
        }
    }
    Event::RegisterRefused { reason: "taken" }.write();
    Ok(Registration::Taken)
}

fn browser_digest(app: &App, requester: &Requester) -> String {
    let network = requester.network().to_string();
    let user_agent = requester.user_agent.as_deref().unwrap_or_default();
    app.key.digest("registered in", &[&network, user_agent])
}
