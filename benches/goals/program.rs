//! A program that is measured, in its own process and folder.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use vestibule::random;

/// Killed when it is dropped, its folder deleted.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    _folder: Folder,
}

/// A folder for one program, deleted when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("vestibule-goals-{}", random::id(0)));
        std::fs::create_dir_all(&path).expect("no folder can be made");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Program {
    /// Starts `command` and waits until it says where it listens.
    pub fn start(command: &mut Command, folder: Folder) -> Self {
        let (child, address) = spawn(command.current_dir(&folder.0));
        Self { child, address, _folder: folder }
    }

    /// One of `benches/reference`.
    pub fn reference(name: &str) -> Self {
        Self::start(&mut Command::new(reference_path(name)), Folder::new())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> (Child, SocketAddr) {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut said = lines.map_while(Result::ok);
    let found = said.find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()));
    // Whatever else it says must not meet a closed pipe.
    std::thread::spawn(move || said.for_each(drop));
    let address = found.unwrap_or_else(|| panic!("{command:?} did not start"));
    (child, address.parse().expect("an address"))
}

/// Where `benches/run` has built it.
pub fn reference_path(name: &str) -> PathBuf {
    let path = target().join("reference/release").join(name);
    assert!(path.is_file(), "{} is missing: run benches/run, which builds it", path.display());
    path
}

/// The folder for what is built.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Asks a process to stop, and waits for it.
pub fn stop(child: &mut Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process's id");
    kill_process(pid, signal).expect("the process is gone");
    child.wait().expect("it is our child");
}
