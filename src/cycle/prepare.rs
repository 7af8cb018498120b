//! Before a cycle: what is left of the last one, the audience's own schema, and how much must be read.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::cycle::policy::{Seed, assemble};
use crate::cycle::{Cycle, CycleError};
use crate::mailchimp::ReadAudience;
use crate::mailchimp::schema::{AudienceSchema, DimensionSchema};
use crate::model::{Dimension, Interest, Key};
use crate::observe::{ObserveError, Scope};
use crate::reconcile::policy::{AdoptionPhase, Policy};
use crate::state::{State, StateError};

/// The audience's own schema is read afresh after this long.
const SCHEMA_AGE: SignedDuration = SignedDuration::from_hours(1);

/// The cursor that tells when it was last read.
const SCHEMA_READ: &str = "schema";

/// The cursor that tells with which mapping it was matched.
const SCHEMA_MATCHED: &str = "schema_matched";

/// The cursor that tells under which mapping everything was last read.
const READ_UNDER: &str = "read_under";

/// What a cycle goes by.
pub(super) struct Prepared {
    /// How much is read.
    pub(super) scope: Scope,
    /// The audience's own schema.
    pub(super) schema: AudienceSchema,
    /// The policy under it.
    pub(super) policy: Policy,
}

impl Cycle {
    /// Clears up after the last cycle, however it ended, and finds out what this one goes by.
    pub(super) async fn prepare(&self, scope: Scope) -> Result<Prepared, CycleError> {
        let now = self.clock.now();
        self.state.end_open_entries(now).await?;
        self.state.due_retries(now).await?;
        let schema = read_schema(self.remote.as_ref(), &self.state, &self.clock).await?;
        let mut policy = assemble(&self.seed, &schema, self.local.features(), |key| self.local.holds(key));
        policy.adoption = adoption_phase(&self.state).await?;
        let scope = if must_read_all(&self.state, &self.seed, &schema).await? { Scope::Full } else { scope };
        Ok(Prepared { scope, schema, policy })
    }

    /// After a full observation: remembers the mapping under which everything was read.
    pub(super) async fn note_observed(
        &self,
        scope: Scope,
        schema: &AudienceSchema,
    ) -> Result<(), StateError> {
        match scope {
            Scope::Incremental => Ok(()),
            Scope::Full => {
                self.state.set_cursor(READ_UNDER, digest(&self.seed, schema), self.clock.now()).await
            }
        }
    }
}

/// Whether the sides have adopted each other.
pub async fn adoption_phase(state: &State) -> Result<AdoptionPhase, StateError> {
    Ok(match state.adopted_at().await? {
        Some(_) => AdoptionPhase::Done,
        None => AdoptionPhase::UnderWay,
    })
}

/// Whether everything has to be read whatever the cursors say: at the first start, and where the mapping is another
/// than the one under which the mirror was filled, since it lacks what is mapped anew.
pub async fn must_read_all(state: &State, seed: &Seed, schema: &AudienceSchema) -> Result<bool, StateError> {
    let read_under = state.cursor(READ_UNDER).await?;
    Ok(state.full_observed_at().await?.is_none() || read_under != Some(digest(seed, schema)))
}

/// What of the mapping decides what the mirror holds.
fn digest(seed: &Seed, schema: &AudienceSchema) -> String {
    let read = (&seed.read_as, &seed.directions, &schema.fields, &schema.dimensions, &schema.group_tags);
    digest_of(&read)
}

fn digest_of(what: &impl std::fmt::Debug) -> String {
    format!("{:x?}", Sha256::digest(format!("{what:?}")).as_slice())
}

/// The audience's own schema: as remembered, or afresh at the start, hourly, under another mapping and when it turned
/// out stale.
///
/// What is gone or was made anew under its old name is nobody's change: its base is forgotten before the new schema is
/// remembered, so that it is adopted should it come back.
pub async fn read_schema(
    remote: &dyn ReadAudience,
    state: &State,
    clock: &Clock,
) -> Result<AudienceSchema, ObserveError> {
    let now = clock.now();
    let read_at = state.cursor(SCHEMA_READ).await?.and_then(|at| at.parse::<Timestamp>().ok());
    let known: Option<AudienceSchema> = state.schema().await?;
    let mapping = digest_of(remote.mapping());
    let same = state.cursor(SCHEMA_MATCHED).await?.as_ref() == Some(&mapping);
    let fresh = same && read_at.is_some_and(|at| at <= now && now.duration_since(at) < SCHEMA_AGE);
    if let Some(known) = known.as_ref().filter(|_| fresh) {
        return Ok(known.clone());
    }
    let schema = remote.schema(known.as_ref()).await?;
    for warning in &schema.warnings {
        tracing::warn!(warning, "the audience is not as the mapping names it");
    }
    if let Some(known) = &known {
        state.forget_values(lost_keys(known, &schema)).await?;
    }
    state.set_schema(schema.clone()).await?;
    state.set_cursors([(SCHEMA_MATCHED, mapping), (SCHEMA_READ, now.to_string())], now).await?;
    Ok(schema)
}

/// Has the next cycle read the audience's own schema afresh.
pub async fn forget_schema_age(state: &State, clock: &Clock) -> Result<(), StateError> {
    state.set_cursor(SCHEMA_READ, String::new(), clock.now()).await
}

/// The keys that are gone or that stand for something else by now; of a choice, the interests that can be chosen.
fn lost_keys(known: &AudienceSchema, now: &AudienceSchema) -> BTreeSet<Key> {
    let mut lost: BTreeSet<Key> = known
        .fields
        .iter()
        .filter(|(tag, field)| now.fields.get(*tag).is_none_or(|other| other.merge_id != field.merge_id))
        .map(|(tag, _)| Key::Field(tag.clone()))
        .collect();
    for (dimension, known) in &known.dimensions {
        lost.extend(lost_interests(dimension, known, now.dimensions.get(dimension)));
    }
    lost
}

fn lost_interests(dimension: &Dimension, known: &DimensionSchema, now: Option<&DimensionSchema>) -> Vec<Key> {
    let kept = |id: &String, name: &String| now.is_some_and(|now| now.interests.get(id) == Some(name));
    known
        .interests
        .iter()
        .filter(|(id, name)| !kept(id, name))
        .map(|(_, name)| Key::Interest(Interest::new(dimension.as_str(), name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::reconcile::policy::DimensionKind;

    use super::*;

    fn schema(interests: &[(&str, &str)]) -> AudienceSchema {
        let interests = interests.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
        let topic =
            DimensionSchema { kind: DimensionKind::Checkboxes, category_id: "c".to_owned(), interests };
        AudienceSchema {
            dimensions: BTreeMap::from([(Dimension::new("topic"), topic)]),
            ..AudienceSchema::default()
        }
    }

    fn check(now: &[(&str, &str)], expected: &[&str]) {
        let lost = lost_keys(&schema(&[("1", "Finance"), ("2", "Health")]), &schema(now));
        let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
        assert_eq!(lost, expected, "{now:?}");
    }

    #[test]
    fn what_vanished_or_was_made_anew_is_forgotten() {
        check(&[("1", "Finance"), ("2", "Health")], &[]);
        check(&[("1", "Finance"), ("2", "Health"), ("3", "Water")], &[]);
        check(&[("1", "Finance")], &["topic:Health"]);
        check(&[("1", "Finance"), ("9", "Health")], &["topic:Health"]);
    }
}
