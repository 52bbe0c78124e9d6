//! The binary: arguments, a command, an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::commands::run()
}
