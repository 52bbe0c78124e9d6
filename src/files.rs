//! Writes private files so that a crash leaves the old or the new one, and locks them.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::disk::folder_of;
use crate::random;

/// What SQLite keeps beside a database.
pub const BESIDE_SQLITE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The path with `end` behind it.
pub fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    PathBuf::from(path)
}

/// Whether both paths lead to one file.
pub fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// A file beside another, removed when this is dropped unless it took the other's place.
#[derive(Debug)]
pub struct Draft {
    pub path: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Creates an empty file (mode 0600) in the folder of `place`.
    pub fn create(place: &Path) -> io::Result<(Self, File)> {
        let mut name = OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(format!(".{}", random::id(0)));
        let draft = Self { path: folder_of(place).join(name), place: place.to_owned() };
        let file = create_private(&draft.path)?;
        Ok((draft, file))
    }

    /// Gives the file its name, and fails if there is such a file: unlike a rename, a link never replaces
    /// the file of another process.
    pub fn publish(self) -> io::Result<()> {
        sync(&self.path)?;
        match fs::hard_link(&self.path, &self.place) {
            // Not every file system has links.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                drop(create_private(&self.place)?);
                fs::rename(&self.path, &self.place)?;
            }
            linked => linked?,
        }
        sync(folder_of(&self.place))
    }

    /// Replaces the file, in one step.
    pub fn replace(self) -> io::Result<()> {
        sync(&self.path)?;
        fs::rename(&self.path, &self.place)?;
        sync(folder_of(&self.place))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        for end in BESIDE_SQLITE {
            let _ = fs::remove_file(with_end(&self.path, end));
        }
    }
}

/// Creates a file that only its owner can read; fails if there is one.
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Waits until no other process has locked the file. The lock ends when the file is dropped.
pub fn lock(path: &Path) -> io::Result<File> {
    loop {
        let file = File::open(path)?;
        file.lock()?;
        // Another process may have replaced it in the meantime.
        if file.metadata()?.ino() == fs::metadata(path)?.ino() {
            return Ok(file);
        }
    }
}

/// Waits until the content of a file, or the names in a folder, are on disk.
fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
