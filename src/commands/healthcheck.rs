//! `vestibule healthcheck`: asks the running server whether it is ready, for containers and scripts.

use std::time::Duration;

use tokio::time::timeout;

use super::CommandError;
use crate::check::network::ask_server;
use crate::config::Config;

pub const EXAMPLE: &str = "Example:
  VESTIBULE_LISTEN=unix:/run/vestibule.sock vestibule healthcheck && echo ready

It exits with 0 if the server answers within 2 seconds that its database takes writes, else with 1.";

/// For everything.
const TIMEOUT: Duration = Duration::from_secs(2);

pub async fn run(config: &Config) -> Result<(), CommandError> {
    let listen = config.listen();
    let failed = |why: &str| CommandError::Failed(format!("VESTIBULE_LISTEN={listen}: {why}"));
    let answer = timeout(TIMEOUT, ask_server(&listen, &config.base_url.path_of("/readyz"))).await;
    let answer = answer.map_err(|_| failed("the server does not answer within 2 seconds"))?;
    match answer.map_err(|why| failed(&why))?.status {
        200 => Ok(()),
        503 => Err(failed(
            "the database takes no writes, its file was deleted or replaced, or the server is busy",
        )),
        status => Err(failed(&format!("the answer has status {status}"))),
    }
}
