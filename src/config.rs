//! Flags, environment and files become typed settings, or every mistake in them at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::db::{self, Location};

mod accent;
mod access;
mod base_url;
mod colour;
mod hash;
mod limits;
mod logo;
mod mail;
mod mistakes;
mod secret;
mod sessions;
mod settings;
mod smtp_ca;
mod smtp_server;
mod sources;
#[cfg(test)]
mod tests;
mod values;

pub use accent::{Accent, Shades};
pub use access::{Access, MailboxReaders};
pub use base_url::BaseUrl;
pub use hash::HashCost;
pub use limits::Limits;
pub use logo::{ImageFormat, Logo, Picture};
pub use mail::{Notice, Notices, Sender};
pub use mistakes::{Mistake, Mistakes};
pub use secret::Secret;
pub use sessions::SessionLife;
pub use settings::{SETTINGS, Setting, settings_table};
pub use smtp_ca::SmtpCa;
pub use smtp_server::{SmtpLogin, SmtpServer, SmtpTls};
pub use values::{LogFormat, Rate};

use sources::Given;
use values::{HOUR, MINUTE};

/// Where a development site is looked for.
const PORT: u16 = 8000;

/// What a site is called before it has a name of its own.
const SITE_NAME: &str = "Vestibule";

/// Everything that can be set, read and checked.
#[derive(Clone)]
pub struct Config {
    /// Where the server listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The URL that people see.
    pub base_url: BaseUrl,
    /// Whether nobody set the base URL, so that it follows the port.
    pub base_url_is_default: bool,
    /// 1 to 60 characters, no control characters.
    pub site_name: String,
    /// The colour of links and buttons.
    pub accent: Accent,
    /// In the place of our own mark.
    pub logo: Option<Logo>,
    /// Where the data is. It may hold a password.
    pub database: Location,
    /// How long a request waits for a connection, and then for a lock. Not a setting: for a host
    /// program that knows better, and for tests that will not wait.
    pub database_wait: Duration,
    /// The mail server; `None` is the development mailbox.
    pub smtp: Option<SmtpServer>,
    /// Who mails are from.
    pub mail_from: Sender,
    /// The mails beside the codes.
    pub notices: Notices,
    /// Whether the subject of a mail with a code shows the code.
    pub code_in_subject: bool,
    /// Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What a password hash costs.
    pub hash: HashCost,
    /// How often things may happen.
    pub limits: Limits,
    /// The life of a mailed code, in seconds (ASVS 6.5.5: 10 minutes at most).
    pub code_ttl: i64,
    /// The shortest password, in code points; 8 is the least.
    pub password_min: usize,
    /// The server's key, 32 bytes or more; `None` on SQLite is the key file beside the database.
    pub secret: Option<Secret<Vec<u8>>>,
    /// How long sessions live.
    pub sessions: SessionLife,
    /// What clients may do.
    pub access: Access,
    /// How log lines are written.
    pub log: LogFormat,
}

impl Default for Config {
    /// What an empty environment gives: a development site on SQLite.
    fn default() -> Self {
        Self {
            mail_from: no_reply(SITE_NAME, &BaseUrl::localhost(PORT)),
            listen: (Ipv4Addr::LOCALHOST, PORT).into(),
            base_url: BaseUrl::localhost(PORT),
            base_url_is_default: true,
            site_name: SITE_NAME.to_owned(),
            accent: Accent::default(),
            logo: None,
            database: Location::Sqlite(PathBuf::from("vestibule.db")),
            database_wait: db::WAIT,
            smtp: None,
            notices: Notices::default(),
            code_in_subject: false,
            trusted_proxies: Vec::new(),
            hash: HashCost::default(),
            limits: Limits::default(),
            code_ttl: 10 * MINUTE,
            password_min: 12,
            secret: None,
            sessions: SessionLife::default(),
            access: Access::default(),
            log: LogFormat::default(),
        }
    }
}

impl Config {
    /// Reads `flags` (keyed by a setting's name, `LISTEN`) and this process's environment.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn load(flags: &BTreeMap<String, String>) -> Result<Self, Mistakes> {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .collect();
        Self::build(Given::gather(flags, &environment))
    }

    /// Reads `flags` (keyed by a setting's name, `LISTEN`) and `environment` (keyed by a
    /// variable's name, `VESTIBULE_LISTEN`; other programs' variables are let be).
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn from_sources(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Mistakes> {
        let environment =
            environment.iter().map(|(name, value)| (name.clone(), OsString::from(value))).collect();
        Self::build(Given::gather(flags, &environment))
    }

    fn build(mut given: Given) -> Result<Self, Mistakes> {
        let mut config = Self::default();
        config.apply_site(&mut given);
        config.apply_mail(&mut given);
        config.apply_accounts(&mut given);
        config.hash.apply(&mut given);
        config.limits.apply(&mut given);
        config.check_production(&mut given);
        config.sessions.check(&mut given);
        if given.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(given.mistakes)) }
    }

    fn apply_site(&mut self, given: &mut Given) {
        given.set("LISTEN", &mut self.listen, values::listen);
        self.base_url = BaseUrl::localhost(self.listen.port());
        self.base_url_is_default = !given.offers("BASE_URL");
        given.set("BASE_URL", &mut self.base_url, BaseUrl::parse);
        self.apply_brand(given);
        given.set("DATABASE_URL", &mut self.database, values::database);
        let proxies = &mut self.trusted_proxies;
        given.set("TRUSTED_PROXIES", proxies, values::trusted_proxies);
        self.access.apply(given);
        given.set("LOG", &mut self.log, values::log_format);
    }

    fn apply_brand(&mut self, given: &mut Given) {
        given.set("SITE_NAME", &mut self.site_name, values::site_name);
        given.set("ACCENT", &mut self.accent, Accent::parse);
        given.set("LOGO", &mut self.logo, |path| Logo::read(path).map(Some));
        let (mut dark, mut show_name) = (None, true);
        let picture = |path: &str| Picture::read(path).map(Some).map_err(|words| of_dark(&words));
        given.set("LOGO_DARK", &mut dark, picture);
        given.set("SHOW_NAME", &mut show_name, values::yes_or_no);
        if let Some(logo) = &mut self.logo {
            (logo.dark, logo.show_name) = (dark, show_name);
        } else if !given.offers("LOGO") {
            if dark.is_some() {
                given.blame("LOGO_DARK", "needs VESTIBULE_LOGO, the logo for light pages");
            }
            if !show_name {
                given.blame("SHOW_NAME", "needs VESTIBULE_LOGO: without a name and a logo, no page says which site it belongs to");
            }
        }
    }

    fn apply_mail(&mut self, given: &mut Given) {
        let server = |text: &str| SmtpServer::parse(text).map(Some);
        given.set("SMTP_URL", &mut self.smtp, server);
        let mut ca = SmtpCa::default();
        given.set("SMTP_CA", &mut ca, SmtpCa::read);
        if let Some(server) = &mut self.smtp {
            server.ca = ca;
        }
        self.mail_from = no_reply(&self.site_name, &self.base_url);
        given.set("MAIL_FROM", &mut self.mail_from, Sender::parse);
        given.set("MAIL_NOTICES", &mut self.notices, Notices::parse);
        given.set("MAIL_CODE_IN_SUBJECT", &mut self.code_in_subject, values::yes_or_no);
    }

    fn apply_accounts(&mut self, given: &mut Given) {
        let secret = |text: &str| values::secret(text).map(Some);
        given.set("SECRET", &mut self.secret, secret);
        let length = values::whole(8..=64);
        given.set("PASSWORD_MIN", &mut self.password_min, length);
        let life = values::time(MINUTE..=HOUR);
        given.set("CODE_TTL", &mut self.code_ttl, life);
        self.sessions.apply(given);
    }

    fn check_production(&self, given: &mut Given) {
        if self.base_url.is_https() && !given.offers("SMTP_URL") {
            given.blame("SMTP_URL", "missing: VESTIBULE_BASE_URL is https, and codes must reach people by mail: set it to smtps://USER:PASSWORD@HOST:465 or the like");
        }
        if self.base_url.is_https() && self.smtp.as_ref().is_some_and(SmtpServer::is_exposed) {
            given.blame("SMTP_URL", "would send mail, codes included, unencrypted over the network: begin with smtps:// or end with ?tls=required; if you accept that anybody on the way can read and use the codes, end with ?tls=none");
        }
        let shared = matches!(self.database, Location::Postgres(_));
        if shared && !given.offers("SECRET") {
            given.blame("SECRET", "missing: with PostgreSQL every node needs the same key: make one with `openssl rand -base64 32`");
        }
    }
}

/// What [`Picture::read`] says of the other setting.
fn of_dark(words: &str) -> String {
    words.replace("VESTIBULE_LOGO", "VESTIBULE_LOGO_DARK")
}

fn no_reply(site_name: &str, base_url: &BaseUrl) -> Sender {
    Sender { name: site_name.into(), address: format!("no-reply@{}", base_url.mail_host()) }
}

/// By hand, because a database's URL may hold a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = match &self.database {
            Location::Sqlite(path) => path.display().to_string(),
            Location::Postgres(_) => "postgres://…".into(),
        };
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("base_url", &self.base_url)
            .field("site_name", &self.site_name)
            .field("accent", &self.accent)
            .field("logo", &self.logo)
            .field("database", &database)
            .field("smtp", &self.smtp)
            .field("mail_from", &self.mail_from)
            .field("notices", &self.notices)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("hash", &self.hash)
            .field("limits", &self.limits)
            .field("code_ttl", &self.code_ttl)
            .field("password_min", &self.password_min)
            .field("secret", &self.secret)
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}
