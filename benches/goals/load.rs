//! Clients that repeat one action, and what it costs the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::proc::Cpu;

/// Before anything is counted, so that connections are open and caches are filled.
const WARM_UP: Duration = Duration::from_millis(500);

/// What was measured in a period of time.
#[derive(Clone, Copy)]
pub struct Window {
    seconds: f64,
    done: f64,
    cpu: f64,
    cpu_without_hashing: f64,
}

impl Window {
    pub fn per_second(&self) -> f64 {
        self.done / self.seconds
    }

    /// Milliseconds of the server's CPU for an action.
    pub fn cpu_ms(&self) -> f64 {
        self.cpu * 1000.0 / self.done
    }

    /// The same without the hash threads.
    pub fn cpu_ms_without_hashing(&self) -> f64 {
        self.cpu_without_hashing * 1000.0 / self.done
    }

    /// Milliseconds that an action took, if there was one client.
    pub fn wall_ms(&self) -> f64 {
        self.seconds * 1000.0 / self.done
    }
}

/// Runs each client in a loop on its own thread, for `time` after the warm-up. `pid` is the server's.
pub fn run<C: FnMut() + Send>(pid: u32, clients: Vec<C>, time: Duration) -> Window {
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for mut client in clients {
            let (done, stop) = (&done, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        pause(WARM_UP);
        let window = measure(pid, &done, time);
        stop.store(true, Ordering::Relaxed);
        window
    })
}

fn measure(pid: u32, done: &AtomicU64, time: Duration) -> Window {
    let read = || (Instant::now(), done.load(Ordering::Relaxed), Cpu::of(pid));
    let (started, done_before, cpu_before) = read();
    pause(time);
    let (ended, done_after, cpu_after) = read();
    #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
    let done = (done_after - done_before) as f64;
    Window {
        seconds: (ended - started).as_secs_f64(),
        done,
        cpu: cpu_after.total - cpu_before.total,
        cpu_without_hashing: cpu_after.without_hashing - cpu_before.without_hashing,
    }
}

/// Runs `action` every `period` until `stop` is set, and returns how long each took, in milliseconds. One
/// that takes longer than the period delays the next one.
pub fn each(period: Duration, stop: &AtomicBool, mut action: impl FnMut()) -> Vec<f64> {
    let (mut times, mut due) = (Vec::new(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        action();
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        due = (due + period).max(Instant::now());
        pause(due - Instant::now());
    }
    times
}

#[expect(clippy::disallowed_methods, reason = "a benchmark may block its threads")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}
