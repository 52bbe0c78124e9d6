//! The mail server: its URL, in the form of lettre's `from_url`, and the certificates to trust for it.

use std::fmt;
use std::fs;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::sources::RawSettings;
use crate::unencoded;

const EXPECTED: &str = "expected smtps://USER:PASSWORD@HOST:465, smtp://HOST:587?tls=required or smtp://127.0.0.1:1025, with characters like @ : / # in the password percent-encoded";

/// An attacker on the network path could remove the server's offer of STARTTLS (ASVS 12.3.1).
const OPPORTUNISTIC: &str = "tls=opportunistic would send mail unencrypted when an attacker interferes: use tls=required, or tls=none to do without TLS";

const CA_EXPECTED: &str = "expected a PEM file of certificates (-----BEGIN CERTIFICATE-----): make one of a DER file with `openssl x509 -inform der`";

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all, because the URL does not mention TLS.
    Unset,
    /// Not at all, as `tls=none` says.
    Off,
    /// By STARTTLS, which is required.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// An account of the mail server.
#[derive(Clone)]
pub struct SmtpLogin {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: Zeroizing<String>,
}

/// Without the password.
impl fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The mail server.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// A name in punycode, or an address without brackets.
    pub host: String,
    /// The port, by default 25, 587 with STARTTLS or 465 with TLS.
    pub port: u16,
    /// Whether and how the connection is encrypted.
    pub tls: SmtpTls,
    /// The account to log in to.
    pub login: Option<SmtpLogin>,
    /// The name to send in EHLO instead of the site's own: the URL's path.
    pub hello: Option<String>,
    /// Certificates to trust in addition to the system's.
    pub ca: Vec<CertificateDer<'static>>,
}

impl SmtpServer {
    pub(super) fn read(raw: &mut RawSettings) -> Option<Self> {
        let server = raw.optional("SMTP_URL", Self::parse);
        let ca = raw.value("SMTP_CA", read_certificates);
        server.map(|server| Self { ca, ..server })
    }

    /// Reads `smtp://127.0.0.1:1025`, `smtps://USER:PASSWORD@HOST:465` and the like.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(advice) = unencoded::advice(text) {
            return Err(advice);
        }
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let (port, tls) = port_and_tls(&url)?;
        let host = match Host::parse(url.host_str().unwrap_or_default()).map_err(|_| EXPECTED)? {
            Host::Domain(name) => name,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let hello = Some(url.path().trim_matches('/')).filter(|path| !path.is_empty());
        let server = Self {
            host,
            port: url.port().unwrap_or(port),
            tls,
            login: login(&url)?,
            hello: hello.map(str::to_owned),
            ca: Vec::new(),
        };
        if server.login.is_some() && server.is_readable_on_the_way() {
            return Err("would send the password unencrypted: begin with smtps://, or end with ?tls=required".into());
        }
        Ok(server)
    }

    /// Whether mail would cross a network unencrypted and the URL does not say that it may.
    pub(super) fn is_exposed(&self) -> bool {
        self.tls == SmtpTls::Unset && self.is_readable_on_the_way()
    }

    /// Whether mail crosses a network unencrypted.
    pub(crate) fn is_readable_on_the_way(&self) -> bool {
        matches!(self.tls, SmtpTls::Unset | SmtpTls::Off) && !self.is_this_machine()
    }

    fn is_this_machine(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

fn port_and_tls(url: &Url) -> Result<(u16, SmtpTls), &'static str> {
    let options: Vec<_> = url.query_pairs().collect();
    let tls = match options.as_slice() {
        [] => None,
        [(key, value)] if key == "tls" => Some(value.as_ref()),
        _ => return Err(EXPECTED),
    };
    match (url.scheme(), tls) {
        ("smtp", None) => Ok((25, SmtpTls::Unset)),
        ("smtp", Some("none")) => Ok((25, SmtpTls::Off)),
        ("smtp", Some("required")) => Ok((587, SmtpTls::StartTls)),
        ("smtp", Some("opportunistic")) => Err(OPPORTUNISTIC),
        ("smtps", None | Some("required")) => Ok((465, SmtpTls::Implicit)),
        _ => Err(EXPECTED),
    }
}

fn login(url: &Url) -> Result<Option<SmtpLogin>, &'static str> {
    let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_| EXPECTED);
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (_, None) => Err("has a user name and no password: expected both or neither"),
        (user, Some(password)) => {
            let password = Zeroizing::new(decode(password)?.into_owned());
            Ok(Some(SmtpLogin { user: decode(user)?.into_owned(), password }))
        }
    }
}

/// The certificates in the file at `path`; `none` names no file.
fn read_certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    if path == "none" {
        return Ok(Vec::new());
    }
    if path.is_empty() {
        return Err(CA_EXPECTED.into());
    }
    let pem = fs::read(path).map_err(|cause| format!("cannot be read ({cause}): {CA_EXPECTED}"))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| CA_EXPECTED)?;
    let mut store = RootCertStore::empty();
    let (_, invalid) = store.add_parsable_certificates(certificates.iter().cloned());
    if certificates.is_empty() || invalid > 0 {
        return Err(CA_EXPECTED.into());
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_parsed() {
        for (text, host, port, tls) in [
            ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, SmtpTls::Unset),
            ("smtp://mail.example", "mail.example", 25, SmtpTls::Unset),
            ("smtp://mail.example?tls=none", "mail.example", 25, SmtpTls::Off),
            ("smtp://mail.example?tls=required", "mail.example", 587, SmtpTls::StartTls),
            ("smtps://mail.example", "mail.example", 465, SmtpTls::Implicit),
            ("smtps://mail.example:10465?tls=required", "mail.example", 10465, SmtpTls::Implicit),
            ("smtp://[::1]", "::1", 25, SmtpTls::Unset),
            ("smtps://b%C3%BCcher.example", "xn--bcher-kva.example", 465, SmtpTls::Implicit),
        ] {
            let url = SmtpServer::parse(text).unwrap();
            assert_eq!((url.host.as_str(), url.port, url.tls), (host, port, tls), "{text}");
            assert!(url.login.is_none() && url.hello.is_none(), "{text}");
        }
        let url = SmtpServer::parse("smtps://us%40er:p%2Bw%20d+@mail.example/me.example").unwrap();
        let login = url.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("us@er", "p+w d+"));
        assert_eq!(url.hello.unwrap(), "me.example");
    }

    #[test]
    fn the_error_of_a_wrong_form_holds_no_password() {
        for text in [
            "",
            "mail.example:25",
            "http://me:hush@mail.example",
            "smtp://",
            "smtp://me:hush@mail.example?tls=maybe",
            "smtps://me:hush@mail.example?tls=none",
            "smtp://me:hush@mail.example?ssl=1",
            "smtp://me:hush@mail.example?tls=required&x=y",
        ] {
            assert_eq!(SmtpServer::parse(text).unwrap_err(), EXPECTED, "{text}");
        }
        assert!(SmtpServer::parse("smtps://me@mail.example").is_err());
        let url = SmtpServer::parse("smtps://me:hush@mail.example").unwrap();
        assert!(!format!("{url:?}").contains("hush"), "{url:?}");
    }

    #[test]
    fn a_mail_password_never_travels_unencrypted() {
        for text in [
            "smtp://me:hush@mail.example:587",
            "smtp://me:hush@mail.example?tls=none",
            "smtp://me:hush@mail.example?tls=opportunistic",
        ] {
            let message = SmtpServer::parse(text).unwrap_err();
            assert!(message.contains("tls=required") && !message.contains("hush"), "{message}");
        }
        for text in ["smtp://me:hush@localhost", "smtp://me:hush@[::ffff:127.0.0.1]?tls=none"] {
            assert!(SmtpServer::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn mail_to_another_machine_without_tls_must_be_allowed_in_the_url() {
        for (text, is_exposed) in [
            ("smtp://mail.example", true),
            ("smtp://192.0.2.1:25", true),
            ("smtp://localhost.example", true),
            ("smtp://mail.example?tls=none", false),
            ("smtp://mail.example?tls=required", false),
            ("smtp://127.0.0.2", false),
            ("smtp://[::1]:1025", false),
            ("smtp://LOCALHOST", false),
        ] {
            assert_eq!(SmtpServer::parse(text).unwrap().is_exposed(), is_exposed, "{text}");
        }
    }
}
