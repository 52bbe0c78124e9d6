//! Goal 5, second part: how long a writer waits while a million expired sessions are deleted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use vestibule::clock::Clock;

use super::http::{self, Client};
use super::load::{self, pause};
use super::options::Options;
use super::proc::undisturbed;
use super::report::{Row, Wanted};
use super::seed::{self, Seed};
use super::series::{Series, percentile};
use super::site::Site;

/// The time between two writes.
const PERIOD: Duration = Duration::from_millis(10);

/// The measurement ends then, even if the sweeper has not finished.
const MAX_TIME: Duration = Duration::from_mins(3);

const USERS: u64 = 1000;
const EXPIRED: u64 = 1_000_000;

/// How long each write took, in milliseconds, and the length of the measurement.
struct Writes {
    times: Vec<f64>,
    seconds: f64,
}

pub fn measure(options: &Options) -> Vec<Row> {
    let expired = if options.quick { EXPIRED / 10 } else { EXPIRED };
    // One sample is enough: it has a minute of writes, and the longest of them counts.
    let (mut swept, others) = undisturbed(|| while_swept(expired));
    let (mut calm, others_then) = undisturbed(|| without(Duration::from_secs_f64(swept.seconds)));
    let series = |value, others| {
        let mut series = Series::default();
        series.push(value, others);
        series
    };
    let mut row = |what: &str, share, wanted| {
        let ours = series(percentile(&mut swept.times, share), others);
        let reference = series(percentile(&mut calm.times, share), others_then);
        Row::figure(what, &ours, wanted).with_reference(&reference)
    };
    let what = format!(
        "POST /forgot while {expired} expired sessions go, ms, longest (compared with none)"
    );
    vec![
        row(&what, 1.0, Wanted::AtMost(50.0)),
        row("the same, 99th percentile", 0.99, Wanted::Nothing),
        row("the same, median", 0.5, Wanted::Nothing),
        Row::figure(
            "seconds until they were gone",
            &series(swept.seconds, others),
            Wanted::Nothing,
        ),
    ]
}

fn while_swept(expired: u64) -> Writes {
    let folder = seed::copy(Seed { users: USERS, sessions: expired, has_expired: true });
    let path = folder.0.join("vestibule.db");
    let site = Site::start_with_weak_hash(folder);
    write_until(&site, &|| !has_expired(&path))
}

fn without(time: Duration) -> Writes {
    let folder = seed::copy(Seed { users: USERS, sessions: USERS, has_expired: false });
    let site = Site::start_with_weak_hash(folder);
    let start = Instant::now();
    write_until(&site, &|| start.elapsed() >= time)
}

fn write_until(site: &Site, is_over: &dyn Fn() -> bool) -> Writes {
    let (stop, start) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = Client::new(site.address());
            let fields = [("username", "nobody"), ("email", "nobody@meadow.example")];
            let request = http::post(site.address(), "/forgot", &fields, &[]);
            load::each(PERIOD, &stop, || drop(client.ask(&request).expect(303)))
        });
        while !is_over() && start.elapsed() < MAX_TIME {
            pause(Duration::from_millis(500));
        }
        let seconds = start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        Writes { times: writer.join().expect("the writer's thread"), seconds }
    })
}

/// Whether an expired session is left.
fn has_expired(path: &Path) -> bool {
    seed::run(async {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut on: SqliteConnection = options.connect().await.expect("the database opens");
        let first =
            sqlx::query_scalar("select min(expires_at) from vestibule_sessions").fetch_one(&mut on);
        first.await.is_ok_and(|first: Option<i64>| first.is_some_and(|at| at < Clock::System.now()))
    })
}
