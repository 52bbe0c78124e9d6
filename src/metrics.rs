//! What is counted for Prometheus, and under which names.

use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The upper bounds of histograms, in seconds: from a page without a query to the longest request.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The route of a request whose path is none of ours. Made-up paths must not become labels.
const UNKNOWN_ROUTE: &str = "unknown";

/// Defines the values of labels.
macro_rules! labels {
    ($($(#[$note:meta])* $name:ident { $($(#[$of:meta])* $variant:ident $text:literal)* })*) => {$(
        $(#[$note])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$of])* $variant),* }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    )*};
}

labels! {
    /// How a login ended.
    LoginEnd { Success "success" Refused "refused" Limited "limited" }
    /// How a registration ended.
    RegistrationEnd { Created "created" Taken "taken" Refused "refused" Limited "limited" }
    /// What became of a one-time code, or of an attempt at one.
    CodeEnd { Sent "sent" Right "right" Wrong "wrong" Expired "expired" Limited "limited" }
    /// What the mail server did with an email.
    MailEnd { Sent "sent" Refused "refused" Deferred "deferred" }
}

/// Counters with labels: their names and values.
type Counters<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;

/// What this process has counted since its start. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    logins: Counters<1>,
    registrations: Counters<1>,
    codes: Counters<2>,
    mails: Counters<1>,
    limits: Counters<1>,
    requests: Family<[(&'static str, String); 2], Counter>,
    request_seconds: Seconds,
}

/// A histogram of times.
#[derive(Clone, Debug)]
pub struct Seconds(Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Self(Histogram::new(SECONDS))
    }
}

impl Seconds {
    pub fn observe(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

/// What is measured when the metrics are read.
pub struct Gauges {
    pub hash_queue: usize,
    pub hash_waits: Seconds,
    /// Left out if the database does not answer.
    pub stored: Option<StoredGauges>,
}

/// What the database knows.
pub struct StoredGauges {
    /// How long it took to answer a statement without data.
    pub database: Duration,
    pub sessions: i64,
    pub outbox_length: i64,
    /// In seconds.
    pub outbox_oldest: i64,
}

impl Default for Metrics {
    /// Every outcome begins at 0: Prometheus does not see the first increase of what was not there.
    fn default() -> Self {
        let metrics = Self {
            logins: Counters::default(),
            registrations: Counters::default(),
            codes: Counters::default(),
            mails: Counters::default(),
            limits: Counters::default(),
            requests: Family::default(),
            request_seconds: Seconds::default(),
        };
        for end in LoginEnd::ALL {
            drop(metrics.logins.get_or_create(&outcome(end.name())));
        }
        for end in RegistrationEnd::ALL {
            drop(metrics.registrations.get_or_create(&outcome(end.name())));
        }
        for end in MailEnd::ALL {
            drop(metrics.mails.get_or_create(&outcome(end.name())));
        }
        metrics
    }
}

fn outcome(end: &'static str) -> [(&'static str, &'static str); 1] {
    [("outcome", end)]
}

impl Metrics {
    /// Begins with 0 for the purposes of codes and the names of limits, which are defined in higher layers.
    pub fn add_labels(&self, purposes: &[&'static str], limits: &[&'static str]) {
        for purpose in purposes {
            for end in CodeEnd::ALL {
                drop(self.codes.get_or_create(&[("purpose", purpose), ("outcome", end.name())]));
            }
        }
        for limit in limits {
            drop(self.limits.get_or_create(&[("limit", limit)]));
        }
    }

    pub fn count_login(&self, end: LoginEnd) {
        self.logins.get_or_create(&outcome(end.name())).inc();
    }

    pub fn count_registration(&self, end: RegistrationEnd) {
        self.registrations.get_or_create(&outcome(end.name())).inc();
    }

    pub fn count_code(&self, purpose: &'static str, end: CodeEnd) {
        self.codes.get_or_create(&[("purpose", purpose), ("outcome", end.name())]).inc();
    }

    pub fn count_mail(&self, end: MailEnd) {
        self.mails.get_or_create(&outcome(end.name())).inc();
    }

    /// Counts something that was refused because of a limit.
    pub fn count_limited(&self, limit: &'static str) {
        self.limits.get_or_create(&[("limit", limit)]).inc();
    }

    /// Counts a request. `route` is the pattern that its path matched.
    pub fn count_request(&self, route: Option<&str>, status: u16, time: Duration) {
        let route = route.unwrap_or(UNKNOWN_ROUTE).to_owned();
        let labels = [("route", route), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.observe(time);
    }

    /// Everything, in the text format of Prometheus.
    pub fn text(&self, gauges: Gauges) -> String {
        let mut all = Registry::with_prefix("vestibule");
        all.register("logins", "Logins by outcome", self.logins.clone());
        all.register("registrations", "Registrations by outcome", self.registrations.clone());
        all.register("codes", "One-time codes by purpose and outcome", self.codes.clone());
        all.register("mails", "Attempts to send an email by outcome", self.mails.clone());
        all.register("limits", "Refusals by the limit that was reached", self.limits.clone());
        all.register("requests", "Requests by route and status", self.requests.clone());
        let seconds = self.request_seconds.0.clone();
        all.register("request_seconds", "Time to answer a request", seconds);
        let waiting = ConstGauge::new(gauges.hash_queue);
        all.register("hash_queue", "Password hashes that wait for a thread", waiting);
        let waits = gauges.hash_waits.0;
        all.register("hash_wait_seconds", "Time that a password hash waited for a thread", waits);
        if let Some(stored) = gauges.stored {
            stored.register(&mut all);
        }
        let mut text = String::new();
        // A `String` takes any text.
        let _ = prometheus_text::encode(&mut text, &all);
        text
    }
}

impl StoredGauges {
    fn register(self, all: &mut Registry) {
        let time = ConstGauge::new(self.database.as_secs_f64());
        all.register("database_seconds", "Time in which the database answered just now", time);
        let sessions = ConstGauge::new(self.sessions);
        all.register("sessions", "Sessions in which somebody is logged in", sessions);
        let length = ConstGauge::new(self.outbox_length);
        all.register("outbox_length", "Emails that wait to be sent", length);
        let oldest = ConstGauge::new(self.outbox_oldest);
        all.register("outbox_oldest_seconds", "Age of the oldest email that waits", oldest);
    }
}
