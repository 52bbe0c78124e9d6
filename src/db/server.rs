//! Parses a `postgres://` URL: where the server is, how it is authenticated, and whether a pooler is in
//! front of it.

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Variables that sqlx reads and no setter overrides, with the parameter of the URL in their place.
const VARIABLES: [(&str, &str); 4] = [
    ("PGUSER", "user"),
    ("PGOPTIONS", "options"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
];

/// The parameters that sqlx knows, by libpq's names.
const KNOWN: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "statement-cache-capacity",
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The parameters that are read here.
const OWN: [&str; 3] = ["hostaddr", "pgbouncer", "target_session_attrs"];

const SEVERAL_HOSTS: &str = "expected one host: give several servers one name with an address for each, and the one that takes writes is used";

/// What `sslmode` may be.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Parameters of libpq and others that concern the protection of the connection, beside those with
/// `ssl` or `tls` in their names.
const PROTECTING: [&str; 3] = ["channel_binding", "gssencmode", "require_auth"];

/// Where a server on this machine has its socket: Debian's folder and PostgreSQL's own default.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

const DEFAULT_PORT: u16 = 5432;

/// A PostgreSQL server and how to connect to it.
#[derive(Clone)]
pub struct Server {
    /// For sqlx. The host is the name that the certificate must have.
    pub options: PgConnectOptions,
    /// Connect here, whatever the host's name resolves to (`hostaddr`).
    pub address: Option<IpAddr>,
    /// `pgbouncer=transaction`: a pooler gives each transaction another connection, so nothing may
    /// last longer than a transaction. `None` when the URL does not say.
    pub is_per_transaction: Option<bool>,
}

/// sqlx's options would show the password.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Server {
    /// Reads a `postgres://` URL. Nothing but the URL counts: neither libpq's variables, of which
    /// `PGSSLMODE` could switch the encryption off, nor `~/.pgpass`.
    ///
    /// # Errors
    /// What is wrong, in words that repeat nothing that may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        if has_several_hosts(text) {
            return Err(SEVERAL_HOSTS.into());
        }
        let mut url = Url::parse(text).map_err(|_| "the URL cannot be read")?;
        let mut parameters = Parameters::of(&url);
        parameters.check_names()?;
        parameters.check_modes()?;
        let pooler = parameters.take("pgbouncer").map(|mode| mode.to_ascii_lowercase());
        let is_per_transaction = match pooler.as_deref() {
            None => None,
            // `true` is Prisma's word for it.
            Some("transaction" | "true") => Some(true),
            Some("session") => Some(false),
            Some(_) => return Err("expected pgbouncer=transaction or pgbouncer=session".into()),
        };
        // Of several addresses one that takes writes is preferred anyway.
        let attributes = parameters.take("target_session_attrs");
        if !matches!(attributes.as_deref(), None | Some("any" | "read-write" | "primary")) {
            return Err("every node writes: expected target_session_attrs=read-write".into());
        }
        let address = parameters.take("hostaddr").map(|text| text.parse::<IpAddr>()).transpose();
        let address = address.map_err(|_| "expected an IP address in hostaddr")?;
        parameters.check_root_certificate()?;
        refuse_variables(&url, &parameters)?;
        parameters.hide_unknown();
        url.query_pairs_mut().clear().extend_pairs(&parameters.0);
        let options = url.as_str().parse().map_err(|error: sqlx::Error| {
            error.to_string().replace("error with configuration: ", "")
        })?;
        let options = without_environment(options, &url, &parameters);
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let has_host = has_host || parameters.get("host").is_some();
        let options = with_host(options, has_host, address);
        let server = Self { options, address, is_per_transaction };
        Ok(server.with_ssl_mode(&parameters))
    }

    /// Whether no network lies in between: a Unix socket or a loopback address.
    pub fn is_on_this_machine(&self) -> bool {
        let host = self.options.get_host();
        let has_socket = self.options.get_socket().is_some() || host.starts_with('/');
        let address = self.address.or_else(|| host.parse().ok());
        has_socket
            || address.map_or_else(|| self.is_localhost(), |ip| ip.to_canonical().is_loopback())
    }

    /// Whether the host is the name that always means this machine (RFC 6761, 6.3).
    pub fn is_localhost(&self) -> bool {
        let host = self.options.get_host();
        host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost")
    }

    /// What an `sslmode` that the URL names gives up, over a network.
    pub fn weakness(&self) -> Option<&'static str> {
        if self.is_on_this_machine() {
            return None;
        }
        match self.options.get_ssl_mode() {
            PgSslMode::Disable | PgSslMode::Allow => Some(
                "sslmode=disable or allow in VESTIBULE_DATABASE_URL: the password of the database and all accounts cross the network unencrypted, and any server that answers is taken for the database",
            ),
            PgSslMode::Prefer => Some(
                "sslmode=prefer in VESTIBULE_DATABASE_URL: anybody on the network path can switch the encryption off, read the password of the database and pose as the database",
            ),
            PgSslMode::Require => Some(
                "sslmode=require in VESTIBULE_DATABASE_URL: the connection is encrypted, but no certificate is checked: anybody on the network path can pose as the database and read everything",
            ),
            PgSslMode::VerifyCa => Some(
                "sslmode=verify-ca in VESTIBULE_DATABASE_URL: the host's name is not checked: anybody on the network path with any certificate of a trusted authority can pose as the database",
            ),
            PgSslMode::VerifyFull => None,
        }
    }

    /// Over a network the default is to check the certificate and its name. `require` with an
    /// authority checks the certificate, as in libpq.
    fn with_ssl_mode(mut self, parameters: &Parameters) -> Self {
        let mode = match (parameters.get("sslmode"), self.options.get_ssl_mode()) {
            (None, _) if self.is_on_this_machine() => PgSslMode::Prefer,
            (None, _) => PgSslMode::VerifyFull,
            (_, PgSslMode::Require) if parameters.get("sslrootcert").is_some() => {
                PgSslMode::VerifyCa
            }
            (_, named) => named,
        };
        self.options = self.options.ssl_mode(mode);
        self
    }
}

/// The parameters of a URL by libpq's names.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(url: &Url) -> Self {
        let libpq = |name: &str| match name {
            "ssl-mode" => "sslmode".to_owned(),
            "ssl-root-cert" | "ssl-ca" => "sslrootcert".to_owned(),
            "ssl-cert" => "sslcert".to_owned(),
            "ssl-key" => "sslkey".to_owned(),
            name => name.to_owned(),
        };
        Self(url.query_pairs().map(|(name, value)| (libpq(&name), value.into_owned())).collect())
    }

    /// Of several the last counts, as in libpq.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let value = self.get(name).map(str::to_owned);
        self.0.retain(|(given, _)| given != name);
        value
    }

    /// Nothing that was meant to protect the connection is ignored.
    fn check_names(&self) -> Result<(), String> {
        for (name, _) in &self.0 {
            let lower = name.to_ascii_lowercase();
            let known = KNOWN.iter().chain(&OWN).find(|known| **known == lower);
            match known {
                Some(known) if known != name => {
                    return Err(format!("expected {known} in the place of {name}"));
                }
                None if lower.contains("ssl")
                    || lower.contains("tls")
                    || PROTECTING.contains(&lower.as_str()) =>
                {
                    return Err(format!(
                        "the parameter {name} is unknown here: TLS is set with sslmode, sslrootcert, sslcert and sslkey"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_modes(&self) -> Result<(), String> {
        let mut modes = self.0.iter().filter(|(name, _)| name == "sslmode");
        if modes.all(|(_, mode)| SSL_MODES.contains(&mode.as_str())) {
            return Ok(());
        }
        Err(format!("expected sslmode={}", SSL_MODES.join(", ")))
    }

    /// `system` is libpq's word for the authorities that are trusted anyway.
    fn check_root_certificate(&mut self) -> Result<(), String> {
        match self.get("sslrootcert") {
            Some("system") => drop(self.take("sslrootcert")),
            Some(path) => {
                let opened = File::open(path);
                opened.map_err(|cause| format!("sslrootcert={path} cannot be read: {cause}"))?;
            }
            None => {}
        }
        Ok(())
    }

    /// sqlx logs a parameter that it does not know, with its value: a misspelt `password` is a secret.
    fn hide_unknown(&mut self) {
        let is_unknown = |name: &str| !KNOWN.contains(&name) && !name.starts_with("options[");
        for (_, value) in self.0.iter_mut().filter(|(name, _)| is_unknown(name)) {
            "…".clone_into(value);
        }
    }
}

/// libpq takes a list of hosts, in the URL's host and in its parameters.
fn has_several_hosts(text: &str) -> bool {
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    hosts.contains(',')
        || hosts.to_ascii_lowercase().contains("%2c")
        || parameters.any(|(name, value)| {
            matches!(&*name, "host" | "hostaddr" | "port") && value.contains(',')
        })
}

/// Refuses a variable that would have an effect which the URL does not show.
fn refuse_variables(url: &Url, parameters: &Parameters) -> Result<(), String> {
    for (variable, parameter) in VARIABLES {
        // sqlx appends the URL's options to the variable's.
        let is_named = match parameter {
            "options" => false,
            "user" => !url.username().is_empty() || parameters.get("user").is_some(),
            _ => parameters.get(parameter).is_some(),
        };
        if !is_named && std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            return Err(format!(
                "{variable} is set in the environment, and only the URL counts: unset it, and write {parameter}=… into the URL if it is needed"
            ));
        }
    }
    Ok(())
}

/// Overrides what sqlx took from the environment because the URL does not name it.
fn without_environment(
    options: PgConnectOptions,
    url: &Url,
    parameters: &Parameters,
) -> PgConnectOptions {
    let has = |name: &str| parameters.get(name).is_some();
    let mut options = options.extra_float_digits(None::<i8>);
    if url.port().is_none() && !has("port") {
        options = options.port(DEFAULT_PORT);
    }
    if url.password().is_none() && !has("password") {
        options = options.password("");
    }
    if url.path().trim_start_matches('/').is_empty() && !has("dbname") {
        let username = options.get_username().to_owned();
        options = options.database(&username);
    }
    if !has("application_name") {
        options = options.application_name(env!("CARGO_PKG_NAME"));
    }
    if !has("sslrootcert") {
        options = options.ssl_root_cert_from_pem(Vec::new());
    }
    options
}

/// The host that is named, without the brackets of IPv6; else the address, else this machine.
fn with_host(
    options: PgConnectOptions,
    has_host: bool,
    address: Option<IpAddr>,
) -> PgConnectOptions {
    if has_host {
        let host = options.get_host().trim_matches(['[', ']']).to_owned();
        return options.host(&host);
    }
    let socket = format!(".s.PGSQL.{}", options.get_port());
    let folder = SOCKET_FOLDERS.into_iter().find(|folder| Path::new(folder).join(&socket).exists());
    match (address, folder) {
        (Some(address), _) => options.host(&address.to_string()),
        (None, Some(folder)) => options.socket(folder),
        (None, None) => options.host("localhost"),
    }
}

#[cfg(test)]
mod tests;
