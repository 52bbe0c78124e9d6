//! Removes addresses and codes from what is logged.

use crate::models::outbox::Email;

/// `a…@example.com`: enough to see which provider rejects, too little to identify a person.
pub fn mask(address: &str) -> String {
    let Some((before, domain)) = address.rsplit_once('@') else {
        return address.to_owned();
    };
    let start = before.rfind(['<', '=', ':', ',', ';', '"', '(', '[']).map_or(0, |at| at + 1);
    let (head, user) = before.split_at(start);
    let first: String = user.chars().take(1).collect();
    format!("{}{first}…@{domain}", mask(head))
}

/// The reply of a server in one short line. Servers repeat the address, and filters what they rejected:
/// neither may reach a log.
pub(super) fn redact(reply: &str, email: &Email) -> String {
    let redact_word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_like_a_code = bare.len() >= 6 && !bare.contains(char::is_lowercase);
        match word {
            _ if word.contains('@') => mask(word),
            _ if is_like_a_code && email.text.contains(bare) => "…".to_owned(),
            _ => word.to_owned(),
        }
    };
    let reply = reply.replace(char::is_control, " ");
    let words: Vec<_> = reply.split_whitespace().take(60).map(redact_word).collect();
    words.join(" ").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_hold_no_whole_address_and_no_code() {
        let text = "über CDFG-HJKL".to_owned();
        let email = Email { text, ..Email::default() };
        let reply = "550 5.1.1 <ann.lee@example.com>: refused,\r\nto=ann.lee@example.com,bob@b.example; code \"CDFG-HJKL\".";
        assert_eq!(
            redact(reply, &email),
            "550 5.1.1 <a…@example.com>: refused, to=a…@example.com,b…@b.example; code …"
        );
        assert_eq!(mask("ann@example.com"), "a…@example.com");
        assert_eq!(mask("ünal@example.com"), "ü…@example.com");
        assert_eq!(mask(""), "");
    }
}
