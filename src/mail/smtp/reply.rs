//! Reads the replies of a mail server. Only the code of a reply has a meaning (RFC 5321, 4.2.1).

use std::fmt;
use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::tls::TlsError;

/// Bytes of a line and lines of a reply that are kept. The rest is read and discarded.
const LINE_MAX: u64 = 512;
const LINES_MAX: usize = 64;

/// What the server answered.
#[derive(Debug)]
pub struct Reply {
    /// 200 to 599: that of the last line.
    pub code: u16,
    /// What follows the code in each line.
    pub lines: Vec<String>,
}

impl Reply {
    pub fn names_start_tls(&self) -> bool {
        self.lines.iter().any(|line| line.to_ascii_uppercase().contains("STARTTLS"))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" "))
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Rejected(Reply),
    /// Every address of the server would reject the login.
    #[error("{}", explain_login(.0))]
    LoginRejected(Reply),
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// There is no usable reply. The session cannot be used any more.
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    /// For the operator, where it concerns all mail and not one email.
    pub fn of_server(&self) -> String {
        match self {
            Self::Rejected(reply) if reply.code < 500 => {
                format!("the mail server takes no mail for now ({reply}): try again later")
            }
            Self::Rejected(reply) => format!("the mail server refuses the connection ({reply})"),
            other => other.to_string(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(format!("the connection broke: {error}"))
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A reply that was not expected.
impl From<Reply> for Failure {
    fn from(reply: Reply) -> Self {
        if reply.code >= 400 {
            Self::Rejected(reply)
        } else {
            Self::Broken(format!("the mail server sent an unexpected reply: {reply}"))
        }
    }
}

/// RFC 4954, 4.1 and 6: 535 is a wrong user or password, 534 one of a kind that is not taken, and 530 and
/// 538 ask for TLS first.
fn explain_login(reply: &Reply) -> String {
    if matches!(reply.code, 530 | 538) {
        return format!(
            "the mail server takes a login only under TLS ({reply}): end VESTIBULE_SMTP_URL with ?tls=required"
        );
    }
    let cause = match reply.code {
        534 | 535 => "refuses the user or the password",
        _ => "refuses the login",
    };
    format!(
        "the mail server {cause} ({reply}): check them in VESTIBULE_SMTP_URL, with characters like @ : / # percent-encoded"
    )
}

/// Reads one reply: lines up to one whose code is not followed by a hyphen. Servers send lines with a
/// bare LF, without a text, with another code than the last line, without a code between two with one,
/// in other encodings than UTF-8, and empty lines around a reply.
pub async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, Failure> {
    let mut lines = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let (code, text) = split_code(&line);
        if code.is_none() && lines.is_empty() {
            if line.is_empty() {
                continue;
            }
            let start: String = line.chars().take(40).collect();
            let why = format!("the server does not speak SMTP here: it sent {start:?}");
            return Err(Failure::Broken(why));
        }
        if lines.len() < LINES_MAX {
            lines.push(text.strip_prefix(['-', ' ']).unwrap_or(text).to_owned());
        }
        if let Some(code) = code.filter(|_| !text.starts_with('-')) {
            return Ok(Reply { code, lines });
        }
    }
}

/// The code at the start of a line, if there is one, and the text after it.
fn split_code(line: &str) -> (Option<u16>, &str) {
    let (digits, text) = line.split_at_checked(3).unwrap_or_default();
    let code = digits.parse().ok().filter(|code| (200..600).contains(code));
    if code.is_none() || text.starts_with(|c: char| c.is_ascii_digit()) {
        return (None, line);
    }
    (code, text)
}

/// The first [`LINE_MAX`] bytes of a line. The last line of a connection may lack its line break.
async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<String, Failure> {
    let mut line = Vec::new();
    loop {
        let mut part = Vec::new();
        stream.take(LINE_MAX).read_until(b'\n', &mut part).await?;
        let is_end = part.is_empty() || part.ends_with(b"\n");
        if line.is_empty() {
            line = part;
        }
        if is_end {
            break;
        }
    }
    if line.is_empty() {
        return Err(Failure::Broken("the server closed the connection".to_owned()));
    }
    Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reply(bytes: &[u8]) -> Result<(u16, String), String> {
        let mut stream = bytes;
        let reply = read(&mut stream).await.map_err(|failure| failure.to_string())?;
        Ok((reply.code, reply.lines.join("|")))
    }

    #[tokio::test]
    async fn replies_of_every_form_are_read() {
        for (bytes, code, text) in [
            (&b"250 ok\r\n"[..], 250, "ok"),
            (b"250\r\n", 250, ""),
            (b"250 \r\n", 250, ""),
            (b"250 ok\n", 250, "ok"),
            (b"250 ok  \r\r\n", 250, "ok"),
            (b"250\tok\r\n", 250, "\tok"),
            (b"550 5.1.1 Empf\xe4nger unbekannt\r\n", 550, "5.1.1 Empf\u{fffd}nger unbekannt"),
            (b"550-\xff\xfe\r\n550 no\r\n", 550, "\u{fffd}\u{fffd}|no"),
            (b"250-a\r\n250-\r\n250\r\n", 250, "a||"),
            (b"250-a\n250 b\n", 250, "a|b"),
            (b"250-a\r\n continued\r\n\r\n250 b\r\n", 250, "a|continued||b"),
            (b"250-a\r\n550 b\r\n", 550, "a|b"),
            (b"421 \0bye\r\n", 421, "\0bye"),
            (b"\r\n\n250 ok\r\n", 250, "ok"),
            (b"250OK\r\n", 250, "OK"),
            (b"451 no line break", 451, "no line break"),
        ] {
            let expected = Ok((code, text.to_owned()));
            assert_eq!(reply(bytes).await, expected, "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_long_reply_is_read_to_its_end_and_kept_in_part() {
        let long = [b"550-", &*vec![b'x'; 1_000_000], b"\r\n"].concat();
        let mut bytes = [long.repeat(2), b"550-y\r\n".repeat(1000), b"550 z\r\n".to_vec()].concat();
        bytes.extend(b"250 next\r\n");
        let mut stream = &bytes[..];
        let first = read(&mut stream).await.unwrap();
        assert_eq!((first.code, first.lines.len(), first.lines[0].len()), (550, 64, 508));
        assert_eq!(read(&mut stream).await.unwrap().code, 250);
    }

    #[tokio::test]
    async fn a_line_without_a_code_is_not_a_reply() {
        for bytes in [
            &b"hello\r\n"[..],
            b"25\r\n",
            b"2500 ok\r\n",
            b"100 ok\r\n",
            b"650 ok\r\n",
            b"\x15\x03\x03\0\x02\x02\x16",
        ] {
            let error = reply(bytes).await.unwrap_err();
            assert!(error.contains("does not speak SMTP"), "{error}");
        }
        for bytes in [&b""[..], b"\r\n", b"250-a\r\n", b"250-a\r\n250-b"] {
            assert_eq!(reply(bytes).await.unwrap_err(), "the server closed the connection");
        }
    }
}
