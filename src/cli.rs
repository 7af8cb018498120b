//! The command line: every command and flag with its help text, and nothing else.

mod adoption;
mod asking;
mod check;
mod completions;
mod demo;
mod event;
mod exit;
mod fit;
mod groups;
mod held;
mod init;
mod looking;
mod man;
mod mapped;
pub mod member;
mod moments;
mod output;
mod pause;
mod plan;
mod progress;
mod provision;
mod run;
mod sandbox;
mod shown;
mod status;
mod sync;
mod wiring;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::{ProcessEnvironment, journal_stream, log_filter};
use crate::model::EmailAddress;
use crate::telemetry;

pub use exit::{Ending, Fault};

/// Keeps a membership register and a Mailchimp audience in step, both ways.
#[derive(Debug, Parser)]
#[command(name = "rosterd", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// The configuration file; demo, sandbox, init, completions and man go by none [default: `$ROSTERD_CONFIG`, else
    /// /etc/rosterd/rosterd.toml, else ./rosterd.toml]
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// How log lines are written [default: pretty on a terminal, else json]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, try again; 2 wrong usage or configuration; \
3 something is held, a person must decide; 4 done, but members were refused.";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Whether a command prints for people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Everything `rosterd` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until it is told to stop
    Run,
    /// Show what a cycle would do, and write nothing
    Plan(PlanArgs),
    /// Run one cycle now
    #[command(visible_alias = "resync")]
    Sync(SyncArgs),
    /// Show how things stand
    Status(Output),
    /// Look at one member, or act on one
    #[command(subcommand)]
    Member(MemberCommand),
    /// Write nothing until resumed
    Pause(Output),
    /// Write again
    Resume(Output),
    /// Show what the guard holds
    Held(HeldArgs),
    /// Let a hold through in the next cycle
    Approve(HoldArgs),
    /// Keep a hold from ever happening
    Reject(HoldArgs),
    /// Find every mistake in the configuration and on both sides
    Check(Output),
    /// Create what the mapping names and the audience lacks
    Provision(ProvisionArgs),
    /// Make a configuration and an empty register
    Init(InitArgs),
    /// Take a webhook's body from standard input, for receivers that can only run a program
    Event(Output),
    /// Show the working groups and their members
    Groups(GroupsArgs),
    /// Show the whole story on a pretend Mailchimp
    Demo(DemoArgs),
    /// Run only the pretend Mailchimp, to rehearse against
    Sandbox(SandboxArgs),
    /// Print what completes commands and flags in a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(ManArgs),
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Read both sides in full
    #[arg(long)]
    pub full: bool,
    /// Only these members
    #[arg(value_name = "EMAIL", value_parser = parse_email)]
    pub emails: Vec<EmailAddress>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Read both sides in full
    #[arg(long)]
    pub full: bool,
    /// Answer yes to the first adoption (not to unsubscribing anyone in it)
    #[arg(long)]
    pub yes: bool,
    /// Look at these members whatever the cursors say
    #[arg(value_name = "EMAIL", value_parser = parse_email)]
    pub emails: Vec<EmailAddress>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// What to do about one member.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Base, local and remote side by side, the trail, and what comes next and why
    Show {
        /// Whom
        #[arg(value_name = "EMAIL", value_parser = parse_email)]
        email: EmailAddress,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Try again what was refused
    Retry {
        /// Whom
        #[arg(value_name = "EMAIL", value_parser = parse_email)]
        email: EmailAddress,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Erase somebody everywhere, on their request; cannot be undone
    Erase {
        /// Whom
        #[arg(value_name = "EMAIL", value_parser = parse_email)]
        email: EmailAddress,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// Arguments of `held`.
#[derive(Debug, Args)]
pub struct HeldArgs {
    /// Only this hold, with everything that it lists
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `approve` and `reject`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// The hold, as `rosterd held` names it
    #[arg(value_name = "ID")]
    pub id: String,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `provision`.
#[derive(Debug, Args)]
pub struct ProvisionArgs {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where to [default: the current directory]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Create the register's tables in the database at this address, which holds no password
    #[arg(long, value_name = "URL", group = "register_place")]
    pub register: Option<String>,
    /// The same, where a file holds the address, with a password or without
    #[arg(long, value_name = "FILE", group = "register_place")]
    pub register_file: Option<PathBuf>,
    /// The same, where an environment variable holds it
    #[arg(long, value_name = "VARIABLE", group = "register_place")]
    pub register_env: Option<String>,
}

/// Arguments of `groups`.
#[derive(Debug, Args)]
pub struct GroupsArgs {
    /// Only this group, with its members
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print comma-separated values
    #[arg(long)]
    pub csv: bool,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the daemon and the sandbox running afterwards
    #[arg(long)]
    pub serve: bool,
}

/// Arguments of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Where to listen; loopback only
    #[arg(long, default_value = "127.0.0.1:9001", value_name = "ADDR")]
    pub listen: std::net::SocketAddr,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write the pages of all commands into this directory
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

/// Starts logging and does what the command line asks for.
pub async fn run(cli: &Cli) -> Result<Ending, Fault> {
    let format = match cli.log_format {
        Some(LogFormat::Pretty) => telemetry::LogFormat::Pretty,
        Some(LogFormat::Json) => telemetry::LogFormat::Json,
        None => telemetry::LogFormat::for_stderr(journal_stream(&ProcessEnvironment).as_deref()),
    };
    telemetry::start(format, log_filter(&ProcessEnvironment).as_deref()).map_err(Fault::usage)?;
    if cli.config.is_some()
        && matches!(
            cli.command,
            Command::Demo(_)
                | Command::Sandbox(_)
                | Command::Init(_)
                | Command::Completions(_)
                | Command::Man(_)
        )
    {
        let said =
            "--config is of no use here: demo, sandbox, init, completions and man go by no configuration";
        return Err(Fault::usage(anyhow::anyhow!(said)));
    }
    match &cli.command {
        Command::Run => run::run(cli).await,
        Command::Plan(args) => plan::run(cli, args).await,
        Command::Sync(args) => sync::run(cli, args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Status(output) => status::run(cli, *output).await,
        Command::Member(command) => member::run(cli, command).await,
        Command::Pause(output) => pause::pause(cli, *output).await,
        Command::Resume(output) => pause::resume(cli, *output).await,
        Command::Held(args) => held::held(cli, args).await,
        Command::Approve(args) => held::approve(cli, args).await,
        Command::Reject(args) => held::reject(cli, args).await,
        Command::Groups(args) => groups::run(cli, args).await,
        Command::Check(output) => check::run(cli, *output).await,
        Command::Provision(args) => provision::run(cli, args).await,
        Command::Init(args) => init::run(args).await,
        Command::Event(output) => event::run(cli, *output).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// Prints what went wrong, with its causes, to standard error.
pub fn print_fault(fault: &Fault) {
    if fault.error().is::<output::NobodyReads>() {
        return;
    }
    // Nobody is left to be told where even standard error is closed.
    let said = shown::shown_lines(&format!("{:#}", fault.error()));
    let _ = writeln!(std::io::stderr(), "rosterd: {said}");
}

fn parse_email(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn resync_is_sync() {
        let cli = Cli::try_parse_from(["rosterd", "resync", "--full", "ada@alliance.test"]).unwrap();
        let Command::Sync(args) = cli.command else { panic!("not a sync") };
        assert!(args.full && args.emails.len() == 1);
    }
}
