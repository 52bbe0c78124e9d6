//! The client's side of an SMTP session (RFC 5321): one command, one reply.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::reply::{self, Reply, broken};
use super::tls::Tls;
use crate::config::SmtpLogin;

/// TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// An open connection to a server that has greeted.
pub struct Session {
    stream: BufReader<Box<dyn Stream>>,
    /// What the server's reply to EHLO lists, in upper case.
    extensions: Vec<String>,
}

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The server answered with 4xx or 5xx.
    Refused(Reply),
    /// There is no usable answer. The session cannot be used any more.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reply) => write!(f, "the mail server answered {reply}"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

impl Session {
    /// Reads the server's greeting and sends EHLO.
    pub async fn greet(stream: Box<dyn Stream>, hello: &str) -> Result<Self, Failure> {
        let mut session = Self { stream: BufReader::new(stream), extensions: Vec::new() };
        expect(reply::read(&mut session.stream).await?, 2)?;
        session.say_hello(hello).await?;
        Ok(session)
    }

    async fn say_hello(&mut self, hello: &str) -> Result<(), Failure> {
        match self.command(&format!("EHLO {hello}")).await {
            Ok(reply) => {
                let lines = reply.lines.into_iter().skip(1);
                self.extensions = lines.map(|line| line.to_ascii_uppercase()).collect();
                Ok(())
            }
            // RFC 5321, 3.2: a server may not know EHLO.
            Err(Failure::Refused(reply)) if reply.is_permanent() => {
                self.command(&format!("HELO {hello}")).await.map(drop)
            }
            Err(other) => Err(other),
        }
    }

    /// Switches to TLS, or fails.
    pub async fn start_tls(mut self, tls: &Tls, hello: &str) -> Result<Self, Failure> {
        if !self.extensions.iter().any(|line| line == "STARTTLS") {
            return Err(Failure::Broken(
                "the mail server offers no STARTTLS on this port: use smtps:// and its port for TLS (465), or switch STARTTLS on there".into(),
            ));
        }
        self.command("STARTTLS").await?;
        if !self.stream.buffer().is_empty() {
            // Unencrypted, it would be read as a reply under TLS.
            return Err(Failure::Broken("the mail server went on in clear after STARTTLS".into()));
        }
        let stream = tls.wrap(self.stream.into_inner()).await?;
        let mut session = Self { stream: BufReader::new(stream), extensions: Vec::new() };
        session.say_hello(hello).await?;
        Ok(session)
    }

    /// Logs in by PLAIN (RFC 4616), or by LOGIN where a server has nothing else.
    pub async fn log_in(&mut self, login: &SmtpLogin) -> Result<(), Failure> {
        let (user, password) = (&login.user, login.password.expose());
        let plain = STANDARD.encode(format!("\0{user}\0{password}"));
        let steps = if self.offers_login_by("PLAIN") {
            [format!("AUTH PLAIN {plain}"), plain, String::new()]
        } else if self.offers_login_by("LOGIN") {
            ["AUTH LOGIN".into(), STANDARD.encode(user), STANDARD.encode(password)]
        } else {
            return Err(Failure::Broken(
                "the mail server offers no login by PLAIN or LOGIN on this port: use its submission port (465 or 587), or leave USER:PASSWORD@ out of the URL".into(),
            ));
        };
        for step in steps {
            if self.exchange(format!("{step}\r\n").as_bytes()).await?.code < 300 {
                return Ok(());
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
        expect(self.exchange(format!("{line}\r\n").as_bytes()).await?, 2)
    }

    /// Announces the message.
    pub async fn start_data(&mut self) -> Result<Reply, Failure> {
        expect(self.exchange(b"DATA\r\n").await?, 3)
    }

    /// Sends the message and reads the final reply.
    pub async fn send_message(&mut self, message: &[u8]) -> Result<Reply, Failure> {
        expect(self.exchange(&stuff_dots(message)).await?, 2)
    }

    async fn exchange(&mut self, bytes: &[u8]) -> Result<Reply, Failure> {
        // An empty line after a reply says nothing.
        let is_blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let blank = self.stream.buffer().iter().take_while(is_blank).count();
        self.stream.consume(blank);
        if !self.stream.buffer().is_empty() {
            // "421 closing" comes at any time. Any other reply would shift all that follow.
            let early = reply::read(&mut self.stream).await?;
            return Err(refused(early, "unasked"));
        }
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let written = written.await;
        // A server that rejects the message and closes before its end has still said why.
        let reply = reply::read(&mut self.stream).await;
        match (written, reply) {
            (_, Ok(reply)) if reply.is_refusal() => Err(Failure::Refused(reply)),
            (Ok(()), reply) => Ok(reply?),
            (Err(error), _) => Err(Failure::Broken(broken(error))),
        }
    }
}

/// The reply, if its first digit is the expected one.
fn expect(reply: Reply, wanted: u16) -> Result<Reply, Failure> {
    if reply.code / 100 == wanted { Ok(reply) } else { Err(refused(reply, "out of turn")) }
}

fn refused(reply: Reply, how: &str) -> Failure {
    if reply.is_refusal() {
        Failure::Refused(reply)
    } else {
        Failure::Broken(format!("the mail server answered {how}: {reply}"))
    }
}

/// The message as it is sent: every line ends with CRLF, a dot at the start of a line is doubled, and
/// a dot alone ends it (RFC 5321, 4.5.2).
fn stuff_dots(message: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        sent.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b".\r\n");
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_message_ends_it() {
        let sent = stuff_dots(b"a\r\n.\r\n..b\n.c");
        assert_eq!(sent.escape_ascii().to_string(), r"a\r\n..\r\n...b\r\n..c\r\n.\r\n");
        assert_eq!(stuff_dots(b""), b".\r\n");
    }
}
