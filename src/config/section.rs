//! The file as sections that are read key by key: problems accumulate, and what nobody asked for is one too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::environment::Environment;
use crate::config::mistake::Mistake;
use crate::config::problem::{ConfigErrors, Problem};
use crate::config::values;

/// A file that is being read.
pub(crate) struct Document<'d> {
    path: &'d Path,
    text: &'d str,
    /// Where the variables come from that hold secrets.
    pub(crate) environment: &'d dyn Environment,
    /// What stands for a table that is absent.
    nothing: DeTable<'d>,
    problems: RefCell<Vec<Problem>>,
    asked: RefCell<BTreeSet<String>>,
}

/// One table of the file.
pub(crate) struct Section<'d> {
    /// The file that it stands in.
    pub(crate) document: &'d Document<'d>,
    /// What people call it: `[sync]`; empty for the whole file.
    label: String,
    /// What goes before a key in the list of known keys: `sync.`.
    prefix: String,
    at: Option<usize>,
    table: &'d DeTable<'d>,
    known: BTreeSet<String>,
}

impl<'d> Document<'d> {
    /// The file at `path`, which holds `text`.
    pub(crate) fn new(path: &'d Path, text: &'d str, environment: &'d dyn Environment) -> Self {
        let (nothing, problems, asked) = Default::default();
        Self { path, text, environment, nothing, problems, asked }
    }

    /// The top level of the file.
    pub(crate) fn root(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        self.section(String::new(), String::new(), None, table)
    }

    /// Notes a problem at a byte of the file.
    pub(crate) fn problem(&self, at: Option<usize>, key: String, mistake: &Mistake) {
        let place = at.map(|at| line_and_column(self.text, at));
        self.problems.borrow_mut().push(Problem { place, key, said: mistake.to_string() });
    }

    /// A path as the file means it: relative to the directory that the file is in.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or_else(|| Path::new("")).join(path)
    }

    /// Every key that was asked for, whether it was there or not: `sync.interval`, `merge_field[].tag`.
    #[cfg(test)]
    pub(crate) fn known_keys(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// What is wrong with the file, if anything is.
    pub(crate) fn verdict(self) -> Result<(), ConfigErrors> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(ConfigErrors { path: self.path.to_owned(), problems }) }
    }

    fn section(
        &'d self,
        label: String,
        prefix: String,
        at: Option<usize>,
        table: &'d DeTable<'d>,
    ) -> Section<'d> {
        Section { document: self, label, prefix, at, table, known: BTreeSet::new() }
    }
}

impl<'d> Section<'d> {
    /// The value of a key as it stands in the file; asking makes the key a known one.
    pub(crate) fn raw(&mut self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.insert(key.to_owned());
        self.document.asked.borrow_mut().insert(format!("{}{key}", self.prefix));
        self.table.get(key)
    }

    /// The value of a key, parsed; `None` where it is absent, or wrong and noted.
    pub(crate) fn read<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&DeValue<'d>) -> Result<T, Mistake>,
    ) -> Option<T> {
        let read = parse(self.raw(key)?.get_ref());
        read.map_err(|mistake| self.problem(key, &mistake)).ok()
    }

    /// The value of a key that must be there.
    pub(crate) fn require<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&DeValue<'d>) -> Result<T, Mistake>,
    ) -> Option<T> {
        if self.raw(key).is_none() {
            self.problem(key, &Mistake::Missing);
        }
        self.read(key, parse)
    }

    /// Whether the file gives the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes what is wrong with a key of this section; at the section where the key is absent.
    pub(crate) fn problem(&self, key: &str, mistake: &Mistake) {
        let at = self.table.get(key).map(|value| value.span().start).or(self.at);
        self.document.problem(at, self.name(key), mistake);
    }

    /// Notes a key that must not be used, and says why; it is not one of the known keys.
    pub(crate) fn refuse(&mut self, key: &str, mistake: &Mistake) {
        if self.has(key) {
            self.problem(key, mistake);
            self.known.insert(key.to_owned());
        }
    }

    /// Reads a table; an absent one is read as an empty one, so that what must be in it is missed.
    pub(crate) fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'d>) -> T) -> Option<T> {
        match self.raw(key) {
            Some(_) => self.optional_table(key, read),
            None => Some(self.inner(key, None, &self.document.nothing, read)),
        }
    }

    /// Reads a table if it is there.
    pub(crate) fn optional_table<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Section<'d>) -> T,
    ) -> Option<T> {
        let value = self.raw(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.problem(key, &values::wrong("a table", value.get_ref()));
            return None;
        };
        Some(self.inner(key, Some(value.span().start), table, read))
    }

    /// Reads each table of a list `[[key]]`; an absent list is an empty one.
    pub(crate) fn tables<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&mut Section<'d>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let DeValue::Array(list) = value.get_ref() else {
            self.problem(
                key,
                &Mistake::WrongType {
                    wanted: "a list of tables ([[…]])",
                    found: values::kind(value.get_ref()),
                },
            );
            return Vec::new();
        };
        let mut all = Vec::new();
        for item in list {
            let at = Some(item.span().start);
            let DeValue::Table(table) = item.get_ref() else {
                self.document.problem(at, self.name(key), &values::wrong("a table", item.get_ref()));
                continue;
            };
            let (label, prefix) = (format!("[[{key}]]"), format!("{key}[]."));
            let mut section = self.document.section(label, prefix, at, table);
            all.extend(read(&mut section));
            section.finish();
        }
        all
    }

    /// The keys of a section whose keys are names of their own, in the order of the alphabet.
    pub(crate) fn unread_keys(&self) -> Vec<String> {
        self.table
            .keys()
            .map(|key| key.get_ref().to_string())
            .filter(|key| !self.known.contains(key))
            .collect()
    }

    /// The value of such a key, parsed; it joins no list of known keys.
    pub(crate) fn read_unlisted<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&DeValue<'d>) -> Result<T, Mistake>,
    ) -> Option<T> {
        self.known.insert(key.to_owned());
        let read = parse(self.table.get(key)?.get_ref());
        read.map_err(|mistake| self.problem(key, &mistake)).ok()
    }

    /// The keys and values of this section that nobody has asked for yet; they are left to the caller.
    pub(crate) fn rest(&mut self) -> Spanned<DeTable<'d>> {
        let mut rest = DeTable::new();
        for (key, value) in self.table {
            if self.known.insert(key.get_ref().to_string()) {
                rest.insert(key.clone(), value.clone());
            }
        }
        let at = self.at.unwrap_or_default();
        Spanned::new(at..at, rest)
    }

    /// Notes the keys that nobody asked for.
    pub(crate) fn finish(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(name) {
                let mistake =
                    Mistake::Unknown { nearest: nearest(name, self.known.iter().map(String::as_str)) };
                self.document.problem(Some(key.span().start), self.name(name), &mistake);
            }
        }
    }

    /// What people call a key: `[sync] interval`.
    pub(crate) fn name(&self, key: &str) -> String {
        if self.label.is_empty() { key.to_owned() } else { format!("{} {key}", self.label) }
    }

    fn inner<T>(
        &self,
        key: &str,
        at: Option<usize>,
        table: &'d DeTable<'d>,
        read: impl FnOnce(&mut Section<'d>) -> T,
    ) -> T {
        let prefix = format!("{}{key}.", self.prefix);
        let label = format!("[{}]", prefix.trim_end_matches('.').replace("[]", ""));
        let mut section = self.document.section(label, prefix, at, table);
        let value = read(&mut section);
        section.finish();
        value
    }
}

/// The known word that was most likely meant, where one is near enough.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    /// Below this likeness (Jaro-Winkler, 0 to 1) a guess confuses more than it aids.
    const LIKE_ENOUGH: f64 = 0.75;
    known
        .map(|key| (strsim::jaro_winkler(word, key), key))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key.to_owned())
}

/// Line and column of a byte, both from 1, columns in characters.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}
