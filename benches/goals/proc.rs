//! CPU and memory of processes, as Linux reports them.

use std::fs;

/// Linux counts CPU time in hundredths of a second (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

const NANOS_A_SECOND: f64 = 1e9;

/// The prefix of the names of the hash threads.
const HASH_THREADS: &str = "argon2-";

/// If other processes use a larger share of the CPU, a sample counts as disturbed.
const MAX_OTHERS: f64 = 0.05;

/// How often a disturbed sample is taken at most. Then the least disturbed counts.
const TRIES: usize = 3;

/// The CPU time of a process, in seconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// Of all threads, including those that have ended.
    pub total: f64,
    /// Of the running threads, except the hash threads.
    pub without_hashing: f64,
}

impl Cpu {
    pub fn of(pid: u32) -> Self {
        let stat = Stat::of(pid).expect("the process has ended");
        Self { total: stat.itself / TICKS_A_SECOND, without_hashing: without_hashing(pid) }
    }
}

fn without_hashing(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process has ended");
    let nanos = tasks.flatten().filter_map(|task| {
        let read = |name| fs::read_to_string(task.path().join(name)).ok();
        let nanos = read("schedstat")?.split_whitespace().next()?.parse::<f64>().ok()?;
        (!read("comm")?.starts_with(HASH_THREADS)).then_some(nanos)
    });
    nanos.sum::<f64>() / NANOS_A_SECOND
}

/// A value of `/proc/PID/status` in MiB: `VmRSS` (now) or `VmHWM` (the maximum so far).
pub fn memory(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process has ended");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.expect("a value in kB") / 1024.0
}

/// Bytes that a process has written to disk.
pub fn written(pid: u32) -> f64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    bytes.unwrap_or(f64::NAN)
}

/// Takes a sample, and again if it was disturbed. Returns it with the share of CPU that others used.
pub fn undisturbed<T>(mut take: impl FnMut() -> T) -> (T, f64) {
    let mut best: Option<(T, f64)> = None;
    for _ in 0..TRIES {
        let before = Usage::now();
        let sample = take();
        let others = before.others_since();
        if best.as_ref().is_none_or(|(_, least)| others < *least) {
            best = Some((sample, others));
        }
        if others <= MAX_OTHERS {
            break;
        }
    }
    best.expect("at least one try")
}

/// Whether a sample counts as disturbed by others that used this share of the CPU.
pub fn is_disturbed(others: f64) -> bool {
    others > MAX_OTHERS
}

/// Ticks since the machine started.
struct Usage {
    all: f64,
    busy: f64,
    ours: f64,
}

impl Usage {
    fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").expect("this needs Linux");
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> =
            first.split_whitespace().skip(1).take(8).filter_map(|tick| tick.parse().ok()).collect();
        let all = ticks.iter().sum::<f64>();
        // The fourth is idle, the fifth is iowait.
        Self { all, busy: all - ticks[3] - ticks[4], ours: ours() }
    }

    fn others_since(&self) -> f64 {
        let now = Self::now();
        let others = (now.busy - self.busy) - (now.ours - self.ours);
        (others / (now.all - self.all).max(1.0)).max(0.0)
    }
}

/// The CPU time of this process and of its children, including those that have ended.
fn ours() -> f64 {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").expect("this needs Linux").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stats = pids.filter_map(|pid| Some((pid, Stat::of(pid)?)));
    let ours = stats.filter(|(pid, stat)| *pid == own || stat.parent == own);
    ours.map(|(_, stat)| stat.itself + stat.ended_children).sum()
}

/// Fields of `/proc/PID/stat`. Times are in ticks.
struct Stat {
    parent: u32,
    itself: f64,
    ended_children: f64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may contain any character.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            itself: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}
