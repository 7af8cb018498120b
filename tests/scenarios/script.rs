//! A scenario file, line by line: steps in plain sentences, commands with what they print, tables.
//!
//! ```text
//! # The title
//! Given both sides agree on
//!   email              first_name  topics
//!   ada@alliance.test  Ada         Finance, Health
//! In Mailchimp ada@alliance.test unsubscribes
//! $ rosterd sync
//! | what it prints on standard output
//! ! what it prints on standard error, the log left out
//! exit 0
//! ```
//!
//! A step begins at the margin, a table under it is indented. `exit 0` may be left out.

use std::fmt::Write;

/// A whole file.
pub(crate) struct Script {
    /// What stands in it, in its order.
    pub(crate) parts: Vec<Part>,
}

/// What a file is made of.
pub(crate) enum Part {
    /// The title, a comment or an empty line.
    Text(String),
    /// Something that happens, or that is to hold.
    Step(Step),
    /// A command and what is expected of it.
    Command(Command),
}

/// Something that happens, or that is to hold.
#[derive(Clone)]
pub(crate) struct Step {
    /// The line in the file, from 1.
    pub(crate) line: usize,
    /// The sentence as it stands there.
    pub(crate) sentence: String,
    /// The indented lines under it, without their indentation.
    pub(crate) block: Vec<String>,
}

/// A command and what is expected of it.
#[derive(Clone)]
pub(crate) struct Command {
    /// The line in the file, from 1.
    pub(crate) line: usize,
    /// What stands behind the `$`.
    pub(crate) words: String,
    /// What it is to print, each line with its `|` or `!`.
    pub(crate) said: Vec<String>,
    /// The exit code.
    pub(crate) exit: i32,
}

impl Script {
    /// Reads a file.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for (line, text) in text.lines().enumerate().map(|(number, text)| (number + 1, text.trim_end())) {
            match parts.last_mut() {
                Some(Part::Step(step)) if text.starts_with("  ") => step.block.push(text[2..].to_owned()),
                Some(Part::Command(command)) if text.starts_with(['|', '!']) => {
                    command.said.push(text.to_owned());
                }
                Some(Part::Command(command)) if text.starts_with("exit ") => {
                    command.exit = text["exit ".len()..].parse().expect("an exit code");
                }
                _ => parts.push(part(line, text)),
            }
        }
        Self { parts }
    }

    /// The file as it is to stand in the folder.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(line) => put(&mut text, line),
                Part::Step(step) => {
                    put(&mut text, &step.sentence);
                    step.block.iter().for_each(|line| put(&mut text, &format!("  {line}")));
                }
                Part::Command(command) => {
                    put(&mut text, &format!("$ {}", command.words));
                    command.said.iter().for_each(|line| put(&mut text, line));
                    put(&mut text, &format!("exit {}", command.exit));
                }
            }
        }
        text
    }
}

fn put(text: &mut String, line: &str) {
    let _ = writeln!(text, "{}", line.trim_end());
}

fn part(line: usize, text: &str) -> Part {
    if text.is_empty() || text.starts_with('#') {
        return Part::Text(text.to_owned());
    }
    if let Some(words) = text.strip_prefix("$ ") {
        return Part::Command(Command { line, words: words.to_owned(), said: Vec::new(), exit: 0 });
    }
    assert!(
        !text.starts_with([' ', '|', '!']) && !text.starts_with("exit "),
        "line {line} belongs to nothing: {text}"
    );
    Part::Step(Step { line, sentence: text.to_owned(), block: Vec::new() })
}

impl Step {
    /// The sentence without the word that only joins it to the one before.
    pub(crate) fn words(&self) -> &str {
        let joins = ["Given ", "When ", "Then ", "And ", "But "];
        joins.iter().find_map(|join| self.sentence.strip_prefix(join)).unwrap_or(&self.sentence)
    }
}
