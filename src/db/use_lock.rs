//! A lock that every process holds on a SQLite database that it has open. It ends with the process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::DbError;
use crate::disk::why_not_writable;
use crate::files::with_end;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// On a file beside the database, because closing the database's own file would end SQLite's locks.
#[derive(Debug)]
pub struct UseLock {
    lock: File,
    database: PathBuf,
    inode: Option<u64>,
}

impl UseLock {
    /// Waits until no process uses the database alone. The first process has it alone until
    /// [`UseLock::share`], so that others do not migrate it at the same time.
    pub async fn take(database: &Path) -> Result<Self, DbError> {
        let file = open(database).map_err(|cause| unusable(database, &cause))?;
        let taken = spawn_blocking(move || {
            if file.try_lock().is_err() {
                file.lock_shared()?;
            }
            Ok(file)
        });
        let taken = taken.await.map_err(io::Error::from).flatten();
        taken.map(|lock| Self::new(lock, database)).map_err(|cause| unusable(database, &cause))
    }

    /// As [`UseLock::take`], for a process that changes nothing; none where no other one was.
    pub async fn take_to_read(database: &Path) -> Option<Self> {
        let file = File::open(path_beside(database)).ok()?;
        let taken = spawn_blocking(move || file.lock_shared().map(|()| file));
        Some(Self::new(taken.await.ok()?.ok()?, database))
    }

    /// Has the database alone, if no other process uses it within `wait`.
    pub async fn take_alone(database: &Path, wait: Duration) -> Result<Self, DbError> {
        let file = open(database).map_err(|cause| unusable(database, &cause))?;
        let start = Instant::now();
        while file.try_lock().is_err() {
            if start.elapsed() > wait {
                return Err(DbError::InUse(database.display().to_string()));
            }
            sleep(PAUSE).await;
        }
        Ok(Self::new(file, database))
    }

    fn new(lock: File, database: &Path) -> Self {
        Self { lock, database: database.to_owned(), inode: inode(database) }
    }

    /// Whether the database's file is another one now, or was deleted: what is written is lost with this process.
    pub fn database_is_replaced(&self) -> bool {
        inode(&self.database) != self.inode
    }

    /// Lets other processes use the database, too.
    pub async fn share(&self) -> Result<(), DbError> {
        // The same lock. It may have to wait: the kernel gives it up before it takes the other kind.
        let file = self.lock.try_clone().map_err(sqlx::Error::from)?;
        let shared = spawn_blocking(move || file.lock_shared()).await;
        shared.map_err(io::Error::from).flatten().map_err(|cause| DbError::Driver(cause.into()))
    }
}

fn open(database: &Path) -> io::Result<File> {
    let path = path_beside(database);
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.ino())
}

fn path_beside(database: &Path) -> PathBuf {
    // Of a link: the lock belongs to the file that it leads to.
    let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    with_end(&database, ".lock")
}

fn unusable(database: &Path, cause: &io::Error) -> DbError {
    let cause = why_not_writable(database).unwrap_or_else(|| cause.to_string());
    DbError::of_file(database, format!("cannot be opened or written: {cause}"))
}
