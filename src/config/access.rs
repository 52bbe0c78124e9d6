//! What clients may do: how many may connect, and who of them may read the development mailbox.

use super::sources::Given;
use super::values;

/// Who may read the development mailbox, which shows every code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailboxReaders {
    /// Clients on this machine alone.
    #[default]
    Loopback,
    /// Every client that reaches the port.
    Anyone,
}

impl MailboxReaders {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "anyone" => Ok(Self::Anyone),
            _ => Err("expected loopback or anyone".into()),
        }
    }
}

/// What clients may do.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Client connections open at once.
    pub max_connections: usize,
    /// Who may read the development mailbox, if there is one.
    pub dev_mailbox: MailboxReaders,
}

impl Default for Access {
    fn default() -> Self {
        Self { max_connections: 1024, dev_mailbox: MailboxReaders::default() }
    }
}

impl Access {
    /// Takes what was given.
    pub(super) fn apply(&mut self, given: &mut Given) {
        let connections = values::whole(1..=1_000_000);
        given.set("MAX_CONNECTIONS", &mut self.max_connections, connections);
        given.set("DEV_MAILBOX", &mut self.dev_mailbox, MailboxReaders::parse);
    }
}
