//! Reads a `postgres://` URL: where the server is, how it is authenticated, and whether a pooler is in
//! front of it.

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use percent_encoding::percent_decode_str;
use sqlx::PgPool;
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
const OF_SQLX: &str = "host port user password dbname application_name options sslmode sslrootcert \
    sslcert sslkey statement-cache-capacity";

/// The parameters that are read only here.
const OWN: &str = "hostaddr pgbouncer target_session_attrs";

/// Parameters of libpq and others that protect the connection, besides those with `ssl` or `tls` in
/// their names.
const PROTECTING: [&str; 3] = ["channel_binding", "gssencmode", "require_auth"];

const SEVERAL_HOSTS: &str = "expected one host: give several servers one name with an address for each, and the one that takes writes is used";

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Where a server on this machine has its socket: Debian's folder and PostgreSQL's own default.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

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
    /// What a host application's pool connects to.
    pub fn of_pool(pool: &PgPool) -> Self {
        let options = pool.connect_options().as_ref().clone();
        Self { options, address: None, is_per_transaction: None }
    }

    /// Reads a `postgres://` URL. Nothing but the URL counts: neither libpq's variables, of which
    /// `PGSSLMODE` could switch the encryption off, nor `~/.pgpass`. The error repeats nothing that may
    /// be a password.
    pub fn from_url(url: &Url) -> Result<Self, String> {
        let mut parameters = Parameters::of(url)?;
        for (name, value) in &parameters.0 {
            check(name, value)?;
        }
        parameters.refuse_variables()?;
        let pooler = parameters.get("pgbouncer").map(str::to_ascii_lowercase);
        let is_per_transaction = match pooler.as_deref() {
            None => None,
            Some("session") => Some(false),
            // `true` is Prisma's word for `transaction`.
            Some(_) => Some(true),
        };
        let address = parameters.get("hostaddr").and_then(|address| address.parse().ok());
        parameters.add_host(address);
        let server = Self { options: parameters.for_sqlx()?, address, is_per_transaction };
        let mode = match (parameters.get("sslmode"), server.options.get_ssl_mode()) {
            (None, _) if server.is_on_this_machine() => PgSslMode::Prefer,
            (None, _) => PgSslMode::VerifyFull,
            // As in libpq.
            (_, PgSslMode::Require) if parameters.get("sslrootcert").is_some() => {
                PgSslMode::VerifyCa
            }
            (_, named) => named,
        };
        Ok(Self { options: server.options.ssl_mode(mode), ..server })
    }

    /// Whether no network lies in between: a Unix socket or a loopback address.
    pub fn is_on_this_machine(&self) -> bool {
        let address = self.address.or_else(|| self.options.get_host().parse().ok());
        self.options.get_socket().is_some()
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
                "sslmode=disable or allow for the database: the password of the database and all accounts cross the network unencrypted, and any server that answers is taken for the database",
            ),
            PgSslMode::Prefer => Some(
                "sslmode=prefer for the database: anybody on the network path can switch the encryption off, read the password of the database and pose as the database",
            ),
            PgSslMode::Require => Some(
                "sslmode=require for the database: the connection is encrypted, but no certificate is checked: anybody on the network path can pose as the database and read everything",
            ),
            PgSslMode::VerifyCa => Some(
                "sslmode=verify-ca for the database: the host's name is not checked: anybody on the network path with any certificate of a trusted authority can pose as the database",
            ),
            PgSslMode::VerifyFull => None,
        }
    }
}

/// The parts and the parameters of a URL by libpq's names. Of several with one name the last counts.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(url: &Url) -> Result<Self, String> {
        // In the place of libpq's variables.
        let defaults =
            [("port", "5432"), ("password", ""), ("application_name", env!("CARGO_PKG_NAME"))];
        let mut all = defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let (port, name) =
            (url.port().map(|port| port.to_string()), url.path().trim_start_matches('/'));
        for (name, value) in [
            ("host", url.host_str().map(|host| host.trim_matches(['[', ']']))),
            ("port", port.as_deref()),
            ("user", Some(url.username())),
            ("password", url.password()),
            ("dbname", Some(name)),
        ] {
            let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| format!("expected UTF-8 in the URL's {name}"))?;
            all.push((name.to_owned(), value.into_owned()));
        }
        all.extend(url.query_pairs().map(|(name, value)| {
            let name = match &*name {
                "ssl-mode" => "sslmode",
                "ssl-root-cert" | "ssl-ca" => "sslrootcert",
                "ssl-cert" => "sslcert",
                "ssl-key" => "sslkey",
                name => name,
            };
            (name.to_owned(), value.into_owned())
        }));
        // libpq's word for the authorities that are trusted anyway.
        all.retain(|(name, value)| name != "sslrootcert" || value != "system");
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Refuses a variable that would have an effect which the URL does not show.
    fn refuse_variables(&self) -> Result<(), String> {
        for (variable, parameter) in VARIABLES {
            // sqlx appends the URL's options to the variable's.
            let is_named = parameter != "options" && self.get(parameter).is_some();
            if !is_named && std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
                return Err(format!(
                    "{variable} is set in the environment, and only the URL counts: unset it, and write {parameter}=… into the URL if it is needed"
                ));
            }
        }
        Ok(())
    }

    /// Without a host, that is the address, or else this machine.
    fn add_host(&mut self, address: Option<IpAddr>) {
        if self.get("host").is_some() {
            return;
        }
        let socket = format!(".s.PGSQL.{}", self.get("port").unwrap_or_default());
        let has_socket = |folder: &&str| Path::new(folder).join(&socket).exists();
        let folder = SOCKET_FOLDERS.into_iter().find(has_socket).unwrap_or("localhost");
        let host = address.map_or_else(|| folder.to_owned(), |address| address.to_string());
        self.0.push(("host".to_owned(), host));
    }

    fn for_sqlx(&self) -> Result<PgConnectOptions, String> {
        let known = self.0.iter().filter(|(name, _)| !is_in(OWN, name)).map(|(name, value)| {
            // sqlx logs a parameter that it does not know, with its value: a misspelt `password` is
            // a secret.
            let is_known = is_in(OF_SQLX, name) || name.starts_with("options[");
            (name, if is_known { value } else { "…" })
        });
        let url = Url::parse_with_params("postgres:", known).map_err(|error| error.to_string())?;
        let mut options: PgConnectOptions =
            url.as_str().parse().map_err(|error: sqlx::Error| {
                error.to_string().replace("error with configuration: ", "")
            })?;
        if self.get("dbname").is_none() {
            options = options.clone().database(options.get_username());
        }
        if self.get("sslrootcert").is_none() {
            options = options.ssl_root_cert_from_pem(Vec::new());
        }
        Ok(options.extra_float_digits(None::<i8>))
    }
}

fn is_in(names: &str, name: &str) -> bool {
    names.split(' ').any(|known| known == name)
}

/// Nothing that was meant to protect the connection is ignored.
fn check(name: &str, value: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let is_known = is_in(OF_SQLX, &lower) || is_in(OWN, &lower);
    if is_known && name != lower {
        return Err(format!("expected {lower} in the place of {name}"));
    }
    match name {
        "host" | "hostaddr" | "port" if value.contains(',') => Err(SEVERAL_HOSTS.into()),
        "hostaddr" if value.parse::<IpAddr>().is_err() => {
            Err("expected an IP address in hostaddr".into())
        }
        "pgbouncer"
            if !["transaction", "true", "session"].contains(&&*value.to_ascii_lowercase()) =>
        {
            Err("expected pgbouncer=transaction or pgbouncer=session".into())
        }
        // Of several addresses one that takes writes is preferred anyway.
        "target_session_attrs" if !["any", "read-write", "primary"].contains(&value) => {
            Err("every node writes: expected target_session_attrs=read-write".into())
        }
        "sslmode" if !SSL_MODES.contains(&value) => {
            Err(format!("expected sslmode={}", SSL_MODES.join(", ")))
        }
        "sslrootcert" => File::open(value)
            .map(drop)
            .map_err(|cause| format!("sslrootcert={value} cannot be read: {cause}")),
        _ if !is_known
            && (lower.contains("ssl")
                || lower.contains("tls")
                || PROTECTING.contains(&lower.as_str())) =>
        {
            Err(format!(
                "the parameter {name} is unknown here: TLS is set with sslmode, sslrootcert, sslcert and sslkey"
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
