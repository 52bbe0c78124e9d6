//! A program in a process and a folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use vestibule::random;

/// A server that is killed when it is dropped.
pub struct Program {
    pub child: Child,
    pub address: SocketAddr,
    _folder: Folder,
}

/// A temporary folder, deleted when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("vestibule-bench-{}", random::id(0)));
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
    /// Starts `command` in `folder` and waits until it prints its address.
    pub fn start(command: &mut Command, folder: Folder) -> Self {
        command.current_dir(&folder.0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()));
        // Further output must not meet a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.unwrap_or_else(|| panic!("{command:?} did not start"));
        Self { child, address: address.parse().expect("an address"), _folder: folder }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
