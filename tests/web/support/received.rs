//! An email as the test server received it, and what a reader sees of it.

/// A received email.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The name in `EHLO`.
    pub hello: String,
    /// Whether the connection used TLS.
    pub encrypted: bool,
    /// Whether the client had logged in.
    pub logged_in: bool,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body as received, dots unstuffed, with CRLF.
    pub data: String,
}

impl Received {
    /// A header's value, unfolded but not decoded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    /// The text of the part of type `kind` (`text/plain`, `text/html`), decoded, with LF.
    pub fn part(&self, kind: &str) -> Option<String> {
        let (_, part) = self.data.split_once(&format!("Content-Type: {kind}"))?;
        let (_, body) = part.split_once("\r\n\r\n")?;
        let body = body.split("\r\n--").next()?;
        Some(decode_quoted_printable(body).replace("\r\n", "\n"))
    }

    /// The plain text.
    pub fn text(&self) -> String {
        self.part("text/plain").expect("every email has a plain text")
    }
}

fn decode_quoted_printable(body: &str) -> String {
    let mut bytes = Vec::new();
    let body = body.replace("=\r\n", "");
    let mut rest = body.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'=' {
            let (hex, after) = rest.split_at(2);
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap());
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
