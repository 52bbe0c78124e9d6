//! Who may read and change the files that hold secrets.

use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::geteuid;

/// The rights of everybody but the owner.
const OTHERS_BITS: u32 = 0o077;
const GROUP_BITS: u32 = 0o070;
const OTHERS_WRITE_BITS: u32 = 0o022;
/// In a folder with this bit only a file's owner can replace it.
const STICKY_BIT: u32 = 0o1000;

/// Why the file at `path` is not private to this user, with the command that makes it so.
pub fn why_not_private(path: &Path, metadata: &Metadata) -> Option<String> {
    let (mode, owner, user) = (mode(metadata), metadata.uid(), geteuid().as_raw());
    let path = path.display();
    if owner != user {
        return Some(format!(
            "the file belongs to user {owner}, and this program runs as user {user}: run it as user {owner}, or `chown {user} {path}`"
        ));
    }
    (mode & OTHERS_BITS != 0).then(|| {
        format!("mode {mode:04o} lets other users read or change it: run `chmod 600 {path}`")
    })
}

/// Why the file at `path` can be changed by others. They may read it: containers mount secrets with
/// mode 0644 and 0444. Pipes and devices have no content to change.
pub fn why_not_trusted(path: &Path, metadata: &Metadata) -> Option<String> {
    let mode = mode(metadata);
    (metadata.is_file() && mode & OTHERS_WRITE_BITS != 0).then(|| {
        format!("mode {mode:04o} lets other users change it: run `chmod go-w {}`", path.display())
    })
}

/// Removes the group's rights to a file of this user: Kubernetes grants them at each mount to every
/// file of a volume (`fsGroup`). Returns what was done: nothing if all users have rights, or another
/// user owns the file.
pub fn take_from_group(path: &Path, metadata: &Metadata) -> Option<String> {
    let is_own = metadata.uid() == geteuid().as_raw();
    let is_groups_alone = mode(metadata) & OTHERS_BITS & !GROUP_BITS == 0;
    if is_own && is_groups_alone { make_private(path) } else { None }
}

/// Removes the rights of others to a file. Returns what was done: nothing if it was private, or does
/// not exist.
pub fn make_private(path: &Path) -> Option<String> {
    let mode = mode(&fs::metadata(path).ok()?);
    if mode & OTHERS_BITS == 0 {
        return None;
    }
    let narrowed = fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS_BITS));
    let done = match narrowed {
        Ok(()) => format!("it is {:04o} now", mode & !OTHERS_BITS),
        Err(cause) => format!("that could not be changed ({cause}): run `chmod 600` as its owner"),
    };
    Some(format!("{}: mode {mode:04o} let other users read or change it; {done}", path.display()))
}

/// Why others can replace the files in `folder`.
pub fn why_folder_not_trusted(folder: &Path) -> Option<String> {
    let mode = fs::metadata(folder).ok()?.mode() & 0o7777;
    let is_open = mode & 0o002 != 0 && mode & STICKY_BIT == 0;
    let folder = folder.display();
    is_open.then(|| {
        format!("{folder}: mode {mode:04o} lets other users replace the files in it: run `chmod o-w {folder}`")
    })
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o777
}
