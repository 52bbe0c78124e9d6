//! Finds a character in the password of a URL that ends it, because it is not percent-encoded.

/// What to change in `url`, if its password seems to contain such a character. It repeats nothing of the
/// password but that character.
pub fn advice(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    // There the user, the password and the host end.
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#'])?);
    let end = if after.contains('#') { '#' } else { after.chars().next()? };
    let (before, _) = after.split_once('@')?;
    // An `@` can belong to a parameter; neither kind of URL has a fragment.
    let is_password = !authority.contains('@') && authority.contains(':') && !before.contains('=');
    (is_password || end == '#').then(|| {
        format!(
            "write the {end} in the password as {}: as it is, it ends the URL's host (likewise @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25)",
            encoded(end)
        )
    })
}

fn encoded(character: char) -> String {
    percent_encoding::utf8_percent_encode(
        character.encode_utf8(&mut [0; 4]),
        percent_encoding::NON_ALPHANUMERIC,
    )
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn a_character_that_ends_the_password_is_named_with_its_code() {
        for (url, code) in [
            ("smtp://me:hu#sh@mail.example:587?tls=required", "%23"),
            ("smtp://me:12#sh@mail.example:587?tls=required", "%23"),
            ("smtps://me:hu@x#sh@mail.example", "%23"),
            ("smtps://me:12/hu#sh@mail.example", "%23"),
            ("smtps://me:hu/sh@mail.example", "%2F"),
            ("smtps://me:12?sh@mail.example", "%3F"),
            ("postgres://me:12#sh@db.example/v", "%23"),
            ("postgres://me:hu?sh@db.example/v", "%3F"),
        ] {
            let advice = advice(url).unwrap();
            assert!(advice.contains(&format!("in the password as {code}")), "{url}: {advice}");
            assert!(!advice.contains("sh@") && !advice.contains("hu"), "{advice}");
        }
    }

    #[test]
    fn nothing_is_said_about_other_urls() {
        for url in [
            "smtp://127.0.0.1:1025",
            "smtps://me:hu@sh@mail.example",
            "smtps://me:h%23@mail.example:465/me.example",
            "postgres://localhost:5432/v?user=me@azure",
            "postgres:///v?user=me@azure",
            "postgres://me:hush@db.example/v?options=a@b",
            "nonsense",
        ] {
            assert_eq!(advice(url), None, "{url}");
        }
    }
}
