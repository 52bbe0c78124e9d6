//! A mail server that accepts everything and keeps nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Starts it and returns the value for `VESTIBULE_SMTP_URL`. It ends with the process.
pub fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(&stream));
        }
    });
    format!("smtp://localhost:{port}")
}

/// Returns when the client closes the connection.
fn serve(mut stream: &TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(stream).lines();
    stream.write_all(b"220 sink ESMTP\r\n").ok()?;
    loop {
        let line = lines.next()?.ok()?.to_ascii_uppercase();
        let reply: &[u8] = match line.as_str() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n").ok()?;
                lines.find(|line| line.as_ref().map_or(true, |line| line == "."))?.ok()?;
                b"250 2.0.0 queued\r\n"
            }
            "QUIT" => b"221 2.0.0 bye\r\n",
            line if line.starts_with("EHLO") => b"250-sink\r\n250 ENHANCEDSTATUSCODES\r\n",
            _ => b"250 2.0.0 ok\r\n",
        };
        stream.write_all(reply).ok()?;
    }
}
