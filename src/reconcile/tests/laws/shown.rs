//! What each side shows, read off by rules of its own: nothing here asks the code that is tested.

use std::collections::BTreeMap;

use crate::model::{Dimension, Interest, Key, Registration, Value};
use crate::reconcile::tests::laws::act::{Edit, REGIONS, SECTORS, TOPICS};
use crate::reconcile::tests::world::{World, cut, tag};

/// Values by key, as Mailchimp would keep them.
pub(super) type Shown = BTreeMap<Key, Value>;

/// What both sides show; `None` for one that shows nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) local: Option<Shown>,
    pub(super) remote: Option<Shown>,
    /// Which contact it is.
    pub(super) contact: Option<String>,
}

pub(super) fn key_of(edit: &Edit) -> Key {
    match edit {
        Edit::Name(_) => Key::Field(tag("FNAME")),
        Edit::Code(_) => Key::Field(tag("CODE")),
        Edit::Topic(name, _) => Key::Interest(Interest::new("topic", name)),
        Edit::Region(_) => Key::Choice(Dimension::new("region")),
        Edit::Sector(name, _) => Key::Interest(Interest::new("sector", name)),
    }
}

pub(super) fn value_of(edit: &Edit) -> Value {
    match edit {
        Edit::Name(word) | Edit::Code(word) => Value::text(*word),
        Edit::Topic(_, on) | Edit::Sector(_, on) => Value::Flag(*on),
        Edit::Region(name) => Value::text(name.unwrap_or_default()),
    }
}

pub(super) fn look(world: &World) -> Look {
    let known = |dimension: &str, name: &str| {
        let rule = world.policy.dimensions.get(&Dimension::new(dimension));
        dimension == "sector" || rule.is_some_and(|rule| rule.known.contains(name))
    };
    let values = |field: &dyn Fn(&str) -> String, has: &dyn Fn(&str, &str) -> bool| {
        let mut shown = Shown::new();
        for name in ["FNAME", "CODE"] {
            shown.insert(Key::Field(tag(name)), cut(&Value::text(field(name))));
        }
        let chosen = REGIONS.iter().find(|name| has("region", name) && known("region", name));
        shown.insert(Key::Choice(Dimension::new("region")), Value::text(chosen.copied().unwrap_or_default()));
        let boxes =
            TOPICS.map(|name| ("topic", name)).into_iter().chain(SECTORS.map(|name| ("sector", name)));
        for (dimension, name) in boxes.filter(|(dimension, name)| known(dimension, name)) {
            shown.insert(Key::Interest(Interest::new(dimension, name)), Value::Flag(has(dimension, name)));
        }
        shown
    };
    let rows = &world.local;
    let text = |row: &Registration, name: &str| row.fields.get(&tag(name)).cloned().unwrap_or_default();
    let said = |name: &str| {
        rows.iter().rev().map(|row| text(row, name)).find(|text| !text.trim().is_empty()).unwrap_or_default()
    };
    let has = |dimension: &str, name: &str| speaking(rows, dimension).contains(&name);
    Look {
        local: (!rows.is_empty()).then(|| values(&said, &has)),
        remote: world.remote.as_ref().map(|contact| {
            let field = |name: &str| contact.fields.get(&tag(name)).cloned().unwrap_or_default();
            let has =
                |dimension: &str, name: &str| contact.interests.contains(&Interest::new(dimension, name));
            values(&field, &has)
        }),
        contact: world.remote.as_ref().map(|contact| contact.contact_id.to_string()),
    }
}

/// The names of the newest row that names any interest of `dimension`.
pub(super) fn speaking<'a>(rows: &'a [Registration], dimension: &str) -> Vec<&'a str> {
    let named = |row: &'a Registration| -> Vec<&'a str> {
        let own = row.interests.iter().filter(|interest| interest.dimension.as_str() == dimension);
        own.map(|interest| interest.name.as_str()).collect()
    };
    rows.iter().rev().map(named).find(|names| !names.is_empty()).unwrap_or_default()
}
