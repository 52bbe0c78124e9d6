//! Clients that do one thing again and again, and what it costs the server meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::proc::Cpu;

/// Connections are open and caches filled before anything is counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// What was done in a stretch of time.
#[derive(Clone, Copy)]
pub struct Window {
    seconds: f64,
    done: f64,
    cpu: f64,
    cpu_beside_pool: f64,
}

impl Window {
    pub fn per_second(&self) -> f64 {
        self.done / self.seconds
    }

    /// Milliseconds of the server's CPU for each.
    pub fn cpu_ms(&self) -> f64 {
        self.cpu * 1000.0 / self.done
    }

    /// The same without the hash pool.
    pub fn cpu_ms_beside_pool(&self) -> f64 {
        self.cpu_beside_pool * 1000.0 / self.done
    }

    /// Milliseconds that each took, when one client did them one after the other.
    pub fn wall_ms(&self) -> f64 {
        self.seconds * 1000.0 / self.done
    }
}

/// Runs each client on its own thread, in a loop, for `time` after the warm-up. `pid` is the
/// server's.
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
        let window = watch(pid, &done, time);
        stop.store(true, Ordering::Relaxed);
        window
    })
}

fn watch(pid: u32, done: &AtomicU64, time: Duration) -> Window {
    let look = || (Instant::now(), done.load(Ordering::Relaxed), Cpu::of(pid));
    let (started, done_before, cpu_before) = look();
    pause(time);
    let (ended, done_after, cpu_after) = look();
    #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
    let done = (done_after - done_before) as f64;
    Window {
        seconds: (ended - started).as_secs_f64(),
        done,
        cpu: cpu_after.total - cpu_before.total,
        cpu_beside_pool: cpu_after.beside_pool - cpu_before.beside_pool,
    }
}

/// Does `one` every `period` until told to stop, and answers how long each took, in milliseconds. One
/// that takes longer than the period delays the next and makes none fall out.
pub fn each(period: Duration, stop: &AtomicBool, mut one: impl FnMut()) -> Vec<f64> {
    let (mut times, mut due) = (Vec::new(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        one();
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        due = (due + period).max(Instant::now());
        pause(due - Instant::now());
    }
    times
}

#[expect(clippy::disallowed_methods, reason = "threads of a measurement have to wait")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}
