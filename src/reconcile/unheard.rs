//! Writes of values whose answer was never heard.
//!
//! Such a write may have been carried out or not. What its side shows next says which: a value that shows as it was written
//! is ours, and not a change of that side, whatever the other side says by then.

use std::collections::BTreeMap;

use crate::model::{Key, Value};
use crate::reconcile::merge::agree;
use crate::reconcile::plan::{Operation, Side};
use crate::reconcile::policy::Policy;
use crate::reconcile::trio::{Base, Pair, Unheard};
use crate::reconcile::values::Values;

impl Base {
    /// The base with a note that nobody heard what came of `operation`; as it was where that writes no values.
    #[must_use]
    pub fn without_hearing_of(mut self, operation: &Operation) -> Self {
        self.unheard.extend(written(operation));
        self
    }

    /// Looks at what both sides show of the writes that nobody heard of: what was carried out is settled, and none is
    /// looked at twice.
    pub(super) fn hear_of_writes(&mut self, local: &Values, remote: &Values, policy: &Policy) {
        for Unheard { side, values } in std::mem::take(&mut self.unheard) {
            for (key, written) in values {
                let (shown, wanted) = match side {
                    Side::Local => (local.get(&key), &written.local),
                    Side::Remote => (remote.get(&key), &written.remote),
                };
                let Some(shown) = shown.filter(|shown| agree(&key, wanted, shown, policy)).cloned() else {
                    continue;
                };
                let pair = match side {
                    Side::Local => Pair { local: shown, ..written },
                    Side::Remote => Pair { remote: shown, ..written },
                };
                self.values.insert(key, pair);
            }
        }
    }
}

fn written(operation: &Operation) -> Option<Unheard> {
    let alike =
        |(key, value): (&Key, &Value)| (key.clone(), Pair { local: value.clone(), remote: value.clone() });
    let (side, values): (Side, BTreeMap<Key, Pair>) = match operation {
        Operation::RemoteUpdate { changes, source } => {
            let pair = |(key, local): (&Key, &Value)| {
                let remote = changes.get(key).map_or(local, |change| &change.after).clone();
                (key.clone(), Pair { local: local.clone(), remote })
            };
            (Side::Remote, source.iter().map(pair).collect())
        }
        Operation::RemoteTags { source, .. } => (Side::Remote, source.iter().map(alike).collect()),
        Operation::LocalUpdate { changes, source, .. } => {
            let pair = |(key, remote): (&Key, &Value)| {
                let local = changes.get(key).map_or(remote, |change| &change.after).clone();
                (key.clone(), Pair { local, remote: remote.clone() })
            };
            (Side::Local, source.iter().map(pair).collect())
        }
        Operation::RemoteStatus { .. }
        | Operation::RemoteArchive { .. }
        | Operation::RemoteCreate { .. }
        | Operation::RemoteLeave { .. }
        | Operation::RemoteRename { .. }
        | Operation::LocalStatus { .. }
        | Operation::LocalCreate { .. }
        | Operation::LocalRename { .. }
        | Operation::LocalKeep { .. } => return None,
    };
    (!values.is_empty()).then_some(Unheard { side, values })
}
