//! What logs may see of an address, and of what a mail server says.

use crate::models::outbox::QueuedEmail;

/// `a…@example.com`: enough to see which provider refuses, too little to know who.
pub fn mask(address: &str) -> String {
    let Some((before, domain)) = address.rsplit_once('@') else {
        return address.to_owned();
    };
    let start = before.rfind(['<', '=', ':', ',', ';', '"', '(', '[']).map_or(0, |at| at + 1);
    let (head, user) = before.split_at(start);
    let first: String = user.chars().take(1).collect();
    format!("{}{first}…@{domain}", mask(head))
}

/// Servers repeat the address, and filters what they disliked: neither may reach a log.
pub(super) fn fit_for_log(words: &impl ToString, email: &QueuedEmail) -> String {
    let words = words.to_string().replace(char::is_control, " ");
    let mut told: Vec<String> = Vec::new();
    for word in words.split_whitespace().take(60) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let like_a_code = bare.len() >= 6 && !bare.contains(char::is_lowercase);
        told.push(match word {
            _ if word.contains('@') => mask(word),
            _ if like_a_code && email.text.contains(bare) => "…".to_owned(),
            _ => word.to_owned(),
        });
    }
    told.join(" ").chars().take(500).collect()
}
