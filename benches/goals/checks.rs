//! Goal 7: checks of forward auth, which a proxy makes for each request of an application.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::http::{self, Client};
use super::load::{self, pause};
use super::options::Options;
use super::proc::{Cpu, undisturbed};
use super::report::{Row, Wanted};
use super::series::{Series, percentile};
use super::site::{Person, Site};

/// The connections that a proxy keeps open, each with a check every 8 ms: 2,000 a second.
const CONNECTIONS: usize = 16;
const PERIOD: Duration = Duration::from_millis(8);

/// What was measured of one kind of request.
#[derive(Default)]
struct Measured {
    median: Series,
    slowest: Series,
    cpu: Series,
}

pub fn measure(options: &Options) -> Vec<Row> {
    let site = Site::start();
    let people = site.people(CONNECTIONS);
    let check = |person: &Person| {
        let host = format!("localhost:{}", site.address().port());
        let asked = [
            ("Cookie", &*person.session),
            ("Accept", "text/html"),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", &host),
            ("X-Forwarded-Uri", "/notes"),
        ];
        http::get(site.address(), "/forward/proxy", &asked)
    };
    let session =
        |person: &Person| http::get(site.address(), "/session", &[("Cookie", &person.session)]);
    let checks: Vec<_> = people.iter().map(check).collect();
    let sessions: Vec<_> = people.iter().map(session).collect();
    let (mut checked, mut read) = (Measured::default(), Measured::default());
    for _ in 0..options.samples {
        checked.sample(&site, &checks, options.time);
        read.sample(&site, &sessions, options.time);
    }
    vec![
        Row::figure("a check at 2,000 a second, ms, median", &checked.median, Wanted::Nothing)
            .with_reference(&read.median),
        Row::figure("the same, 99th percentile", &checked.slowest, Wanted::AtMost(2.0))
            .with_reference(&read.slowest),
        Row::ratio(
            "the same, CPU ms, to GET /session",
            [&checked.cpu, &read.cpu],
            read.cpu.over(&checked.cpu),
            Wanted::Nothing,
        ),
    ]
}

impl Measured {
    fn sample(&mut self, site: &Site, requests: &[Vec<u8>], time: Duration) {
        let ((mut times, cpu), others) = undisturbed(|| steadily(site, requests, time));
        self.median.push(percentile(&mut times, 0.5), others);
        self.slowest.push(percentile(&mut times, 0.99), others);
        self.cpu.push(cpu, others);
    }
}

/// Sends each request on its own connection once a period: how long each took, and the CPU of one, in
/// milliseconds.
fn steadily(site: &Site, requests: &[Vec<u8>], time: Duration) -> (Vec<f64>, f64) {
    let stop = AtomicBool::new(false);
    let before = Cpu::of(site.pid()).total;
    let times: Vec<f64> = thread::scope(|scope| {
        let ask = |request| {
            let (mut client, stop) = (Client::new(site.address()), &stop);
            move || load::each(PERIOD, stop, || drop(client.ask(request).expect(200)))
        };
        let clients: Vec<_> = requests.iter().map(|request| scope.spawn(ask(request))).collect();
        pause(time);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
    let cpu = (Cpu::of(site.pid()).total - before) * 1000.0 / times.len() as f64;
    (times, cpu)
}
