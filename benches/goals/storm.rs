//! Goal 3: pages during a storm of logins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::http::{self, Client};
use super::load;
use super::options::Options;
use super::proc::{memory, undisturbed};
use super::report::{Row, Wanted};
use super::series::{Series, percentile};
use super::site::{Person, Site};

/// 200 pages a second.
const PERIOD: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Storm {
    median: Series,
    slowest: Series,
    with_pages: Series,
    without: Series,
    memory: Series,
}

pub fn measure(options: &Options) -> Vec<Row> {
    let site = Site::start();
    let people = site.people(32);
    let mut storm = Storm::default();
    for _ in 0..options.samples {
        let (rate, others) = undisturbed(|| site.logins(&people, options.time).per_second());
        storm.without.push(rate, others);
        let ((mut times, rate), others) = undisturbed(|| with_pages(&site, &people, options));
        storm.median.push(percentile(&mut times, 0.5), others);
        storm.slowest.push(percentile(&mut times, 0.99), others);
        storm.with_pages.push(rate, others);
        storm.memory.push(memory(site.pid(), "VmHWM"), others);
    }
    storm.rows()
}

impl Storm {
    fn rows(&self) -> Vec<Row> {
        let logins = [&self.with_pages, &self.without];
        let kept = self.with_pages.over(&self.without);
        let what = "logins/s with 400 pages/s, to those without";
        vec![
            Row::figure("login page during 32 logins, ms, median", &self.median, Wanted::Nothing),
            Row::figure("the same, 99th percentile", &self.slowest, Wanted::AtMost(10.0)),
            Row::ratio(what, logins, kept, Wanted::AtLeast(0.95)),
            Row::figure("memory at most, MiB", &self.memory, Wanted::AtMost(70.0)),
        ]
    }
}

/// How long each page of one of two visitors took, in milliseconds, and logins a second.
fn with_pages(site: &Site, people: &[Person], options: &Options) -> (Vec<f64>, f64) {
    let stop = AtomicBool::new(false);
    let visit = || {
        let mut client = Client::new(site.address());
        let request = http::get(site.address(), "/login", &[]);
        load::each(PERIOD, &stop, || drop(client.ask(&request).expect(200)))
    };
    thread::scope(|scope| {
        let (timed, _other) = (scope.spawn(visit), scope.spawn(visit));
        let rate = site.logins(people, options.time).per_second();
        stop.store(true, Ordering::Relaxed);
        (timed.join().expect("the visitor's thread"), rate)
    })
}
