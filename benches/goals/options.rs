//! The command line.

use std::time::Duration;

/// The median of fewer samples would mean little.
const SAMPLES: usize = 5;

/// The length of a sample.
const SECONDS: f64 = 4.0;

pub const USAGE: &str = "benches/run [options]
  --only NAME     one goal: logins, pages, storm, start, growth, sweep, writes or checks
  --samples N     samples of each figure (5)
  --seconds S     length of a sample (4)
  --quick         3 samples of 1 second, databases of at most 100 thousand users: checks that it runs";

pub struct Options {
    pub only: Option<String>,
    pub samples: usize,
    pub time: Duration,
    pub quick: bool,
}

impl Options {
    /// Parses the command line. An error is a message for the user.
    pub fn read() -> Result<Self, String> {
        let quick = std::env::args().any(|argument| argument == "--quick");
        let (samples, seconds) = if quick { (3, 1.0) } else { (SAMPLES, SECONDS) };
        let mut options =
            Self { only: None, samples, time: Duration::from_secs_f64(seconds), quick };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--only" => options.only = Some(value()?),
                "--samples" => options.samples = positive(&value()?)?,
                "--seconds" => options.time = Duration::from_secs_f64(positive(&value()?)?),
                // Cargo passes --bench to every benchmark.
                "--quick" | "--bench" => {}
                other => return Err(format!("{other}: not an option\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn positive<T: std::str::FromStr + PartialOrd + Default>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number > T::default());
    number.ok_or_else(|| format!("{text}: expected a number above 0"))
}
