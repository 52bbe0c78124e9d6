//! The mail server: connection, TLS, login, sender and a recipient, without an email.

use super::Finding;
use crate::config::{Config, SmtpServer, SmtpTls};
use crate::mail::{Mailer, Trial};

const NAME: &str = "mail server";

pub async fn check(config: &Config) -> Option<Finding> {
    let Some(server) = &config.smtp else {
        return Some(Finding::warning(
            NAME,
            "none: every email stays in the development mailbox. Set VESTIBULE_SMTP_URL before real people use the site",
        ));
    };
    let mailer = match Mailer::from_config(config) {
        Ok(mailer) => mailer?,
        Err(error) => return Some(Finding::failed(NAME, format!("VESTIBULE_SMTP_URL: {error}"))),
    };
    let (sender, recipient) = (&config.mail_from.address, config.operator_address());
    Some(match mailer.try_out(recipient).await {
        Err(why) => Finding::failed(NAME, why),
        Ok(Trial::Accepted) => {
            Finding::ok(NAME, format!("{}, it takes email from {sender}", described(server)))
        }
        Ok(Trial::NoMailbox(reply)) => Finding::ok(
            NAME,
            format!(
                "{}, it takes email from {sender}; it has no mailbox {recipient} ({reply}), so answers to that address are lost",
                described(server)
            ),
        ),
        Ok(Trial::Deferred(reply)) => Finding::warning(
            NAME,
            format!(
                "email from {sender} to {recipient} is deferred ({reply}): check the limits there"
            ),
        ),
        Ok(Trial::Refused(reply)) => Finding::failed(
            NAME,
            format!(
                "email from {sender} to {recipient} is refused ({reply}): set VESTIBULE_MAIL_FROM to an address that the mail server allows, or allow it there"
            ),
        ),
    })
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
