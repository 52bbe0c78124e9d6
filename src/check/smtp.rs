//! The mail server: connection, TLS, login, sender and a recipient, without an email.

use super::{Finding, certificate};
use crate::config::{Config, MailboxReaders, SmtpServer, SmtpTls};
use crate::mail::{Mailer, Trial};

const NAME: &str = "mail server";

pub async fn check(config: &Config) -> Vec<Finding> {
    let Some(server) = &config.smtp else { return vec![none(config.dev_mailbox)] };
    match Mailer::new(server.clone(), &config.mail_from, config.base_url.host()) {
        Err(error) => vec![Finding::failed(NAME, format!("VESTIBULE_SMTP_URL: {error}"))],
        Ok(mailer) => {
            let mut findings = vec![try_out(config, server, &mailer).await];
            let expiry = mailer.certificate_expiry();
            findings.extend(certificate("mail certificate", &server.host, expiry));
            findings
        }
    }
}

async fn try_out(config: &Config, server: &SmtpServer, mailer: &Mailer) -> Finding {
    let (sender, recipient) = (&config.mail_from.address, config.operator_address());
    let works = format!("{}, it takes email from {sender}", described(server));
    let offer = format!("email from {sender} to {recipient}");
    match mailer.try_out(recipient).await {
        Err(why) => Finding::failed(NAME, why),
        Ok(Trial::Deferred(reply)) => {
            Finding::warning(NAME, format!("{offer} is deferred ({reply}): check the limits there"))
        }
        Ok(Trial::Refused(reply)) => Finding::failed(
            NAME,
            format!(
                "{offer} is refused ({reply}): set VESTIBULE_MAIL_FROM to an address that the mail server allows, or allow it there"
            ),
        ),
        Ok(_) if server.is_readable_on_the_way() => Finding::warning(
            NAME,
            "the connection is not encrypted: anybody on the way can read and use the codes. Use smtps://, or end VESTIBULE_SMTP_URL with ?tls=required",
        ),
        Ok(Trial::Accepted) => Finding::ok(NAME, works),
        Ok(Trial::NoMailbox(reply)) => Finding::ok(
            NAME,
            format!(
                "{works}; it has no mailbox {recipient} ({reply}), so answers to that address are lost"
            ),
        ),
    }
}

fn none(readers: MailboxReaders) -> Finding {
    let readers = match readers {
        MailboxReaders::Loopback => "on this machine",
        MailboxReaders::Anyone => "which anybody who reaches the site can read",
    };
    Finding::warning(
        NAME,
        format!(
            "none: every email, codes included, stays in the development mailbox, {readers}. Set VESTIBULE_SMTP_URL before real people use the site"
        ),
    )
}

fn described(server: &SmtpServer) -> String {
    let tls = match server.tls {
        SmtpTls::Implicit => "TLS, the certificate is trusted",
        SmtpTls::StartTls => "STARTTLS, the certificate is trusted",
        SmtpTls::Unset | SmtpTls::Off => "no TLS",
    };
    let login = if server.login.is_some() { "the login is accepted" } else { "no login" };
    format!("{}:{} ({tls}, {login})", server.host, server.port)
}
