//! Goal 1: logins a second, compared with the hashes a second of this machine.

use std::process::Command;
use std::time::{Duration, Instant};

use vestibule::Config;
use vestibule::accounts::password::Password;
use vestibule::password_hasher::PasswordHasher;

use super::options::Options;
use super::proc::undisturbed;
use super::program::reference_path;
use super::report::{Row, Wanted};
use super::series::Series;
use super::site::{PASSWORD, Site};

/// The rates, in the order of measurement.
#[derive(Default)]
struct Rates {
    pool: Series,
    raw: Series,
    of_8: Series,
    of_32: Series,
}

pub fn measure(options: &Options) -> Vec<Row> {
    let site = Site::start();
    let people = site.people(32);
    let mut rates = Rates::default();
    for _ in 0..options.samples {
        let measure = |series: &mut Series, rate: &dyn Fn() -> f64| {
            let (rate, others) = undisturbed(rate);
            series.push(rate, others);
        };
        measure(&mut rates.pool, &|| pool_rate(options.time));
        measure(&mut rates.of_8, &|| site.logins(&people[..8], options.time).per_second());
        measure(&mut rates.raw, &|| raw_rate(options.time, &[]));
        measure(&mut rates.of_32, &|| site.logins(&people, options.time).per_second());
    }
    rates.rows()
}

impl Rates {
    fn rows(&self) -> Vec<Row> {
        let row = |what, ours: &Series, reference, wanted| {
            Row::ratio(what, [ours, reference], ours.over(reference), wanted)
        };
        let wanted = Wanted::AtLeast(0.93);
        vec![
            row("logins/s, 8 clients, to our hash pool alone", &self.of_8, &self.pool, wanted),
            row("logins/s, 32 clients, to our hash pool alone", &self.of_32, &self.pool, wanted),
            row("logins/s, 8 clients, to raw hashes", &self.of_8, &self.raw, Wanted::Nothing),
            row("logins/s, 32 clients, to raw hashes", &self.of_32, &self.raw, Wanted::Nothing),
            row(
                "hashes/s of our pool, to raw hashes",
                &self.pool,
                &self.raw,
                Wanted::AtLeast(0.93),
            ),
        ]
    }
}

/// Hashes a second of a pool in this process, with a job always waiting for each thread.
fn pool_rate(time: Duration) -> f64 {
    let cost = Config::default().hash;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let hasher = PasswordHasher::start(&cost).expect("the default parameters");
    let password = Password::typed(PASSWORD);
    runtime.expect("a runtime").block_on(async {
        let start = Instant::now();
        let one = async || {
            let mut count = 0.0;
            while start.elapsed() < time {
                hasher.verify(password.as_bytes(), None).await.expect("the queue has room");
                count += 1.0;
            }
            count
        };
        let all = futures_util::future::join_all((0..2 * cost.threads).map(|_| one())).await;
        all.iter().sum::<f64>() / start.elapsed().as_secs_f64()
    })
}

/// Hashes a second of the reference program, with these parameters or the default ones.
pub fn raw_rate(time: Duration, parameters: &[u32]) -> f64 {
    let threads = Config::default().hash.threads;
    let mut command = Command::new(reference_path("hashes"));
    command.arg(time.as_secs_f64().to_string()).arg(threads.to_string());
    let output = command.args(parameters.iter().map(u32::to_string)).output();
    let output = output.expect("the reference program runs").stdout;
    String::from_utf8_lossy(&output).trim().parse().expect("a number")
}
