//! What Linux tells of processes: the CPU that they used, their memory, and what others use.

use std::fs;

/// Linux counts CPU in hundredths of a second (`USER_HZ`) on every machine that this runs on.
const TICKS_A_SECOND: f64 = 100.0;

const NANOS_A_SECOND: f64 = 1e9;

/// The names of the hash pool's threads start so.
const POOL: &str = "argon2-";

/// Of a sample, the share of the machine that others may use before it counts as disturbed.
const CALM: f64 = 0.05;

/// A disturbed sample is taken again so often at most; then the calmest counts.
const TRIES: usize = 3;

/// CPU that a process used, in seconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// All of it, threads that have ended included.
    pub total: f64,
    /// Of its threads without those of the hash pool.
    pub beside_pool: f64,
}

impl Cpu {
    pub fn of(pid: u32) -> Self {
        let stat = Stat::of(pid).expect("the process is gone");
        Self { total: stat.itself / TICKS_A_SECOND, beside_pool: beside_pool(pid) }
    }
}

fn beside_pool(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is gone");
    let nanos = tasks.flatten().filter_map(|task| {
        let read = |name| fs::read_to_string(task.path().join(name)).ok();
        let nanos = read("schedstat")?.split_whitespace().next()?.parse::<f64>().ok()?;
        (!read("comm")?.starts_with(POOL)).then_some(nanos)
    });
    nanos.sum::<f64>() / NANOS_A_SECOND
}

/// A line of `/proc/PID/status`, which is in KiB, in MiB: `VmRSS` (now) or `VmHWM` (the most so far).
pub fn memory(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is gone");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.expect("the kernel does not tell the memory of processes") / 1024.0
}

/// Bytes that a process had written to disk.
pub fn written(pid: u32) -> f64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    bytes.unwrap_or(f64::NAN)
}

/// Takes a sample, again if others disturbed it, and answers it with their share of the machine.
pub fn calmly<T>(mut take: impl FnMut() -> T) -> (T, f64) {
    let mut calmest: Option<(T, f64)> = None;
    for _ in 0..TRIES {
        let before = Usage::now();
        let sample = take();
        let others = before.others_since();
        if calmest.as_ref().is_none_or(|(_, least)| others < *least) {
            calmest = Some((sample, others));
        }
        if others <= CALM {
            break;
        }
    }
    calmest.expect("at least one try")
}

/// Whether a sample with this share of others counts as disturbed.
pub fn is_disturbed(others: f64) -> bool {
    others > CALM
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
        // The fourth is idle, the fifth idle with a disk at work.
        Self { all, busy: all - ticks[3] - ticks[4], ours: ours() }
    }

    fn others_since(&self) -> f64 {
        let now = Self::now();
        let others = (now.busy - self.busy) - (now.ours - self.ours);
        (others / (now.all - self.all).max(1.0)).max(0.0)
    }
}

/// This process, those that it started, and those of them that have ended.
fn ours() -> f64 {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").expect("this needs Linux").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stats = pids.filter_map(|pid| Some((pid, Stat::of(pid)?)));
    let ours = stats.filter(|(pid, stat)| *pid == own || stat.parent == own);
    ours.map(|(_, stat)| stat.itself + stat.ended_children).sum()
}

/// The parts of `/proc/PID/stat` that are looked at; times in ticks.
struct Stat {
    parent: u32,
    itself: f64,
    ended_children: f64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            itself: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}
