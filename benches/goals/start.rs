//! Goal 4: how soon it answers, how large it is, what it takes while nothing happens.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::http::{self, Client};
use super::load::pause;
use super::options::Options;
use super::proc::{calmly, memory};
use super::program::{Folder, free_port, reference_path, stop};
use super::report::{Row, Wanted};
use super::series::Series;
use super::site::{self, Site};

/// A start is short, so that many can be made.
const STARTS_A_SAMPLE: usize = 4;

/// Between two checks whether the port is open.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// Longer takes none that succeeds.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn measure(options: &Options) -> Vec<Row> {
    let folder = Folder::new();
    // The first one makes the database.
    start_once(&mut vestibule(&folder));
    // All in one sample: the kernel counts CPU too coarsely to tell who used it during one start.
    let (times, others) = calmly(|| {
        let starts = (0..options.samples * STARTS_A_SAMPLE)
            .map(|_| (start_once(&mut vestibule(&folder)), start_once(&mut page())));
        starts.collect::<Vec<_>>()
    });
    let (mut ours, mut bare) = (Series::default(), Series::default());
    for (of_ours, of_bare) in times {
        ours.push(of_ours, others);
        bare.push(of_bare, others);
    }
    let mut rows = vec![
        Row::figure("start to first answer, ms (beside bare axum)", &ours, Wanted::AtMost(15.0))
            .beside(&bare),
        Row::figure("size of the program, MB", &size(), Wanted::AtMost(15.0)),
    ];
    rows.extend(idle());
    rows
}

/// A command, and where it is going to listen.
struct Start(Command, SocketAddr);

fn vestibule(folder: &Folder) -> Start {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = site::command(&address.to_string());
    command.current_dir(&folder.0);
    Start(command, address)
}

fn page() -> Start {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new(reference_path("page"));
    command.arg(address.to_string());
    Start(command, address)
}

/// Milliseconds from the start of the process until its login page was read; then it is stopped.
fn start_once(Start(command, address): &mut Start) -> f64 {
    let request = http::get(*address, "/login", &[]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child: Child = command.spawn().expect("the program is built");
    while TcpStream::connect(*address).is_err() {
        assert!(start.elapsed() < PATIENCE, "{command:?} did not start");
        pause(LOOK_EVERY);
    }
    drop(Client::new(*address).ask(&request).expect(200));
    let time = start.elapsed().as_secs_f64() * 1000.0;
    stop(&mut child, Signal::TERM);
    time
}

fn size() -> Series {
    let bytes = std::fs::metadata(env!("CARGO_BIN_EXE_vestibule")).expect("it is built").len();
    let mut size = Series::default();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    size.push(bytes as f64 / 1e6, 0.0);
    size
}

fn idle() -> [Row; 2] {
    let site = Site::start();
    pause(Duration::from_secs(2));
    let mut idle = Series::default();
    idle.push(memory(site.pid(), "VmRSS"), 0.0);
    let (mut client, request) =
        (Client::new(site.address()), http::get(site.address(), "/login", &[]));
    for _ in 0..1000 {
        drop(client.ask(&request).expect(200));
    }
    let mut later = Series::default();
    later.push(memory(site.pid(), "VmRSS"), 0.0);
    let most = Wanted::AtMost(20.0);
    [
        Row::figure("memory when idle, MiB", &idle, most),
        Row::figure("the same after a thousand pages", &later, most),
    ]
}
