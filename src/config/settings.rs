//! The one table of settings, from which `--help`, the documentation and the checks are made.

use std::fmt::Write;

/// What every variable's name starts with.
pub(super) const PREFIX: &str = "VESTIBULE_";

/// Ends the name of a variable that holds the path of a file with the value.
pub(super) const FILE: &str = "_FILE";

/// One thing that can be configured.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `LISTEN`: the variable without `VESTIBULE_`.
    pub name: &'static str,
    /// A value, or words.
    pub default: &'static str,
    /// What a value looks like: `ADDR:PORT`.
    pub value: &'static str,
    /// What it does, what is accepted, why the default is what it is.
    pub help: &'static str,
    /// Never printed, and never taken from a flag, which every user of the machine can read.
    pub secret: bool,
}

impl Setting {
    const fn new(
        name: &'static str,
        default: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, default, value, help, secret: false }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// `VESTIBULE_LISTEN`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// `--listen`; secrets have none.
    pub fn flag(&self) -> Option<String> {
        let words = self.name.to_lowercase().replace('_', "-");
        (!self.secret).then(|| format!("--{words}"))
    }
}

/// Every setting, in the order in which the help shows them.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "LISTEN",
        "127.0.0.1:8000",
        "ADDR:PORT",
        "The address and port to serve on. 0.0.0.0:8000 is every interface; port 0 picks a free port.",
    ),
    Setting::new(
        "BASE_URL",
        "http://localhost:PORT",
        "URL",
        "The URL that people see, without a path. https:// means production: Secure cookies, HSTS, no development mailbox, and mail must go to an SMTP server.",
    ),
    Setting::new(
        "SITE_NAME",
        "Vestibule",
        "NAME",
        "The name in titles, headings and mails: 1 to 60 characters.",
    ),
    Setting::new(
        "ACCENT",
        "#1d5b50",
        "COLOUR",
        "The colour of links and buttons: #RRGGBB or #RGB, and the # may be left out. It needs a contrast of 4.5:1 against the light pages, because words stand in it (WCAG 2.2, 1.4.3); a lighter one is refused with the nearest that will do. The shade for dark pages is made from it.",
    ),
    Setting::new(
        "LOGO",
        "our own mark",
        "PATH",
        "The picture beside the site's name, and on the browser's tab when it is about square (3:2 at most): an SVG, PNG, WebP or JPEG file of 64 KiB at most, read at the start.",
    ),
    Setting::new(
        "LOGO_DARK",
        "the same logo",
        "PATH",
        "The logo on dark pages, where a picture made for light ones may be hard to see: a file as for LOGO, which is needed too.",
    ),
    Setting::new(
        "SHOW_NAME",
        "yes",
        "yes|no",
        "Whether pages show the site's name beside the logo. With no, a LOGO that is the written name stands alone, and screen readers read the name for it. Titles and mails, which have no picture, keep the name.",
    ),
    Setting::new(
        "DATABASE_URL",
        "sqlite:vestibule.db",
        "URL",
        "Where the data is: sqlite:PATH, a file made at the first start, or postgres://USER:PASSWORD@HOST/NAME for several nodes. A PostgreSQL on another machine must speak TLS and show a certificate for HOST (sslmode=verify-full); ?sslrootcert=PATH names a private authority, a weaker sslmode is logged with what it gives up. ?pgbouncer=transaction is for a pooler in transaction mode.",
    )
    .secret(),
    Setting::new(
        "SMTP_URL",
        "the development mailbox",
        "URL",
        "The mail server: smtps://USER:PASSWORD@HOST:465, smtp://HOST:587?tls=required or smtp://127.0.0.1:1025. When set, mail goes there also in development. Production refuses another machine without TLS unless the URL ends with ?tls=none, which lets anybody on the way read the codes.",
    )
    .secret(),
    Setting::new(
        "SMTP_CA",
        "none",
        "PATH",
        "A PEM file of further authorities that may have signed the mail server's certificate, beside the system's. A certificate of the server itself, self-signed or not, is trusted as it is: only its name and its dates are checked.",
    ),
    Setting::new(
        "DEV_MAILBOX",
        "loopback",
        "loopback|anyone",
        "Who may read the development mailbox, which shows every code: clients on this machine alone, or anyone who reaches the port. A container's published port and a proxy that is not in TRUSTED_PROXIES need anyone: then whoever reaches them can take over accounts. An SSH tunnel needs nothing.",
    ),
    Setting::new(
        "MAIL_FROM",
        "SITE_NAME <no-reply@HOST>",
        "ADDRESS",
        "The sender of all mail: NAME <ADDRESS> or an address alone. HOST is the base URL's.",
    ),
    Setting::new(
        "MAIL_NOTICES",
        "registered,new_device,password_changed,login_stopped",
        "LIST",
        "The mails that go out beside the codes, which always do: registered, login (every login), new_device, password_changed, login_stopped (after 100 wrong passwords in a row), separated by commas, or none. A mail at every login is off by default, because people stop reading what comes every day.",
    ),
    Setting::new(
        "MAIL_CODE_IN_SUBJECT",
        "no",
        "yes|no",
        "Whether a code stands in the subject of its mail too. It is then read from the notification, and by whoever sees the locked screen; in another browser it is of no use to them.",
    ),
    Setting::new(
        "TRUSTED_PROXIES",
        "none",
        "CIDRS",
        "The proxies whose X-Forwarded-For is believed (X-Forwarded-Proto is not needed: the base URL says it): addresses or CIDRs, separated by commas. Name your proxies alone: whoever else is in a range can pretend to be anyone and escape the limits.",
    ),
    Setting::new(
        "MAX_CONNECTIONS",
        "1024",
        "COUNT",
        "Client connections open at once, 1 to 1000000. 64 more wait, and the next are answered 503. Each takes a file descriptor: `ulimit -Hn` must be 128 higher, or fewer are served.",
    ),
    Setting::new(
        "LOG",
        "text",
        "text|json",
        "How log lines are written: text for people or json for programs.",
    ),
    Setting::new(
        "SECRET",
        "vestibule.key beside the SQLite database",
        "BASE64",
        "The server's key: at least 32 random bytes in base64, made with `openssl rand -base64 32`. It keys the digests of codes and seals mails at rest; losing it costs pending codes and mails. SQLite: made at the first start. PostgreSQL: must be given, the same on every node.",
    )
    .secret(),
    Setting::new(
        "PASSWORD_MIN",
        "12",
        "LENGTH",
        "The shortest password, in characters (code points): 8 to 64. NIST SP 800-63B-4 asks for 15 where the password is the only factor and never less than 8; 12 is what ASVS 4 (2.1.1) asked for.",
    ),
    Setting::new(
        "CODE_TTL",
        "10m",
        "TIME",
        "How long a mailed code works: 1m to 1h. ASVS 6.5.5 wants 10 minutes at most.",
    ),
    Setting::new(
        "SESSION_IDLE",
        "14d",
        "TIME",
        "With \"remember me\", a session ends when it is unused for this long: 1m to 366d, at most SESSION_MAX. Without it the session ends with the browser, or unused for 12h.",
    ),
    Setting::new(
        "SESSION_MAX",
        "30d",
        "TIME",
        "A session ends this long after the login, however much it is used: 1m to 366d. 30 days is what NIST SP 800-63B-4 recommends for one factor.",
    ),
    Setting::new(
        "HASH_MEMORY_KIB",
        "19456",
        "KIB",
        "The memory for one password hash (Argon2id, one lane): 7168 to 1048576. The default is OWASP's minimum for 2 iterations; less than its minimum for the iterations is refused.",
    ),
    Setting::new(
        "HASH_ITERATIONS",
        "2",
        "COUNT",
        "The passes over that memory: 1 to 64. OWASP's minimum is 1 from 47104 KiB, 2 from 19456, 3 from 12288, 4 from 9216, 5 from 7168.",
    ),
    Setting::new(
        "HASH_THREADS",
        "number of cores",
        "COUNT",
        "Passwords hashed at once, 1 to 256, so that many logins slow down logins and no other page.",
    ),
    Setting::new(
        "HASH_QUEUE",
        "40 a thread",
        "COUNT",
        "Passwords that may wait to be hashed or judged, 1 to 100000; one more is answered 503. Networks are served in turn, an IPv6 /48 or IPv4 /24 first and then the /56 or address in it. When the queue is full, the one with the most work gives way, so that no flood from one network keeps the others out. Where a hash takes 25 ms, 40 a thread is a wait of a second at most.",
    ),
    Setting::new(
        "LIMIT_LOGIN_IP",
        "300/15m",
        "COUNT/PERIOD|off",
        "Failed logins from one IP address, IPv6 by /64; a whole office may stand behind one address. A guesser tries thousands.",
    ),
    Setting::new(
        "LIMIT_LOGIN_ACCOUNT",
        "10/15m",
        "COUNT/PERIOD|off",
        "Failed logins to one account, from anywhere. A browser that the account was used from has as many of its own, also after the password was changed in another, so strangers cannot lock the owner out. After 100 failures in a row (NIST SP 800-63B-4, 3.2.2) whoever sent them needs a new password; off lifts that, too.",
    ),
    Setting::new(
        "LIMIT_REGISTER_IP",
        "60/1h",
        "COUNT/PERIOD|off",
        "Registrations from one IP address. Enough for a class that registers together; a script that makes accounts is stopped. Forms count apart, refused ones included: ten for each registration, and 20 at least.",
    ),
    Setting::new(
        "LIMIT_FORGOT_IP",
        "60/1h",
        "COUNT/PERIOD|off",
        "Codes asked for from one IP address. Enough for an office; trying names and addresses from a list is stopped.",
    ),
    Setting::new(
        "LIMIT_FORGOT_ACCOUNT",
        "10/1h",
        "COUNT/PERIOD|off",
        "Codes asked for one account. A person needs one or two; more would fill the mailbox of someone who never asked.",
    ),
    Setting::new(
        "LIMIT_RESET_CODE",
        "5",
        "COUNT",
        "Wrong guesses at one code before it is dead: 1 to 20. Room for mistyping, since the code can be copied; it cannot be off.",
    ),
    Setting::new(
        "LIMIT_RESET_ACCOUNT",
        "20/1d",
        "COUNT/PERIOD|off",
        "Wrong guesses at one account over all its codes. 20 a day for a year against 24^8 codes is a chance of 6.7e-8. Browsers that the account was used from have as many of their own, all together: who has one knows the password.",
    ),
    Setting::new(
        "LIMIT_MAIL_ADDRESS",
        "30/1d",
        "COUNT/PERIOD|off",
        "Mails to one mailbox, however many addresses and accounts lead to it: what follows a + in an address does not count, nor do dots at Gmail and the like. A third is for codes, a third for notices, a sixth for codes to browsers that the account was used from, and a sixth for changes of the password; below 6 there is one count for all. The last two are counted apart for the address without a tag, which makes 40 for one person (docs/security.md). More than a person needs in a day; nobody's mailbox is flooded through this site.",
    ),
    Setting::new(
        "LIMIT_MAIL_DOMAIN",
        "3000/1h",
        "COUNT/PERIOD|off",
        "Mails to all mailboxes of one domain, divided in the same way; those of well-known public providers, whose users are strangers to one another, are not counted together. Subdomains count as their domain. One network causes a 25th at most, because all addresses of a domain may lead to one person. Enough for a company that registers a thousand people in an hour, and less than the 3600 that Exchange Online takes.",
    ),
    Setting::new(
        "LIMIT_MAIL_SITE",
        "30000/1h",
        "COUNT/PERIOD|off",
        "All mails of the site, divided in the same way; one network causes a tenth at most. Set it to what your mail server may send: a script on many networks must not get it blocked. The log says when it is reached.",
    ),
];

/// A Markdown table of every setting with its default and help, for the documentation.
pub fn settings_table() -> String {
    let mut table =
        String::from("| variable | flag | default | what it does |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let flag = setting.flag().map_or_else(
            || "none: it is secret".into(),
            |flag| format!("`{flag} {}`", cell(setting.value)),
        );
        let (variable, default) = (setting.variable(), setting.default);
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{variable}` | {flag} | `{default}` | {} |", cell(setting.help));
    }
    table
}

/// `text` as Markdown would otherwise read it: a cell's end, or a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_its_variable_and_its_flag() {
        assert_eq!(SETTINGS[0].variable(), "VESTIBULE_LISTEN");
        assert_eq!(SETTINGS[0].flag().unwrap(), "--listen");
        assert_eq!(SETTINGS[1].flag().unwrap(), "--base-url");
    }

    #[test]
    fn secrets_have_no_flag() {
        let secrets: Vec<_> = SETTINGS.iter().filter(|setting| setting.secret).collect();
        let names: Vec<_> = secrets.iter().map(|setting| setting.name).collect();
        assert_eq!(names, ["DATABASE_URL", "SMTP_URL", "SECRET"]);
        assert!(secrets.iter().all(|setting| setting.flag().is_none()));
    }

    #[test]
    fn every_name_is_there_once_and_none_looks_like_a_file() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            assert!(!setting.name.ends_with(FILE), "{}", setting.name);
            assert!(setting.help.ends_with('.'), "{}", setting.name);
            let later = &SETTINGS[index + 1..];
            assert!(later.iter().all(|other| other.name != setting.name));
        }
    }

    #[test]
    fn the_table_has_a_row_of_four_cells_for_every_setting() {
        let table = settings_table();
        assert_eq!(table.lines().count(), SETTINGS.len() + 2);
        assert!(table.lines().all(|row| row.replace("\\|", "").matches('|').count() == 5));
        assert!(table.contains("| `VESTIBULE_LISTEN` | `--listen ADDR:PORT` | `127.0.0.1:8000` |"));
        assert!(table.contains("| `VESTIBULE_SMTP_URL` | none: it is secret |"));
    }
}
