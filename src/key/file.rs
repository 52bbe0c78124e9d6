//! The key file: a line for the key in force, and lines for those that it replaced.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{KEY_BYTES, ServerKey};
use crate::event::Event;
use crate::files::{Draft, lock};
use crate::permissions::{take_from_group, why_not_private};
use crate::random;

/// The key file of the SQLite database at this path.
pub fn beside(database: &Path) -> PathBuf {
    database.with_file_name("vestibule.key")
}

/// Reads the key; none if there is no file. Takes the rights to the file from its group.
pub fn load(path: &Path) -> Result<Option<ServerKey>, String> {
    parse(path, read(path)?)
}

/// As [`load`], and changes nothing.
pub fn inspect(path: &Path) -> Result<Option<ServerKey>, String> {
    parse(path, read_private(path)?)
}

fn parse(path: &Path, text: Option<Zeroizing<String>>) -> Result<Option<ServerKey>, String> {
    let Some(text) = text else { return Ok(None) };
    let key = ServerKey::from_base64(&text).map_err(|cause| {
        format!(
            "{}: {cause}. Restore it from a copy. Without one, move it away and start with `vestibule serve --accept-new-key`: a new key is made, pending codes and mails are lost, nothing else",
            path.display()
        )
    });
    key.map(Some)
}

/// Reads the key, or creates the file (mode 0600). Processes that start together use one key, and none
/// reads half of it.
pub fn load_or_create(path: &Path) -> Result<ServerKey, String> {
    if let Some(key) = load(path)? {
        return Ok(key);
    }
    match write(path, &new_line(), Draft::publish) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        written => written.map_err(|cause| unusable(path, &cause))?,
    }
    load(path)?.ok_or_else(|| unusable(path, &ErrorKind::NotFound.into()))
}

/// Puts a new key in front of those in the file.
pub fn rotate(path: &Path) -> Result<(), String> {
    if load(path)?.is_none() {
        return Err(format!(
            "{}: there is no key to replace: the first start makes one. Run this where the site runs, or set VESTIBULE_DATABASE_URL",
            path.display()
        ));
    }
    let _turn = lock(path).map_err(|cause| unusable(path, &cause))?;
    let old = read(path)?.unwrap_or_default();
    let text = Zeroizing::new(format!("{}{}\n", *new_line(), old.trim_end()));
    write(path, &text, Draft::replace).map_err(|cause| unusable(path, &cause))
}

/// Removes the keys behind the one that `key` seals with.
pub fn remove_old_keys(path: &Path, key: &ServerKey) -> Result<(), String> {
    let _turn = lock(path).map_err(|cause| unusable(path, &cause))?;
    let Some(text) = read(path)? else { return Ok(()) };
    let proof = key.proof("line", &[]);
    let is_first = |line: &&str| {
        ServerKey::from_base64(line).is_ok_and(|found| found.proof("line", &[]) == proof)
    };
    let lines: Vec<&str> = text.split_whitespace().collect();
    let Some(first) = lines.iter().position(is_first) else { return Ok(()) };
    if first + 1 == lines.len() {
        return Ok(());
    }
    let text = Zeroizing::new(format!("{}\n", lines[..=first].join("\n")));
    write(path, &text, Draft::replace).map_err(|cause| unusable(path, &cause))
}

fn new_line() -> Zeroizing<String> {
    let master = Zeroizing::new(random::bytes::<KEY_BYTES>());
    let text = Zeroizing::new(STANDARD.encode(*master));
    Zeroizing::new(format!("{}\n", *text))
}

fn write(path: &Path, text: &str, put: fn(Draft) -> io::Result<()>) -> io::Result<()> {
    let (draft, mut file) = Draft::create(path)?;
    file.write_all(text.as_bytes())?;
    put(draft)
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, String> {
    let exposed = fs::metadata(path).ok().and_then(|metadata| take_from_group(path, &metadata));
    if let Some(cause) = exposed {
        Event::FileExposed { cause: &cause }.write();
    }
    read_private(path)
}

/// The text of the file, which must be private; none if there is no file.
fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, String> {
    let unreadable = |cause: io::Error| unusable(path, &cause);
    let private = |metadata: Metadata| match why_not_private(path, &metadata) {
        Some(cause) => Err(format!(
            "{}: {cause}. If others may have read it, replace it then with `vestibule key rotate`",
            path.display()
        )),
        None => Ok(()),
    };
    let mut file = match File::open(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            fs::metadata(path).map_or(Ok(()), private)?;
            return Err(unreadable(cause));
        }
        Ok(file) => file,
    };
    private(file.metadata().map_err(unreadable)?)?;
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(unreadable)?;
    Ok(Some(text))
}

fn unusable(path: &Path, cause: &io::Error) -> String {
    format!(
        "{}: {cause}: let this user read it and write to its folder, or set VESTIBULE_SECRET",
        path.display()
    )
}
