//! Why a file cannot be made, written or read: its folder, the rights of this user, or the disk.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Less than this is a full disk: `SQLite` makes no file of 32 KiB there.
const FULL: u64 = 64 * 1024;

/// The folder of `path`.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How many bytes this user can still write to the disk of `folder`.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    // What is no disk, such as `/proc`, has no blocks.
    let disk = statvfs(folder).ok().filter(|disk| disk.f_blocks > 0)?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Opens a file that the operator named, to read it. The error names it and says what to do.
pub fn open(path: &Path) -> Result<File, String> {
    let (shown, user) = (path.display(), geteuid().as_raw());
    let opened = File::open(path).map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => format!("there is no file {shown}"),
        ErrorKind::PermissionDenied => format!(
            "user {user} may not read {shown}: run `chown {user} {shown}`, or run this as the file's user"
        ),
        _ => format!("{shown} cannot be read: {cause}"),
    });
    if path.is_dir() { Err(format!("{shown} is a folder: name a file")) } else { opened }
}

/// Why the file at `path` cannot be made or written, with what to do.
pub fn why_not_writable(path: &Path) -> Option<String> {
    let folder = folder_of(path);
    let (shown, user) = (folder.display(), geteuid().as_raw());
    match fs::metadata(folder) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            return Some(format!("the folder {shown} does not exist: make it"));
        }
        Err(cause) => {
            return Some(format!("the folder {shown} cannot be entered by user {user}: {cause}"));
        }
        Ok(found) if !found.is_dir() => return Some(format!("{shown} is not a folder")),
        Ok(_) => {}
    }
    if path.is_dir() {
        return Some(format!("{} is a folder, not a file", path.display()));
    }
    let of_folder = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    let of_file =
        if path.exists() { access(path, Access::READ_OK | Access::WRITE_OK) } else { Ok(()) };
    let is_full = free_bytes(folder).is_some_and(|bytes| bytes < FULL);
    match (of_folder, of_file) {
        (Err(Errno::ROFS), _) | (_, Err(Errno::ROFS)) => Some(format!(
            "the file system of {shown} is read-only: mount it writable, or use a folder of another one"
        )),
        (Err(_), _) => Some(format!(
            "user {user} may not create files in the folder {shown}: name a folder of that user, run this as the folder's user, or, if nothing else uses the folder, run `chown {user} {shown}`"
        )),
        (_, Err(_)) => Some(format!(
            "user {user} may not read and write {0}: run `chown {user} {0}`, or run this as the file's user",
            path.display()
        )),
        _ => is_full.then(|| format!("the disk of {shown} is full: free space there")),
    }
}
