//! The settings, from flags, environment and files, or every error in them at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::db::{self, Location};
use crate::key::{self, ServerKey};

mod accent;
mod apps;
mod base_url;
mod colour;
mod hash;
mod limits;
mod listen;
mod logo;
mod mail;
mod registration;
mod sessions;
mod settings;
mod smtp_server;
mod sources;
#[cfg(test)]
mod tests;
mod usernames;
mod values;

pub use accent::{Accent, Shades};
pub use apps::{AppUrl, Apps};
pub use base_url::BaseUrl;
pub use colour::Colour;
pub use hash::HashCost;
pub use limits::Limits;
pub use listen::Listen;
pub use logo::{Logo, Picture};
pub(crate) use mail::{MAX_ADDRESS_LENGTH, canonical_domain, is_dot_atom};
pub use mail::{Notice, Notices, Sender};
pub use registration::{Domains, RegistrationMode, RegistrationRules};
pub use sessions::SessionLife;
pub use settings::{SETTINGS, Setting};
pub use smtp_server::{SmtpLogin, SmtpServer, SmtpTls};
pub use sources::ConfigErrors;
pub use usernames::{UsernameMode, UsernameRule, Usernames};
pub use values::{LogFormat, MailboxReaders, Rate};

use sources::RawSettings;
use values::{HOUR, MINUTE, one_of};

/// The settings, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where visitors connect to, unless `listen_unix` is set.
    pub listen: SocketAddr,
    /// The file of the Unix socket where they connect to.
    pub listen_unix: Option<PathBuf>,
    /// Where Prometheus reads the metrics; `None` serves none.
    pub metrics_listen: Option<Listen>,
    /// The URL that people see.
    pub base_url: BaseUrl,
    /// Whether the base URL is not set, so that it follows the port.
    pub base_url_is_default: bool,
    /// 1 to 60 characters, no control characters.
    pub site_name: String,
    /// The colour of links and buttons.
    pub accent: Accent,
    /// Replaces our own mark.
    pub logo: Option<Logo>,
    /// Where the data is. It may hold a password.
    pub database: Location,
    /// How long a request waits for a connection, and then for a lock. Not a setting: for host
    /// programs and tests.
    pub database_wait: Duration,
    /// The mail server; `None` is the development mailbox.
    pub smtp: Option<SmtpServer>,
    /// The sender of all emails.
    pub mail_from: Sender,
    /// The emails that are sent in addition to codes.
    pub notices: Notices,
    /// Whether the subject of an email with a code shows the code.
    pub code_in_subject: bool,
    /// Who may register.
    pub registration: RegistrationRules,
    /// Whether people may log in with an emailed code in place of the password.
    pub login_code: bool,
    /// The applications behind the login.
    pub apps: Apps,
    /// Where people go after they have logged in without `next`: a path on the origin, or a
    /// URL within `apps`. `/account` is the account page, also if the base URL has a path.
    pub after_login: String,
    /// The proxies whose `X-Forwarded-For` is trusted, and which may ask who is logged in. Those on a Unix
    /// socket are `UNKNOWN_PEER`.
    pub trusted_proxies: Vec<IpNet>,
    /// `Strict-Transport-Security` on answers over https; `None` if it is off.
    pub hsts: Option<String>,
    /// What a password hash costs.
    pub hash: HashCost,
    /// How often things may happen.
    pub limits: Limits,
    /// How long an emailed code is valid, in seconds (ASVS 6.5.5: 10 minutes at most).
    pub code_ttl: i64,
    /// Whether accounts have usernames, and which.
    pub usernames: Usernames,
    /// The shortest password, in code points; 8 is the least.
    pub password_min: usize,
    /// The server's key; `None` on SQLite is the key file next to the database.
    pub secret: Option<ServerKey>,
    /// How long sessions live.
    pub sessions: SessionLife,
    /// Client connections open at once.
    pub max_connections: usize,
    /// Who may read the development mailbox, if there is one.
    pub dev_mailbox: MailboxReaders,
    /// How log lines are written.
    pub log: LogFormat,
}

/// What an empty environment gives: a development site on SQLite.
impl Default for Config {
    fn default() -> Self {
        Self::read(&mut RawSettings::default())
    }
}

impl Config {
    /// Reads `flags` (keyed by a setting's name, `LISTEN`) and this process's environment.
    pub fn load(flags: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .collect();
        Self::check(RawSettings::read(flags, &environment))
    }

    /// Reads `flags` (keyed by a setting's name, `LISTEN`) and `environment` (keyed by a
    /// variable's name, `VESTIBULE_LISTEN`; other programs' variables are ignored).
    pub fn from_sources(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigErrors> {
        let environment =
            environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        Self::check(RawSettings::read(flags, &environment))
    }

    /// Where visitors connect to.
    pub(crate) fn listen(&self) -> Listen {
        self.listen_unix.clone().map_or(Listen::Tcp(self.listen), Listen::Unix)
    }

    /// The key file; none if the key is in `VESTIBULE_SECRET`, or the data is not in a SQLite file.
    pub(crate) fn key_file(&self) -> Option<PathBuf> {
        match (&self.secret, &self.database) {
            (None, Location::Sqlite(database)) => Some(key::file::beside(database)),
            _ => None,
        }
    }

    /// Where people go after they have logged in without `next`: a path on the origin, or a URL.
    pub(crate) fn after_login(&self) -> String {
        match self.after_login.as_str() {
            "/account" => self.base_url.path_of("/account"),
            place => place.to_owned(),
        }
    }

    /// The `Strict-Transport-Security` of answers. Browsers ignore it on http (RFC 6797, 8.1).
    pub(crate) fn hsts(&self) -> Option<&str> {
        self.hsts.as_deref().filter(|_| self.base_url.is_https())
    }

    /// Where emails to the operator go.
    pub(crate) fn operator_address(&self) -> &str {
        &self.registration.notify.as_ref().unwrap_or(&self.mail_from).address
    }

    fn check(mut raw: RawSettings) -> Result<Self, ConfigErrors> {
        let config = Self::read(&mut raw);
        config.check_together(&mut raw);
        raw.finish(config)
    }

    fn read(raw: &mut RawSettings) -> Self {
        let (listen, listen_unix) = raw.value("LISTEN", Listen::parse).into_parts();
        let base_url = raw.optional("BASE_URL", BaseUrl::parse);
        let base_url = base_url.unwrap_or_else(|| BaseUrl::localhost(listen.port()));
        let site_name = raw.value("SITE_NAME", values::site_name);
        let apps = raw.value("APPS", Apps::parse);
        let mail_from = Sender::read(raw, &site_name, &base_url);
        Self {
            listen,
            listen_unix,
            metrics_listen: raw.optional("METRICS_LISTEN", Listen::parse),
            base_url,
            base_url_is_default: !raw.is_set("BASE_URL"),
            site_name,
            accent: raw.value("ACCENT", Accent::parse),
            logo: Logo::read(raw),
            database: raw.value("DATABASE_URL", Location::parse),
            database_wait: db::WAIT,
            smtp: SmtpServer::read(raw),
            mail_from,
            notices: raw.value("MAIL_NOTICES", Notices::parse),
            registration: RegistrationRules::read(raw),
            login_code: raw.value("LOGIN_CODE", values::yes_or_no),
            code_in_subject: raw.value("MAIL_CODE_IN_SUBJECT", values::yes_or_no),
            after_login: raw.value("AFTER_LOGIN", |text| apps::after_login(text, &apps)),
            apps,
            trusted_proxies: raw.value("TRUSTED_PROXIES", values::trusted_proxies),
            hsts: raw.value("HSTS", values::hsts),
            hash: HashCost::read(raw),
            limits: Limits::read(raw),
            code_ttl: raw.value("CODE_TTL", values::time(MINUTE..=HOUR)),
            usernames: Usernames::read(raw),
            password_min: raw.value("PASSWORD_MIN", values::whole(8..=64)),
            secret: raw.optional("SECRET", ServerKey::from_base64),
            sessions: SessionLife::read(raw),
            max_connections: raw.value("MAX_CONNECTIONS", values::whole(1..=1_000_000)),
            dev_mailbox: raw.value("DEV_MAILBOX", one_of(values::MAILBOX_READERS)),
            log: raw.value("LOG", one_of(values::LOG_FORMATS)),
        }
    }

    fn check_together(&self, raw: &mut RawSettings) {
        if self.metrics_listen.as_ref().is_some_and(|metrics| metrics.is_same(&self.listen())) {
            raw.add_error("METRICS_LISTEN", "expected another address than VESTIBULE_LISTEN: visitors must not read the metrics");
        }
        let is_production = self.base_url.is_https();
        if is_production && !raw.is_set("SMTP_URL") {
            raw.add_error("SMTP_URL", "missing: VESTIBULE_BASE_URL is https, and codes must reach people by mail: set it to smtps://USER:PASSWORD@HOST:465 or the like");
        }
        if is_production && self.smtp.as_ref().is_some_and(SmtpServer::is_exposed) {
            raw.add_error("SMTP_URL", "would send mail, codes included, unencrypted over the network: begin with smtps:// or end with ?tls=required; if you accept that anybody on the way can read and use the codes, end with ?tls=none");
        }
        if matches!(self.database, Location::Postgres(_)) && !raw.is_set("SECRET") {
            raw.add_error("SECRET", "missing: with PostgreSQL every node needs the same key: make one with `openssl rand -base64 32`");
        }
    }
}
