//! The reference programs, and processes that are stopped by a signal.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use super::process::{Folder, Program};

/// Starts one of `benches/reference`.
pub fn start_reference(name: &str) -> Program {
    Program::start(&mut Command::new(reference_path(name)), Folder::new())
}

/// Where `benches/run` has built a reference program.
pub fn reference_path(name: &str) -> PathBuf {
    let path = target().join("reference/release").join(name);
    assert!(path.is_file(), "{} is missing: run benches/run, which builds it", path.display());
    path
}

/// The folder of builds.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target")
}

/// A free port.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Sends a signal and waits until the process has ended.
pub fn stop(child: &mut Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process's id");
    kill_process(pid, signal).expect("the process has ended");
    child.wait().expect("it is our child");
}
