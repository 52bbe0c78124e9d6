//! Goal 6: registrations of 64 clients. Hashing must limit them, not the disk.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::http::Client;
use super::load::{self, Window, pause};
use super::logins::raw_rate;
use super::options::Options;
use super::proc::{undisturbed, written};
use super::process::Folder;
use super::program::stop;
use super::report::{Row, Wanted};
use super::series::Series;
use super::site::{FLOOR_ITERATIONS, FLOOR_MEMORY_KIB, Site, network};

const CLIENTS: usize = 64;

/// The number of registrations, for unique names.
static REGISTERED: AtomicU64 = AtomicU64::new(0);

pub fn measure(options: &Options) -> Vec<Row> {
    let site = Site::start_with_weak_hash(Folder::new());
    let (mut ours, mut raw, mut disk) = (Series::default(), Series::default(), Series::default());
    for _ in 0..options.samples {
        let ((window, kib), others) = undisturbed(|| {
            let before = (written(site.pid()), registered());
            let window = registrations(&site, options.time);
            let kib = (written(site.pid()) - before.0) / 1024.0;
            (window, kib / (registered() - before.1))
        });
        disk.push(kib, others);
        ours.push(window.per_second(), others);
        let floor = [FLOOR_MEMORY_KIB, FLOOR_ITERATIONS];
        let (rate, others) = undisturbed(|| raw_rate(options.time, &floor));
        raw.push(rate, others);
    }
    let what = "registrations/s, 64 clients, to raw hashes of the same parameters";
    let mut rows = vec![
        Row::ratio(what, [&ours, &raw], ours.over(&raw), Wanted::AtLeast(0.9)),
        Row::figure("KiB written for each", &disk, Wanted::Nothing),
    ];
    rows.extend(syncs(&site, options.time).map(|syncs| {
        Row::figure("syncs of the disk for each (slowed by strace)", &syncs, Wanted::Nothing)
    }));
    rows
}

/// How many clients have registered so far.
#[expect(clippy::cast_precision_loss, reason = "a number of requests")]
fn registered() -> f64 {
    REGISTERED.load(Ordering::Relaxed) as f64
}

fn registrations(site: &Site, time: Duration) -> Window {
    let clients = (0..CLIENTS).map(|number| {
        let mut client = Client::new(site.address());
        move || {
            let name = format!("writer{}", REGISTERED.fetch_add(1, Ordering::Relaxed));
            drop(site.register(&mut client, name, network(number)));
        }
    });
    load::run(site.pid(), clients.collect(), time)
}

/// Syncs counted by strace, if it is installed and may trace the process.
fn syncs(site: &Site, time: Duration) -> Option<Series> {
    let folder = Folder::new();
    let counts = folder.0.join("counts");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-e", "trace=fsync,fdatasync", "-o"]).arg(&counts);
    strace.args(["-p", &site.pid().to_string()]).stderr(Stdio::null());
    let mut strace = strace.spawn().ok()?;
    pause(Duration::from_secs(1));
    if strace.try_wait().ok()?.is_some() {
        return None;
    }
    let before = registered();
    registrations(site, time);
    let registered = registered() - before;
    stop(&mut strace, Signal::INT);
    let mut syncs = Series::default();
    syncs.push(calls(&std::fs::read_to_string(counts).ok()?) / registered, 0.0);
    Some(syncs)
}

/// The fourth column is the number of calls.
fn calls(table: &str) -> f64 {
    let syncs = table.lines().filter(|line| line.ends_with("sync"));
    syncs.filter_map(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok()).sum()
}
