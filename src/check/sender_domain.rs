//! The domain of the sender: what its DNS says, as far as the system's resolver tells it.

use super::{Finding, network};
use crate::config::Config;

const NAME: &str = "sender domain";

pub async fn check(config: &Config) -> Option<Finding> {
    config.smtp.as_ref()?;
    let (_, domain) = config.mail_from.address.rsplit_once('@')?;
    let look_at = format!(
        "Not asked: whether providers accept email from there. Look at `dig +short TXT {domain}` (SPF: v=spf1 … must allow your mail server), `dig +short TXT _dmarc.{domain}` (DMARC), and the DKIM record that your mail server names"
    );
    Some(match network::resolve(domain).await {
        Ok(()) => Finding::ok(NAME, format!("{domain} has an address. {look_at}")),
        Err(why) => Finding::warning(
            NAME,
            format!(
                "{why}: some mail servers refuse such a sender unless it has an MX record; correct VESTIBULE_MAIL_FROM or the DNS. {look_at}"
            ),
        ),
    })
}
