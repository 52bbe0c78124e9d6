//! The settings, from flags, environment and files, or every error in them at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::db::{self, Location};

mod accent;
mod base_url;
mod colour;
mod hash;
mod limits;
mod logo;
mod mail;
mod sessions;
mod settings;
mod smtp_server;
mod sources;
#[cfg(test)]
mod tests;
mod values;

pub use accent::{Accent, Shades};
pub use base_url::BaseUrl;
pub use hash::HashCost;
pub use limits::Limits;
pub use logo::{ImageFormat, Logo, Picture};
pub use mail::{Notice, Notices, Sender};
pub use sessions::SessionLife;
pub use settings::{SETTINGS, Setting, settings_table};
pub use smtp_server::{SmtpCa, SmtpLogin, SmtpServer, SmtpTls};
pub use sources::ConfigErrors;
pub use values::{LogFormat, MailboxReaders, Rate, Secret};

use sources::RawSettings;
use values::{HOUR, MINUTE};

/// The port of a development site.
const PORT: u16 = 8000;

/// The default name.
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
    /// Replaces our own mark.
    pub logo: Option<Logo>,
    /// Where the data is. It may hold a password.
    pub database: Location,
    /// How long a request waits for a connection, and then for a lock. Not a setting: for host
    /// programs and tests.
    pub database_wait: Duration,
    /// The mail server; `None` is the development mailbox.
    pub smtp: Option<SmtpServer>,
    /// Who mails are from.
    pub mail_from: Sender,
    /// The mails beside the codes.
    pub notices: Notices,
    /// Whether the subject of a mail with a code shows the code.
    pub code_in_subject: bool,
    /// The proxies whose `X-Forwarded-For` is trusted.
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
    /// Client connections open at once.
    pub max_connections: usize,
    /// Who may read the development mailbox, if there is one.
    pub dev_mailbox: MailboxReaders,
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
            max_connections: 1024,
            dev_mailbox: MailboxReaders::default(),
            log: LogFormat::default(),
        }
    }
}

impl Config {
    /// Reads `flags` (keyed by a setting's name, `LISTEN`) and this process's environment.
    pub fn load(flags: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .collect();
        Self::build(RawSettings::read(flags, &environment))
    }

    /// Reads `flags` (keyed by a setting's name, `LISTEN`) and `environment` (keyed by a
    /// variable's name, `VESTIBULE_LISTEN`; other programs' variables are ignored).
    pub fn from_sources(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigErrors> {
        let environment =
            environment.iter().map(|(name, value)| (name.clone(), OsString::from(value))).collect();
        Self::build(RawSettings::read(flags, &environment))
    }

    fn build(mut raw: RawSettings) -> Result<Self, ConfigErrors> {
        let mut config = Self::default();
        config.apply_site(&mut raw);
        config.apply_mail(&mut raw);
        config.apply_accounts(&mut raw);
        config.hash.apply(&mut raw);
        config.limits.apply(&mut raw);
        config.check_production(&mut raw);
        config.sessions.check(&mut raw);
        raw.finish(config)
    }

    fn apply_site(&mut self, raw: &mut RawSettings) {
        raw.set("LISTEN", &mut self.listen, values::listen);
        self.base_url = BaseUrl::localhost(self.listen.port());
        self.base_url_is_default = !raw.is_set("BASE_URL");
        raw.set("BASE_URL", &mut self.base_url, BaseUrl::parse);
        self.apply_brand(raw);
        raw.set("DATABASE_URL", &mut self.database, values::database);
        let proxies = &mut self.trusted_proxies;
        raw.set("TRUSTED_PROXIES", proxies, values::trusted_proxies);
        raw.set("MAX_CONNECTIONS", &mut self.max_connections, values::whole(1..=1_000_000));
        raw.set("DEV_MAILBOX", &mut self.dev_mailbox, MailboxReaders::parse);
        raw.set("LOG", &mut self.log, values::log_format);
    }

    fn apply_brand(&mut self, raw: &mut RawSettings) {
        raw.set("SITE_NAME", &mut self.site_name, values::site_name);
        raw.set("ACCENT", &mut self.accent, Accent::parse);
        raw.set("LOGO", &mut self.logo, |path| Logo::read(path).map(Some));
        let (mut dark, mut show_name) = (None, true);
        let name_dark = |words: String| words.replace("VESTIBULE_LOGO", "VESTIBULE_LOGO_DARK");
        let picture = |path: &str| Picture::read(path).map(Some).map_err(name_dark);
        raw.set("LOGO_DARK", &mut dark, picture);
        raw.set("SHOW_NAME", &mut show_name, values::yes_or_no);
        if let Some(logo) = &mut self.logo {
            (logo.dark, logo.show_name) = (dark, show_name);
        } else if !raw.is_set("LOGO") {
            if dark.is_some() {
                raw.add_error("LOGO_DARK", "needs VESTIBULE_LOGO, the logo for light pages");
            }
            if !show_name {
                raw.add_error("SHOW_NAME", "needs VESTIBULE_LOGO: without a name and a logo, no page says which site it belongs to");
            }
        }
    }

    fn apply_mail(&mut self, raw: &mut RawSettings) {
        let server = |text: &str| SmtpServer::parse(text).map(Some);
        raw.set("SMTP_URL", &mut self.smtp, server);
        let mut ca = SmtpCa::default();
        raw.set("SMTP_CA", &mut ca, SmtpCa::read);
        if let Some(server) = &mut self.smtp {
            server.ca = ca;
        }
        self.mail_from = no_reply(&self.site_name, &self.base_url);
        raw.set("MAIL_FROM", &mut self.mail_from, Sender::parse);
        raw.set("MAIL_NOTICES", &mut self.notices, Notices::parse);
        raw.set("MAIL_CODE_IN_SUBJECT", &mut self.code_in_subject, values::yes_or_no);
    }

    fn apply_accounts(&mut self, raw: &mut RawSettings) {
        let secret = |text: &str| values::secret(text).map(Some);
        raw.set("SECRET", &mut self.secret, secret);
        let length = values::whole(8..=64);
        raw.set("PASSWORD_MIN", &mut self.password_min, length);
        let life = values::time(MINUTE..=HOUR);
        raw.set("CODE_TTL", &mut self.code_ttl, life);
        self.sessions.apply(raw);
    }

    fn check_production(&self, raw: &mut RawSettings) {
        if self.base_url.is_https() && !raw.is_set("SMTP_URL") {
            raw.add_error("SMTP_URL", "missing: VESTIBULE_BASE_URL is https, and codes must reach people by mail: set it to smtps://USER:PASSWORD@HOST:465 or the like");
        }
        if self.base_url.is_https() && self.smtp.as_ref().is_some_and(SmtpServer::is_exposed) {
            raw.add_error("SMTP_URL", "would send mail, codes included, unencrypted over the network: begin with smtps:// or end with ?tls=required; if you accept that anybody on the way can read and use the codes, end with ?tls=none");
        }
        let shared = matches!(self.database, Location::Postgres(_));
        if shared && !raw.is_set("SECRET") {
            raw.add_error("SECRET", "missing: with PostgreSQL every node needs the same key: make one with `openssl rand -base64 32`");
        }
    }
}

fn no_reply(site_name: &str, base_url: &BaseUrl) -> Sender {
    Sender { name: site_name.into(), address: format!("no-reply@{}", base_url.mail_host()) }
}

/// Without the database's URL, which may hold a password.
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
