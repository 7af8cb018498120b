//! `rosterd completions`: what completes commands and flags in a shell, for packagers.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::exit::{Ending, Fault};
use crate::cli::output::put;
use crate::cli::{Cli, CompletionsArgs};

/// Prints the script for the shell that was asked for.
pub(super) fn run(args: &CompletionsArgs) -> Result<Ending, Fault> {
    put(&script(args.shell))?;
    Ok(Ending::Done)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "rosterd", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_is_told_of_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
