//! The members of a group on paper: a table, comma-separated values or JSON, written as they come.

use std::io::Stdout;

use serde_json::{Map, Value, json};

use crate::cli::exit::Fault;
use crate::cli::output::{print_table, put, say, table, unprinted};
use crate::cli::shown::{short, shown};
use crate::model::{EmailAddress, MergeTag, Registration};
use crate::reconcile::policy::{Policy, WorkingGroup};
use crate::reconcile::trio::Trio;
use crate::reconcile::values::{Values, field, local_values, remote_values};

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Table,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

/// One member in one group.
#[derive(Clone, Debug)]
pub(super) struct GroupMember {
    /// The group.
    pub(super) group: String,
    email: EmailAddress,
    membership: String,
    values: Values,
    why: String,
}

impl GroupMember {
    /// The member of `trio` in a group; `None` where it bears no address.
    pub(super) fn of(trio: &Trio, policy: &Policy, group: &str, why: String) -> Option<Self> {
        let newest = trio.local.last();
        let contact = trio.remote.as_ref();
        let email = newest.map(|row| &row.email).or(contact.map(|contact| &contact.email))?.clone();
        let values = match contact {
            Some(contact) if trio.local.is_empty() => remote_values(contact, &[], trio.base.as_ref(), policy),
            Some(_) | None => local_values(&trio.local, trio.base.as_ref(), policy),
        };
        let membership = newest.and_then(|row: &Registration| row.membership.clone()).unwrap_or_default();
        Some(Self { group: group.to_owned(), email, membership, values, why })
    }

    fn cells(&self, tags: &[MergeTag]) -> Vec<String> {
        let fields = tags.iter().map(|tag| field(&self.values, tag).to_owned());
        std::iter::once(self.email.to_string())
            .chain(fields)
            .chain([self.membership.clone(), self.why.clone()])
            .collect()
    }

    fn json(&self, tags: &[MergeTag]) -> Value {
        let fields: Map<String, Value> =
            tags.iter().map(|tag| (tag.to_string(), json!(field(&self.values, tag)))).collect();
        json!({
            "email": self.email, "hash": self.email.hash(), "fields": fields,
            "membership": self.membership, "why": self.why,
        })
    }
}

/// A list under way.
pub(super) struct Roll<'a> {
    tags: &'a [MergeTag],
    count: usize,
    writer: Writer,
}

enum Writer {
    Table,
    Csv(Box<csv::Writer<Stdout>>),
    Json,
}

impl<'a> Roll<'a> {
    /// Writes the head.
    pub(super) fn begin(form: Form, group: &WorkingGroup, tags: &'a [MergeTag]) -> Result<Self, Fault> {
        let writer = match form {
            Form::Table => Writer::Table,
            Form::Csv => {
                let mut writer = csv::Writer::from_writer(std::io::stdout());
                writer.write_record(head(tags)).map_err(unwritten)?;
                Writer::Csv(Box::new(writer))
            }
            Form::Json => {
                let head = json!({ "group": group.name, "tag": group.tag }).to_string();
                put(&format!("{},\"members\":[", head.trim_end_matches('}')))?;
                Writer::Json
            }
        };
        Ok(Self { tags, count: 0, writer })
    }

    /// Writes some members. People see a table for each page, so that nobody is held in memory.
    pub(super) fn add(&mut self, members: Vec<GroupMember>) -> Result<(), Fault> {
        if members.is_empty() {
            return Ok(());
        }
        match &mut self.writer {
            Writer::Table => {
                let head = head(self.tags);
                let mut table = table(&head.iter().map(String::as_str).collect::<Vec<_>>());
                for member in &members {
                    table.add_row(member.cells(self.tags).iter().map(|text| short(text)));
                }
                print_table(&table)?;
            }
            Writer::Csv(writer) => {
                for member in &members {
                    let cells = member.cells(self.tags);
                    writer.write_record(cells.iter().map(|text| cell(text))).map_err(unwritten)?;
                }
            }
            Writer::Json => {
                for (n, member) in members.iter().enumerate() {
                    let separator = if self.count + n == 0 { "" } else { "," };
                    put(&format!("{separator}{}", member.json(self.tags)))?;
                }
            }
        }
        self.count += members.len();
        Ok(())
    }

    /// Writes the end.
    pub(super) fn end(self) -> Result<(), Fault> {
        match self.writer {
            Writer::Table => match self.count {
                0 => say("Nobody is in this group."),
                1 => say("1 member."),
                count => say(&format!("{count} members.")),
            },
            Writer::Csv(mut writer) => writer.flush().map_err(unprinted),
            Writer::Json => put("]}\n"),
        }
    }
}

fn head(tags: &[MergeTag]) -> Vec<String> {
    let tags = tags.iter().map(ToString::to_string);
    std::iter::once("email".to_owned())
        .chain(tags)
        .chain(["membership".to_owned(), "why".to_owned()])
        .collect()
}

/// What it means that a row of comma-separated values cannot be written.
pub(super) fn unwritten(error: csv::Error) -> Fault {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => unprinted(error),
        other => Fault::failed(anyhow::anyhow!("comma-separated values cannot be written: {other:?}")),
    }
}

/// A cell that no spreadsheet takes for a formula and no terminal obeys: what is in it, anybody may have typed into a
/// form. A telephone number is set off, too: `-2-3` would be reckoned out.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
pub(super) fn cell(text: &str) -> String {
    let begins_formula =
        |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') || c.is_control();
    let mark = if text.starts_with(begins_formula) { "'" } else { "" };
    format!("{mark}{}", shown(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expected) in [
            ("Ada", "Ada"),
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+41 (0)31 300-20", "'+41 (0)31 300-20"),
            ("-2-3", "'-2-3"),
            ("＝1+1", "'＝1+1"),
            ("\t=1+1", "'\\t=1+1"),
            ("a\u{1b}[31m\nb", "a\\u{1b}[31m\\nb"),
            ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
