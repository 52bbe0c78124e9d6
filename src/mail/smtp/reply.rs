//! Reads the replies of a mail server. Only the code of a reply has a meaning (RFC 5321, 4.2.1).

use std::fmt;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Bytes of a line and lines of a reply that are kept. The rest is read and discarded.
const LINE_MAX: usize = 512;
const LINES_MAX: usize = 64;

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599: that of the last line.
    pub code: u16,
    /// What follows the code in each line. Bytes that are not UTF-8 are replaced.
    pub lines: Vec<String>,
}

impl Reply {
    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// 4xx or 5xx.
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" "))
    }
}

/// Reads one reply: lines up to one whose code is not followed by a hyphen. Servers send lines with a
/// bare LF, without a text, with another code than the last line, without a code between two with one,
/// and empty lines around a reply. The error says why there is no reply.
pub async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, String> {
    let mut lines = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let (code, rest) = match code_of(&line) {
            Some(code) => (Some(code), &line[3..]),
            None if lines.is_empty() && line.is_empty() => continue,
            None if lines.is_empty() => {
                let start = String::from_utf8_lossy(&line[..line.len().min(40)]);
                return Err(format!("the server does not speak SMTP here: it sent {start:?}"));
            }
            None => (None, &line[..]),
        };
        let text = rest.strip_prefix(b"-").or(rest.strip_prefix(b" ")).unwrap_or(rest);
        if lines.len() < LINES_MAX {
            lines.push(String::from_utf8_lossy(text).into_owned());
        }
        if let Some(code) = code.filter(|_| !rest.starts_with(b"-")) {
            return Ok(Reply { code, lines });
        }
    }
}

fn code_of(line: &[u8]) -> Option<u16> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let is_code = (b'2'..=b'5').contains(&digits[0]) && digits.iter().all(u8::is_ascii_digit);
    let ends = !rest.first().is_some_and(u8::is_ascii_digit);
    let value = digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit & 0x0f));
    (is_code && ends).then_some(value)
}

/// The first [`LINE_MAX`] bytes of a line. The last line of a connection may lack its line break.
async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    loop {
        let bytes = stream.fill_buf().await.map_err(broken)?;
        if bytes.is_empty() && line.is_empty() {
            return Err("the server closed the connection".to_owned());
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        line.extend(part.iter().take(LINE_MAX.saturating_sub(line.len())));
        let (used, is_whole) = (part.len() + usize::from(end.is_some()), part.len() == bytes.len());
        stream.consume(used);
        if end.is_some() || (is_whole && used == 0) {
            return Ok(line.trim_ascii_end().to_vec());
        }
    }
}

/// What the operator reads of a failed connection.
pub fn broken(error: std::io::Error) -> String {
    format!("the connection broke: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reply(bytes: &[u8]) -> Result<(u16, String), String> {
        let mut stream = bytes;
        let reply = read(&mut stream).await?;
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
        assert_eq!((first.code, first.lines.len(), first.lines[0].len()), (550, 64, LINE_MAX - 4));
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
