//! A mail server for tests, which accepts mail and can be made to fail.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::certificates::{Identity, signed_for_localhost};
pub use super::received::Received;

/// How clients must connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// No TLS.
    #[default]
    Plain,
    /// Without TLS until `STARTTLS`, which is required.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// What the server requires of clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    pub security: Security,
    /// User and password, if a login is required.
    pub login: Option<(&'static str, &'static str)>,
    /// `LOGIN` instead of `PLAIN`.
    pub auth_login: bool,
}

/// How the server answers, and what it received.
#[derive(Default)]
struct Behaviour {
    refusals: HashMap<String, Vec<u8>>,
    held: HashSet<String>,
    waiting: usize,
    replies: HashMap<&'static str, Vec<u8>>,
    drops_after_data: usize,
    greeting: Option<String>,
    is_silent: bool,
    pause: Duration,
    mails: Vec<Received>,
    arrived: watch::Sender<()>,
    released: watch::Sender<()>,
    connections: usize,
    recipients: usize,
}

/// The server. It stops when it is dropped.
pub struct FakeSmtp {
    address: SocketAddr,
    setup: Setup,
    behaviour: Arc<Mutex<Behaviour>>,
    acceptor: TlsAcceptor,
    ca_pem: String,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl FakeSmtp {
    /// Without TLS and login.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// Listens on a free port of 127.0.0.1.
    pub async fn with(setup: Setup) -> Self {
        let (identity, ca_pem) = signed_for_localhost();
        let mut server = Self::identified(setup, identity).await;
        server.ca_pem = ca_pem;
        server
    }

    /// As [`FakeSmtp::with`], with this certificate.
    pub async fn identified(setup: Setup, identity: Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (acceptor, ca_pem) = (identity.acceptor(), identity.pem);
        let server = Self {
            address: listener.local_addr().unwrap(),
            setup,
            behaviour: Arc::default(),
            acceptor,
            ca_pem,
            listening: Mutex::default(),
        };
        server.listen(listener);
        server
    }

    /// The value of `VESTIBULE_SMTP_URL`.
    pub fn url(&self) -> String {
        let port = self.address.port();
        let login = self.setup.login.map(|(user, password)| format!("{user}:{password}@"));
        let host = format!("{}localhost:{port}", login.unwrap_or_default());
        match self.setup.security {
            Security::Plain => format!("smtp://{host}"),
            Security::StartTls => format!("smtp://{host}?tls=required"),
            Security::Tls => format!("smtps://{host}"),
        }
    }

    /// The certificate of the authority that signed the server's, for `SSL_CERT_FILE`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Every email accepted so far, in order.
    pub fn mails(&self) -> Vec<Received> {
        self.behaviour().mails.clone()
    }

    /// The emails accepted so far for `address`.
    pub fn mails_to(&self, address: &str) -> Vec<Received> {
        let mut mails = self.mails();
        mails.retain(|mail| mail.to.iter().any(|to| to == address));
        mails
    }

    /// Waits until `find` returns something. It is called now and after each email.
    pub async fn until<T>(&self, find: impl Fn(&Self) -> Option<T>) -> T {
        let mut arrivals = self.behaviour().arrived.subscribe();
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            arrivals.changed().await.unwrap();
        }
    }

    /// How often a client has connected.
    pub fn connections(&self) -> usize {
        self.behaviour().connections
    }

    /// How often a client has named a recipient, accepted or not.
    pub fn tries(&self) -> usize {
        self.behaviour().recipients
    }

    /// Answers `RCPT` for `address` with `reply`: `550 5.1.1 unknown`, `451 4.7.1 later`.
    pub fn refuse(&self, address: &str, reply: impl AsRef<[u8]>) {
        self.behaviour().refusals.insert(address.to_owned(), reply.as_ref().to_vec());
    }

    /// Delays the reply to `RCPT` for an address or a domain until [`FakeSmtp::release`].
    pub fn hold(&self, recipients: &str) {
        self.behaviour().held.insert(recipients.to_owned());
    }

    /// Sends the delayed replies.
    pub fn release(&self) {
        let mut behaviour = self.behaviour();
        behaviour.held.clear();
        behaviour.released.send_replace(());
    }

    /// How many clients wait for a reply to `RCPT`.
    pub fn waiting(&self) -> usize {
        self.behaviour().waiting
    }

    /// Answers a command (`MAIL`, `DATA`; `.` is the end of the message) with `reply`, byte for byte
    /// and a line break.
    pub fn answer(&self, command: &'static str, reply: impl AsRef<[u8]>) {
        self.behaviour().replies.insert(command, reply.as_ref().to_vec());
    }

    /// Accepts mail for `address` again.
    pub fn allow(&self, address: &str) {
        self.behaviour().refusals.remove(address);
    }

    /// Drops the connection instead of a reply to the next `times` mails.
    pub fn drop_after_data(&self, times: usize) {
        self.behaviour().drops_after_data = times;
    }

    /// Greets with `reply` (`421 4.3.2 closing`) instead of 220, until set to `None`.
    pub fn greet_with(&self, reply: Option<&str>) {
        self.behaviour().greeting = reply.map(str::to_owned);
    }

    /// Sends no greeting, and no reply to a message.
    pub fn be_silent(&self, is_silent: bool) {
        self.behaviour().is_silent = is_silent;
    }

    /// Waits before its reply to each message.
    pub fn be_slow(&self, pause: Duration) {
        self.behaviour().pause = pause;
    }

    /// Stops listening and drops every connection.
    pub async fn go_down(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listening) = listening {
            listening.abort();
            listening.await.ok();
        }
    }

    /// Listens again, on the same port.
    pub async fn come_back(&self) {
        self.listen(TcpListener::bind(self.address).await.unwrap());
    }

    fn behaviour(&self) -> std::sync::MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, listener: TcpListener) {
        let (setup, behaviour, acceptor) =
            (self.setup, self.behaviour.clone(), self.acceptor.clone());
        let accepting = tokio::spawn(async move {
            // Dropped with this task, and its connections with it.
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                sessions.spawn(Session::serve(stream, setup, behaviour.clone(), acceptor.clone()));
            }
        });
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepting);
    }
}

impl Drop for FakeSmtp {
    fn drop(&mut self) {
        let listening = self.listening.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listening) = listening {
            listening.abort();
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Session {
    stream: BufReader<Box<dyn Stream>>,
    setup: Setup,
    behaviour: Arc<Mutex<Behaviour>>,
    acceptor: TlsAcceptor,
    mail: Received,
}

/// The connection has ended, by `QUIT`, by the client or on purpose.
struct Closed;

impl From<std::io::Error> for Closed {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Session {
    async fn serve(
        tcp: TcpStream,
        setup: Setup,
        behaviour: Arc<Mutex<Behaviour>>,
        acceptor: TlsAcceptor,
    ) -> Result<(), Closed> {
        let encrypted = setup.security == Security::Tls;
        let stream: Box<dyn Stream> =
            if encrypted { Box::new(acceptor.accept(tcp).await?) } else { Box::new(tcp) };
        let stream = BufReader::new(stream);
        let mail = Received { encrypted, ..Received::default() };
        let mut session = Self { stream, setup, behaviour, acceptor, mail };
        session.greet().await?;
        loop {
            let line = session.line().await?;
            session.handle(&line).await?;
        }
    }

    async fn greet(&mut self) -> Result<(), Closed> {
        self.behaviour().connections += 1;
        if self.behaviour().is_silent {
            return std::future::pending().await;
        }
        let greeting = self.behaviour().greeting.clone();
        match greeting {
            None => self.send("220 fake ESMTP").await,
            Some(greeting) => self.send(&greeting).await.and(Err(Closed)),
        }
    }

    async fn handle(&mut self, line: &str) -> Result<(), Closed> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        let reply = self
            .behaviour()
            .replies
            .iter()
            .find(|(command, _)| **command == verb)
            .map(|(_, reply)| reply.clone());
        if let Some(reply) = reply {
            return self.send(reply).await;
        }
        let must_encrypt = self.setup.security == Security::StartTls && !self.mail.encrypted;
        let must_log_in = self.setup.login.is_some() && !self.mail.logged_in;
        match verb.as_str() {
            "EHLO" | "HELO" => self.hello(rest).await,
            "NOOP" | "RSET" => self.send("250 2.0.0 ok").await,
            "QUIT" => self.send("221 2.0.0 bye").await.and(Err(Closed)),
            "STARTTLS" if must_encrypt => self.start_tls().await,
            _ if must_encrypt => self.send("530 5.7.0 STARTTLS first").await,
            "AUTH" => self.authenticate(rest).await,
            _ if must_log_in => self.send("530 5.7.0 Authentication required").await,
            "MAIL" => {
                self.mail.from = address_in(rest);
                self.mail.to.clear();
                self.send("250 2.1.0 ok").await
            }
            "RCPT" => self.recipient(&address_in(rest)).await,
            "DATA" => self.data().await,
            _ => self.send("500 5.5.2 unknown").await,
        }
    }

    async fn hello(&mut self, name: &str) -> Result<(), Closed> {
        name.clone_into(&mut self.mail.hello);
        self.send("250-fake").await?;
        let must_encrypt = self.setup.security == Security::StartTls && !self.mail.encrypted;
        if must_encrypt {
            self.send("250-STARTTLS").await?;
        }
        if self.setup.login.is_some() && !must_encrypt {
            let mechanism = if self.setup.auth_login { "LOGIN" } else { "PLAIN" };
            self.send(&format!("250-AUTH {mechanism}")).await?;
        }
        self.send("250 ENHANCEDSTATUSCODES").await
    }

    async fn start_tls(&mut self) -> Result<(), Closed> {
        self.send("220 2.0.0 go ahead").await?;
        let placeholder: Box<dyn Stream> = Box::new(tokio::io::empty());
        let plain = std::mem::replace(&mut self.stream, BufReader::new(placeholder)).into_inner();
        let encrypted: Box<dyn Stream> = Box::new(self.acceptor.accept(plain).await?);
        self.stream = BufReader::new(encrypted);
        self.mail = Received { encrypted: true, ..Received::default() };
        Ok(())
    }

    async fn authenticate(&mut self, rest: &str) -> Result<(), Closed> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let login = if mechanism.eq_ignore_ascii_case("PLAIN") {
            let text = decoded(initial);
            text.trim_start_matches('\0')
                .split_once('\0')
                .map(|(user, password)| (user.to_owned(), password.to_owned()))
        } else {
            self.send(&format!("334 {}", STANDARD.encode("Username:"))).await?;
            let user = decoded(&self.line().await?);
            self.send(&format!("334 {}", STANDARD.encode("Password:"))).await?;
            Some((user, decoded(&self.line().await?)))
        };
        let login = login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        self.mail.logged_in = login.is_some() && login == self.setup.login;
        if self.mail.logged_in {
            self.send("235 2.7.0 welcome").await
        } else {
            self.send("535 5.7.8 no").await
        }
    }

    async fn recipient(&mut self, address: &str) -> Result<(), Closed> {
        self.behaviour().recipients += 1;
        let refusal = self.behaviour().refusals.get(address).cloned();
        if refusal.is_none() {
            self.mail.to.push(address.to_owned());
        }
        self.wait_while_held(address).await;
        self.send(refusal.unwrap_or_else(|| b"250 2.1.5 ok".to_vec())).await
    }

    async fn wait_while_held(&mut self, address: &str) {
        let mut released = self.behaviour().released.subscribe();
        let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain);
        let is_held = self.behaviour().held.iter().any(|held| held == address || held == domain);
        if is_held {
            self.change_waiting(1);
            released.changed().await.ok();
            self.change_waiting(-1);
        }
    }

    fn change_waiting(&self, by: isize) {
        let mut behaviour = self.behaviour();
        behaviour.waiting = behaviour.waiting.saturating_add_signed(by);
        behaviour.arrived.send_replace(());
    }

    async fn data(&mut self) -> Result<(), Closed> {
        if self.mail.to.is_empty() {
            return self.send("503 5.5.1 no recipient").await;
        }
        self.send("354 go on").await?;
        self.mail.data.clear();
        loop {
            let line = self.line().await?;
            if line == "." {
                break;
            }
            self.mail.data += line.strip_prefix('.').unwrap_or(&line);
            self.mail.data += "\r\n";
        }
        if self.behaviour().is_silent {
            return std::future::pending().await;
        }
        let pause = self.behaviour().pause;
        tokio::time::sleep(pause).await;
        let reply = self.behaviour().replies.get(".").cloned();
        if let Some(reply) = reply {
            return self.send(reply).await;
        }
        self.accept()?;
        self.send("250 2.0.0 queued").await
    }

    fn accept(&mut self) -> Result<(), Closed> {
        let mail = self.mail.clone();
        let mut behaviour = self.behaviour();
        if behaviour.drops_after_data > 0 {
            behaviour.drops_after_data -= 1;
            return Err(Closed);
        }
        behaviour.mails.push(mail);
        behaviour.arrived.send_replace(());
        Ok(())
    }

    fn behaviour(&self) -> std::sync::MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line without its CRLF.
    async fn line(&mut self) -> Result<String, Closed> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(Closed);
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    async fn send(&mut self, line: impl AsRef<[u8]>) -> Result<(), Closed> {
        self.stream.write_all(&[line.as_ref(), b"\r\n"].concat()).await?;
        Ok(self.stream.flush().await?)
    }
}

/// `FROM:<ann@example.com> SIZE=1` to `ann@example.com`.
fn address_in(rest: &str) -> String {
    let inner = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

fn decoded(text: &str) -> String {
    String::from_utf8(STANDARD.decode(text).unwrap_or_default()).unwrap_or_default()
}
