//! Members in order, ready for paging: each page is a slice, whatever the size of the audience.

use std::collections::HashMap;

use crate::sandbox::member::Member;
use crate::sandbox::member::Status;

/// Up to so many waiting changes are moved in place; more are merged in one pass over the view.
const FEW: usize = 24;

/// What a view is ordered by; equal keys follow the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// Creation.
    Created,
    /// `timestamp_opt`.
    TimestampOpt,
    /// `timestamp_signup`.
    TimestampSignup,
    /// `last_changed`.
    LastChanged,
}

impl Order {
    /// The sort key of a member; one without the time comes first.
    pub(crate) fn key(self, member: &Member) -> i64 {
        match self {
            Self::Created => 0,
            Self::TimestampOpt => member.timestamp_opt.unwrap_or(i64::MIN),
            Self::TimestampSignup => member.timestamp_signup.unwrap_or(i64::MIN),
            Self::LastChanged => member.last_changed,
        }
    }
}

/// Which members a view holds: those of one status, or all but the archived ones.
pub(crate) type Shown = Option<Status>;

type Row = (i64, u32);

/// One order of one status, with the changes since it was last read.
#[derive(Clone, Debug, Default)]
struct View {
    rows: Vec<Row>,
    waiting: HashMap<u32, Move>,
}

/// Where a member stood in the view when it was last read, and where it belongs now.
#[derive(Clone, Copy, Debug)]
struct Move {
    from: Option<i64>,
    to: Option<i64>,
}

/// Every view that was ever asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    views: HashMap<(Shown, Order), View>,
}

impl Views {
    /// Notes that the member in `slot` was one thing and is another.
    pub(crate) fn note(&mut self, slot: u32, before: Option<&Member>, after: Option<&Member>) {
        for ((shown, order), view) in &mut self.views {
            let place = |member: Option<&Member>| {
                member.filter(|member| is_shown(*shown, member)).map(|member| order.key(member))
            };
            let (from, to) = (place(before), place(after));
            if from != to {
                view.waiting.entry(slot).or_insert(Move { from, to }).to = to;
            }
        }
    }

    /// The rows of a view, in ascending order: sort key and slot.
    pub(crate) fn rows(&mut self, shown: Shown, order: Order, slots: &[Option<Member>]) -> &[Row] {
        let view = self.views.entry((shown, order)).or_insert_with(|| View::build(shown, order, slots));
        view.settle();
        &view.rows
    }
}

impl View {
    fn build(shown: Shown, order: Order, slots: &[Option<Member>]) -> Self {
        let mut rows: Vec<Row> = (0..)
            .zip(slots)
            .filter_map(|(slot, member)| {
                let member = member.as_ref().filter(|member| is_shown(shown, member))?;
                Some((order.key(member), slot))
            })
            .collect();
        rows.sort_unstable();
        Self { rows, waiting: HashMap::new() }
    }

    fn settle(&mut self) {
        let moves = std::mem::take(&mut self.waiting);
        if moves.is_empty() {
            return;
        }
        let mut gone: Vec<Row> =
            moves.iter().filter_map(|(slot, place)| Some((place.from?, *slot))).collect();
        let mut come: Vec<Row> = moves.iter().filter_map(|(slot, place)| Some((place.to?, *slot))).collect();
        if moves.len() <= FEW {
            self.shift(&gone, &come);
        } else {
            gone.sort_unstable();
            come.sort_unstable();
            self.merge(&gone, &come);
        }
    }

    fn shift(&mut self, gone: &[Row], come: &[Row]) {
        for row in gone {
            if let Ok(place) = self.rows.binary_search(row) {
                self.rows.remove(place);
            }
        }
        for row in come {
            if let Err(place) = self.rows.binary_search(row) {
                self.rows.insert(place, *row);
            }
        }
    }

    fn merge(&mut self, gone: &[Row], come: &[Row]) {
        let mut merged = Vec::with_capacity(self.rows.len() + come.len());
        let (mut gone, mut come) = (gone.iter().peekable(), come.iter().peekable());
        for row in &self.rows {
            if gone.next_if_eq(&row).is_some() {
                continue;
            }
            while let Some(new) = come.next_if(|new| *new < row) {
                merged.push(*new);
            }
            merged.push(*row);
        }
        merged.extend(come);
        self.rows = merged;
    }
}

fn is_shown(shown: Shown, member: &Member) -> bool {
    match shown {
        Some(status) => member.status == status,
        None => member.status != Status::Archived,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::sandbox::ids::Sequence;
    use crate::sandbox::testing::Api;

    #[test]
    fn a_view_that_followed_every_change_is_the_same_as_one_built_afresh() {
        let api = Api::new();
        api.sandbox.populate(300);
        let mut chances = Sequence::new(3);
        for changes in [1, 5, FEW, FEW + 1, 100, 300, 2, 150] {
            for _ in 0..changes {
                let email = &api.sandbox.addresses()[chances.below(api.sandbox.addresses().len())];
                api.clock.advance(Duration::from_secs(chances.number() % 2));
                let person = api.sandbox.person();
                match chances.below(4) {
                    0 => drop(api.patch(email, json!({"vip": chances.below(2) == 0}))),
                    1 => drop(person.staff_archive(email)),
                    2 => drop(person.staff_unarchive(email)),
                    _ if chances.below(10) == 0 => person.staff_delete_permanently(email).unwrap(),
                    _ => api.sandbox.populate(1),
                }
            }
            api.sandbox.world(|world| {
                let mut fresh = world.audience.store.clone();
                fresh.forget_views();
                for shown in [None, Some(Status::Subscribed), Some(Status::Archived)] {
                    for order in
                        [Order::Created, Order::TimestampOpt, Order::TimestampSignup, Order::LastChanged]
                    {
                        let followed = world.audience.store.rows(shown, order).to_vec();
                        assert_eq!(followed, fresh.rows(shown, order), "{shown:?} {order:?} after {changes}");
                    }
                }
            });
        }
    }
}
