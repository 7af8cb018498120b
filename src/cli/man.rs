//! `rosterd man`: the manual, made from the command line's own help and from what ops ask besides.

mod sections;

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::exit::{Ending, Fault};
use crate::cli::output::put;
use crate::cli::{Cli, ManArgs};

use sections::{Section, about_a_command, about_the_program};

/// What the pages belong to.
const MANUAL: &str = "Rosterd";

/// Prints the program's page, or writes the page of each command.
pub(super) fn run(args: &ManArgs) -> Result<Ending, Fault> {
    match &args.to {
        None => put(&page(&whole(), &about_the_program()).map_err(Fault::failed)?)?,
        Some(directory) => write_all(directory).map_err(Fault::failed)?,
    }
    Ok(Ending::Done)
}

/// The command line, with every name spelled out; its notes on exit codes have a section of their own here.
fn whole() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true).after_help(None);
    command.build();
    command
}

fn write_all(directory: &Path) -> anyhow::Result<()> {
    let command = whole();
    write_page(directory, &command, &about_the_program())?;
    let mut below: Vec<&Command> = command.get_subcommands().collect();
    while let Some(command) = below.pop() {
        write_page(directory, command, &about_a_command())?;
        below.extend(command.get_subcommands());
    }
    Ok(())
}

fn write_page(directory: &Path, command: &Command, sections: &[Section]) -> anyhow::Result<()> {
    let path = directory.join(format!("{}.1", name_of(command)));
    std::fs::write(&path, page(command, sections)?)
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// The page of a command in the language of `man`.
fn page(command: &Command, sections: &[Section]) -> std::io::Result<String> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    // Without a date: the same source gives the same page.
    writeln!(page, ".TH \"{}\" 1 \"\" \"rosterd {}\" {MANUAL}", name_of(command), env!("CARGO_PKG_VERSION"))?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    sections.iter().for_each(|section| section.add_to(&mut roff));
    roff.to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// `rosterd-member-show`.
fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

impl Section {
    fn add_to(&self, roff: &mut Roff) {
        roff.control("SH", [self.title]);
        if !self.text.is_empty() {
            roff.text([roman(self.text)]);
        }
        for (term, meaning) in &self.terms {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*meaning)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CONFIG_VARIABLE, LOG_VARIABLE, SYSTEM_PATH};

    #[test]
    fn the_page_answers_what_ops_ask() {
        let page = page(&whole(), &about_the_program()).unwrap();
        for title in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "SUBCOMMANDS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "SIGNALS",
            "NOTES",
            "EXAMPLES",
        ] {
            assert!(
                page.contains(&format!(".SH \"{title}\"")) || page.contains(&format!(".SH {title}\n")),
                "{title}"
            );
        }
        let plain = page.replace("\\-", "-").replace("\\&", "");
        for word in [CONFIG_VARIABLE, LOG_VARIABLE, SYSTEM_PATH, "SIGHUP", "rosterd-sync(1)"] {
            assert!(plain.contains(word), "{word}");
        }
        for code in 0..=4 {
            assert!(plain.contains(&format!("\n\\fB{code}\\fR\n")), "exit code {code}");
        }
        assert!(!page.contains("SH EXTRA"), "exit codes stand in one place");
    }

    #[test]
    fn every_command_has_a_page_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        run(&ManArgs { to: Some(directory.path().to_owned()) }).unwrap();
        let mut pages: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        for page in ["rosterd.1", "rosterd-run.1", "rosterd-member.1", "rosterd-member-show.1"] {
            assert!(pages.iter().any(|written| written == page), "{page}: {pages:?}");
        }
        let n_commands = whole().get_subcommands().count();
        assert!(pages.len() > n_commands, "{pages:?}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let fault = run(&ManArgs { to: Some("/nowhere/at/all".into()) }).unwrap_err();
        assert!(fault.error().to_string().starts_with("/nowhere/at/all/"), "{fault:?}");
    }
}
