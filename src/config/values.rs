//! The values of settings: what text is accepted for each, and the errors for other text.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;

use crate::client_address::UNKNOWN_PEER;

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The longest time that any setting accepts: a leap year.
pub(super) const MAX_TIME: i64 = 366 * DAY;

/// More than any site needs; it keeps sums far from an overflow.
const MAX_COUNT: i64 = 1_000_000;

/// The longest name that still fits a title and the subject of an email.
const MAX_SITE_NAME: usize = 60;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many times, 1 or more.
    pub count: i64,
    /// In how many seconds.
    pub period: i64,
}

impl Rate {
    /// So many times as often.
    pub(crate) fn times(self, factor: i64) -> Self {
        Self { count: self.count.saturating_mul(factor), ..self }
    }
}

/// Who may read the development mailbox, which shows every code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxReaders {
    /// Only clients on this machine.
    Loopback,
    /// Every client that reaches the port.
    Anyone,
}

pub(super) const MAILBOX_READERS: [(&str, MailboxReaders); 2] =
    [("loopback", MailboxReaders::Loopback), ("anyone", MailboxReaders::Anyone)];

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: an object a line.
    Json,
}

pub(super) const LOG_FORMATS: [(&str, LogFormat); 2] =
    [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// `10/15m`, or `off` for no limit.
pub(super) fn rate_or_off(text: &str) -> Result<Option<Rate>, &'static str> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let rate = text.split_once('/').and_then(|(count, period)| {
        let (count, period) = (number(count)?, seconds(period)?);
        let is_in_range = (1..=MAX_COUNT).contains(&count) && (1..=MAX_TIME).contains(&period);
        is_in_range.then_some(Rate { count, period })
    });
    rate.map(Some)
        .ok_or("expected COUNT/PERIOD, like 10/15m (s, m, h or d; from 1s to 366d), or off")
}

/// A parser of a word for each value.
pub(super) fn one_of<T: Copy, const N: usize>(
    words: [(&'static str, T); N],
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words = words.map(|(word, _)| word);
            let (last, rest) = words.split_last().unwrap_or((&"", &[]));
            format!("expected {} or {last}", rest.join(", "))
        })
    }
}

/// A boolean, in any of the ways that people and the tools that write such settings spell it.
pub(super) fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err("expected yes or no (or true, on, 1, false, off, 0)"),
    }
}

/// The value of `Strict-Transport-Security` (RFC 6797, 6.1), or `off`.
pub(super) fn hsts(text: &str) -> Result<Option<String>, &'static str> {
    const EXPECTED: &str = "expected max-age=SECONDS, which \"; includeSubDomains\" and \"; preload\" may follow, or off";
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let mut directives = text.split(';').map(str::trim).map(str::to_ascii_lowercase);
    let max_age = directives.next().and_then(|first| first.strip_prefix("max-age=")?.parse().ok());
    let max_age: u32 = max_age.ok_or(EXPECTED)?;
    let mut value = format!("max-age={max_age}");
    for directive in directives {
        let addition = match directive.as_str() {
            "includesubdomains" => "; includeSubDomains",
            "preload" => "; preload",
            _ => return Err(EXPECTED),
        };
        if value.contains(addition) {
            return Err(EXPECTED);
        }
        value.push_str(addition);
    }
    Ok(Some(value))
}

pub(super) fn site_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let fits = (1..=MAX_SITE_NAME).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        Ok(name.into())
    } else {
        Err(format!("expected 1 to {MAX_SITE_NAME} characters on one line"))
    }
}

pub(super) fn trusted_proxies(text: &str) -> Result<Vec<IpNet>, &'static str> {
    if text == "none" {
        return Ok(Vec::new());
    }
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect()
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = if text == "unix" { Ok(UNKNOWN_PEER) } else { text.parse() };
    let network = text.parse::<IpNet>().or_else(|_| address.map(IpNet::from));
    match network {
        // ::ffff:10.0.0.0/8 is ::/8, in which there is no IPv4 address.
        Ok(IpNet::V6(net)) if net.addr().to_ipv4_mapped().is_some() && net.prefix_len() < 96 => {
            Err("expected an IPv4 network written like 10.0.0.0/8, not behind ::ffff:")
        }
        Ok(network) => Ok(network.trunc()),
        Err(_) => Err(
            "expected addresses or CIDRs separated by commas, like 10.0.0.1,fd00::/8, unix for a Unix socket, or none",
        ),
    }
}

/// A parser of whole numbers in `range`.
pub(super) fn whole<N: FromStr + PartialOrd + Display>(
    range: RangeInclusive<N>,
) -> impl Fn(&str) -> Result<N, String> {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        let (min, max) = (range.start(), range.end());
        number.ok_or_else(|| format!("expected a whole number from {min} to {max}"))
    }
}

/// A parser of times in `range` (seconds), written like `10m`.
pub(super) fn time(range: RangeInclusive<i64>) -> impl Fn(&str) -> Result<i64, String> {
    move |text| {
        let time = seconds(text).filter(|time| range.contains(time));
        let (min, max) = (spelled(*range.start()), spelled(*range.end()));
        time.ok_or_else(|| {
            format!("expected a time from {min} to {max}: a number and s, m, h or d, like 10m")
        })
    }
}

/// `10m` in seconds.
fn seconds(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        _ => return None,
    };
    number(&text[..text.len() - 1])?.checked_mul(unit)
}

/// Digits only: `parse` would accept a sign, too.
fn number(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `seconds` in the largest unit that divides it, as a setting is written.
pub(super) fn spelled(seconds: i64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m")];
    let fits = units.into_iter().find(|(unit, _)| seconds % unit == 0);
    let (unit, letter) = fits.unwrap_or((1, "s"));
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_period() {
        for (text, count, period) in
            [("10/15m", 10, 900), ("1/1s", 1, 1), ("60/1h", 60, 3600), ("20/366d", 20, MAX_TIME)]
        {
            assert_eq!(rate_or_off(text), Ok(Some(Rate { count, period })));
        }
        for off in ["off", "Off", "OFF"] {
            assert_eq!((rate_or_off(off), hsts(off)), (Ok(None), Ok(None)));
        }
    }

    #[test]
    fn invalid_rates_are_refused() {
        let expected = "expected COUNT/PERIOD, like 10/15m (s, m, h or d; from 1s to 366d), or off";
        for text in [
            "",
            "10",
            "10/m",
            "10/",
            "/15m",
            "0/15m",
            "10/0s",
            "10/367d",
            "-1/1m",
            "+1/1m",
            "10/15",
            "10/15 m",
            "10/1µ",
            "10/99999999999999999d",
            "99999999999999999999/1d",
        ] {
            assert_eq!(rate_or_off(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn times_and_numbers_must_be_in_a_range_that_the_error_names() {
        let ttl = time(MINUTE..=HOUR);
        assert_eq!(ttl("60s"), Ok(60));
        assert_eq!(ttl("1h"), Ok(3600));
        assert!(ttl("61m").unwrap_err().contains("from 1m to 1h"));
        assert!(ttl("10").is_err());
        let length = whole(8_usize..=64);
        assert_eq!(length("8"), Ok(8));
        for text in ["7", "65", "x", "", "-9", "8.0"] {
            let message = length(text).unwrap_err();
            assert_eq!(message, "expected a whole number from 8 to 64");
        }
    }

    #[test]
    fn a_boolean_has_four_spellings_in_any_case() {
        for (text, value) in [
            ("yes", true),
            ("true", true),
            ("on", true),
            ("1", true),
            ("no", false),
            ("false", false),
            ("off", false),
            ("0", false),
        ] {
            for text in
                [text.to_owned(), text.to_uppercase(), text[..1].to_uppercase() + &text[1..]]
            {
                assert_eq!(yes_or_no(&text), Ok(value), "{text}");
            }
        }
        for text in ["", "y", "n", "2", "yes ", "enabled", "truе", "00"] {
            assert!(yes_or_no(text).unwrap_err().starts_with("expected yes or no"), "{text}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let proxies = trusted_proxies("10.1.2.3/8, 192.0.2.1,fd00::/8,").unwrap();
        let written: Vec<_> = proxies.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]);
        let with_unix = trusted_proxies("10.0.0.1, unix").unwrap();
        assert_eq!(with_unix[1].to_string(), "0.0.0.0/32");
        assert_eq!(trusted_proxies(""), Ok(Vec::new()));
        assert_eq!(trusted_proxies("none"), Ok(Vec::new()));
        for mapped in ["::ffff:127.0.0.1", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "::/0"] {
            assert_eq!(trusted_proxies(mapped).map(|proxies| proxies.len()), Ok(1), "{mapped}");
        }
        for cut in ["::ffff:10.0.0.0/8", "::ffff:10.0.0.1/95"] {
            assert!(trusted_proxies(cut).unwrap_err().contains("10.0.0.0/8"), "{cut}");
        }
        let message = trusted_proxies("10.0.0.1,caddy").unwrap_err();
        assert!(message.starts_with("expected addresses or CIDRs"));
    }

    #[test]
    fn hsts_is_written_as_the_header_is() {
        let written = |text: &str| hsts(text).unwrap().unwrap();
        assert_eq!(written("max-age=0"), "max-age=0");
        let preload = "max-age=63072000; includeSubDomains; preload";
        assert_eq!(written(preload), preload);
        assert_eq!(written("Max-Age=63072000;INCLUDESUBDOMAINS;preload"), preload);
        assert_eq!(written("max-age=60;preload"), "max-age=60; preload");
        assert_eq!(hsts("off"), Ok(None));
        for text in [
            "",
            "on",
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1d",
            "max-age=99999999999",
            "includeSubDomains",
            "includeSubDomains; max-age=60",
            "max-age=60,includeSubDomains",
            "max-age=60; includeSubDomains; includeSubDomains",
            "max-age=60;",
            "max-age=60; x\r\nSet-Cookie: a=b",
        ] {
            assert!(hsts(text).unwrap_err().starts_with("expected max-age=SECONDS"), "{text}");
        }
    }

    #[test]
    fn a_site_name_is_a_short_line() {
        assert_eq!(site_name(" Ünïted "), Ok("Ünïted".into()));
        assert!(site_name(&"é".repeat(60)).is_ok());
        for text in ["", "  ", "two\nlines", &"é".repeat(61)] {
            assert!(site_name(text).is_err(), "{text:?}");
        }
    }
}
