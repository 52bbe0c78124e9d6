//! Goal 4: the time to the first response, the size of the program, and its memory when idle.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::http::{self, Client};
use super::load::pause;
use super::options::Options;
use super::proc::{memory, undisturbed};
use super::process::Folder;
use super::program::{free_port, reference_path, stop};
use super::report::{Row, Wanted};
use super::series::Series;
use super::site::{self, Site};

/// A start is short, so a sample has several.
const STARTS_A_SAMPLE: usize = 4;

/// The time between two checks whether the port is open.
const CHECK_EVERY: Duration = Duration::from_micros(100);

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn measure(options: &Options) -> Vec<Row> {
    let folder = Folder::new();
    // The first start creates the database.
    start_once(&mut vestibule(&folder));
    // All in one sample: the kernel counts CPU time too coarsely for one start.
    let (times, others) = undisturbed(|| {
        let starts = (0..options.samples * STARTS_A_SAMPLE)
            .map(|_| (start_once(&mut vestibule(&folder)), start_once(&mut page())));
        starts.collect::<Vec<_>>()
    });
    let (mut ours, mut bare) = (Series::default(), Series::default());
    for (our_time, bare_time) in times {
        ours.push(our_time, others);
        bare.push(bare_time, others);
    }
    let mut rows = vec![
        Row::figure(
            "start to first answer, ms (compared with bare axum)",
            &ours,
            Wanted::AtMost(15.0),
        )
        .with_reference(&bare),
        Row::figure("size of the program, MB", &size(), Wanted::AtMost(15.0)),
    ];
    rows.extend(idle());
    rows
}

/// A command and the address that it will listen on.
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

/// Milliseconds from the start of the process until its login page has been read.
fn start_once(Start(command, address): &mut Start) -> f64 {
    let request = http::get(*address, "/login", &[]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child: Child = command.spawn().expect("the program is built");
    while TcpStream::connect(*address).is_err() {
        assert!(start.elapsed() < PATIENCE, "{command:?} did not start");
        pause(CHECK_EVERY);
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
    let wanted = Wanted::AtMost(20.0);
    [
        Row::figure("memory when idle, MiB", &idle, wanted),
        Row::figure("the same after a thousand pages", &later, wanted),
    ]
}
