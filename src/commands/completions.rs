//! `vestibule completions SHELL`: print a script that completes the command line.

use clap_complete::{Shell, generate};

use super::{CommandError, command, print_bytes};

pub const EXAMPLES: &str = "Examples:
  vestibule completions bash > /usr/share/bash-completion/completions/vestibule
  vestibule completions zsh > /usr/local/share/zsh/site-functions/_vestibule
  vestibule completions fish > ~/.config/fish/completions/vestibule.fish";

pub fn run(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    generate(shell, &mut command(), "vestibule", &mut script);
    print_bytes(&script)
}
