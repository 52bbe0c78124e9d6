//! The client's side of an SMTP session (RFC 5321): one command, one reply.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::reply::{self, Failure, Reply};
use crate::config::SmtpLogin;
use crate::tls::{Stream, Tls};

/// An open connection to a server that has greeted.
pub struct Session {
    stream: BufReader<Box<dyn Stream>>,
    /// The lines of the reply to EHLO, in upper case.
    extensions: Vec<String>,
}

impl Session {
    /// Reads the server's greeting and sends EHLO.
    pub async fn greet(stream: Box<dyn Stream>, hello: &str) -> Result<Self, Failure> {
        let mut session = Self { stream: BufReader::new(stream), extensions: Vec::new() };
        expect(reply::read(&mut session.stream).await?, 200..300)?;
        session.say_hello(hello).await?;
        Ok(session)
    }

    async fn say_hello(&mut self, hello: &str) -> Result<(), Failure> {
        let reply = match self.command(&format!("EHLO {hello}")).await {
            // RFC 5321, 3.2: a server may not know EHLO.
            Err(Failure::Rejected(reply)) if reply.code >= 500 => {
                self.command(&format!("HELO {hello}")).await?
            }
            other => other?,
        };
        self.extensions = reply.lines.iter().map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    pub fn offers_start_tls(&self) -> bool {
        self.extensions.iter().any(|line| line == "STARTTLS")
    }

    /// Switches to TLS, or fails.
    pub async fn start_tls(mut self, tls: &Tls, hello: &str) -> Result<Self, Failure> {
        if !self.offers_start_tls() {
            return Err(Failure::Broken(
                "the mail server offers no STARTTLS on this port: use smtps:// and its port for TLS (465), or switch STARTTLS on there".into(),
            ));
        }
        self.command("STARTTLS").await?;
        if !self.stream.buffer().is_empty() {
            // Unencrypted, it would be read as a reply under TLS.
            return Err(Failure::Broken("the mail server sent plain text after STARTTLS".into()));
        }
        let stream = tls.wrap(self.stream.into_inner()).await?;
        let mut session = Self { stream: BufReader::new(stream), extensions: Vec::new() };
        session.say_hello(hello).await?;
        Ok(session)
    }

    /// Logs in by PLAIN (RFC 4616), or by LOGIN where a server has nothing else.
    pub async fn log_in(&mut self, login: &SmtpLogin) -> Result<(), Failure> {
        let (user, password) = (&login.user, login.password.as_str());
        let plain = STANDARD.encode(format!("\0{user}\0{password}"));
        let steps = if self.offers_login_by("PLAIN") {
            [format!("AUTH PLAIN {plain}"), plain, String::new()]
        } else if self.offers_login_by("LOGIN") {
            ["AUTH LOGIN".into(), STANDARD.encode(user), STANDARD.encode(password)]
        } else {
            // Under TLS a server offers no STARTTLS.
            return Err(Failure::Broken(if self.offers_start_tls() {
                "the mail server offers a login only under TLS: end VESTIBULE_SMTP_URL with ?tls=required".into()
            } else {
                "the mail server offers no login by PLAIN or LOGIN on this port: use its submission port (465 or 587), or leave USER:PASSWORD@ out of the URL".into()
            }));
        };
        for step in steps {
            match self.exchange(format!("{step}\r\n").as_bytes(), 200..400).await {
                Ok(reply) if reply.code < 300 => return Ok(()),
                Ok(_) => {}
                Err(Failure::Rejected(reply)) if reply.code >= 500 => {
                    return Err(Failure::LoginRejected(reply));
                }
                Err(other) => return Err(other),
            }
        }
        Err(Failure::Broken("the mail server did not end the login".into()))
    }

    fn offers_login_by(&self, mechanism: &str) -> bool {
        // "AUTH=PLAIN" is what servers sent before RFC 2554.
        let words = |line: &String| line.split([' ', '=']).any(|word| word == mechanism);
        self.extensions.iter().any(|line| line.starts_with("AUTH") && words(line))
    }

    /// Sends a command that a 2xx reply answers.
    pub async fn command(&mut self, line: &str) -> Result<Reply, Failure> {
        self.exchange(format!("{line}\r\n").as_bytes(), 200..300).await
    }

    /// Names the recipient and announces the message.
    pub async fn start_message(&mut self, to: &str) -> Result<(), Failure> {
        self.command(&format!("RCPT TO:<{to}>")).await?;
        self.exchange(b"DATA\r\n", 300..400).await.map(drop)
    }

    /// Sends the message and reads the final reply.
    pub async fn send_message(&mut self, message: &str) -> Result<Reply, Failure> {
        self.exchange(stuff_dots(message).as_bytes(), 200..300).await
    }

    async fn exchange(&mut self, bytes: &[u8], expected: Range<u16>) -> Result<Reply, Failure> {
        // An empty line after a reply says nothing.
        let is_blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let blank = self.stream.buffer().iter().take_while(is_blank).count();
        self.stream.consume(blank);
        if !self.stream.buffer().is_empty() {
            // "421 closing" comes at any time. Any other reply would shift all that follow.
            return Err(reply::read(&mut self.stream).await?.into());
        }
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let written = written.await;
        let reply = reply::read(&mut self.stream).await;
        match (written, reply) {
            // A server that rejects the message and closes before its end has still said why.
            (Err(_), Ok(reply)) if reply.code >= 400 => Err(Failure::Rejected(reply)),
            (Err(error), _) => Err(error.into()),
            (Ok(()), reply) => expect(reply?, expected),
        }
    }
}

fn expect(reply: Reply, expected: Range<u16>) -> Result<Reply, Failure> {
    if expected.contains(&reply.code) { Ok(reply) } else { Err(reply.into()) }
}

/// The message as it is sent: every line ends with CRLF, a dot at the start of a line is doubled, and
/// a line with only a dot ends it (RFC 5321, 4.5.2).
fn stuff_dots(message: &str) -> String {
    let mut sent = String::with_capacity(message.len() + 64);
    for line in message.lines() {
        if line.starts_with('.') {
            sent.push('.');
        }
        sent.push_str(line);
        sent.push_str("\r\n");
    }
    sent + ".\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_message_ends_it() {
        assert_eq!(stuff_dots("a\r\n.\r\n..b\n.c"), "a\r\n..\r\n...b\r\n..c\r\n.\r\n");
        assert_eq!(stuff_dots(""), ".\r\n");
    }
}
