//! What the rows of the register say of interests and merge fields: read once, page by page, and counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::fit::values::{fits, holds};
use crate::mailchimp::schema::FieldSchema;
use crate::model::{Dimension, FieldKind, Interest, MergeTag, Registration, RegistrationId};
use crate::registrations::mapping::RegisterMapping;
use crate::registrations::{ReadRegistrations, RegisterError, split};

/// How many rows are read at a time.
const PAGE: usize = 1_000;

/// How many rows that cannot be synchronized are named.
const EXAMPLES: usize = 3;

/// What the rows say, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Rows {
    /// How many rows there are.
    pub(in crate::cli) all: u64,
    /// How many of them cannot be synchronized as they stand.
    pub(in crate::cli) unusable: u64,
    /// The first of those, each with why.
    pub(in crate::cli) examples: Vec<(RegistrationId, String)>,
    /// How many rows name each interest; none where only a column of the mapping stands for it.
    pub(in crate::cli) interests: BTreeMap<Interest, u64>,
    /// The values of each merge field that the audience has.
    pub(in crate::cli) misfits: BTreeMap<MergeTag, Misfits>,
}

/// How the values of one merge field fit what the audience's field holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Misfits {
    /// What the field holds.
    kind: FieldKind,
    /// How many rows say anything.
    pub(in crate::cli) filled: u64,
    /// How many of them say something that does not fit.
    pub(in crate::cli) unfit: u64,
    /// The first of those.
    pub(in crate::cli) first: Option<RegistrationId>,
}

impl Misfits {
    /// What the audience's field holds, for people.
    pub(in crate::cli) fn held(&self) -> &'static str {
        holds(self.kind)
    }
}

/// Reads every row; `fields` are the merge fields that the audience has.
pub(in crate::cli) async fn rows(
    register: &dyn ReadRegistrations,
    mapping: &RegisterMapping,
    dimensions: &BTreeSet<Dimension>,
    fields: &BTreeMap<MergeTag, FieldSchema>,
) -> Result<Rows, RegisterError> {
    let mut rows = Rows::default();
    // The columns of flags name interests before anybody ticks one.
    let flags = mapping.interests.columns.values().filter_map(|name| Interest::parse(name));
    rows.interests.extend(
        flags.filter(|interest| dimensions.contains(&interest.dimension)).map(|interest| (interest, 0)),
    );
    let mut after = None;
    loop {
        let page = register.page(after.as_ref(), PAGE).await?;
        let (n_rows, last) = (page.len(), page.last().map(|row| row.id().clone()));
        let (usable, unusable) = split(page);
        rows.all += n_rows as u64;
        rows.unusable += unusable.len() as u64;
        let left = EXAMPLES.saturating_sub(rows.examples.len());
        rows.examples.extend(unusable.into_iter().take(left).map(|row| (row.id, row.problem)));
        for row in usable {
            rows.count(row, fields);
        }
        if n_rows < PAGE {
            return Ok(rows);
        }
        after = last;
    }
}

impl Rows {
    fn count(&mut self, row: Registration, fields: &BTreeMap<MergeTag, FieldSchema>) {
        for (tag, text) in row.fields.iter().filter(|(_, text)| !text.trim().is_empty()) {
            let Some(field) = fields.get(tag) else { continue };
            let misfits = self.misfits.entry(tag.clone()).or_default();
            misfits.kind = field.kind;
            misfits.filled += 1;
            if !fits(field, text) {
                misfits.unfit += 1;
                misfits.first.get_or_insert_with(|| row.id.clone());
            }
        }
        for interest in row.interests {
            *self.interests.entry(interest).or_default() += 1;
        }
    }
}
