//! One row of cells, read as a registration or as what is wrong with it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::{
    EmailAddress, Interest, InterestSet, MergeFields, Registration, RegistrationId, SubscriptionStatus,
    UnusableRegistration,
};
use crate::registrations::Reading;
use crate::registrations::catalogue::Column;
use crate::registrations::cell::Cell;
use crate::registrations::layout::{InterestPlace, Layout, Standing};
use crate::registrations::lists::read_list;
use crate::registrations::times::{BadTime, read_time, read_time_of_leaving};

/// The columns to select, in the order in which [`read_row`] takes them.
pub(super) fn selected(layout: &Layout) -> Vec<&Column> {
    let mut columns = vec![&layout.id, &layout.email, &layout.subscription];
    columns.extend(optional(layout).into_iter().flatten());
    columns.extend(layout.fields.values());
    match &layout.interests {
        InterestPlace::Nowhere | InterestPlace::Rows { .. } => (),
        InterestPlace::Lists(lists) => columns.extend(lists.values()),
        InterestPlace::Flags(flags) => columns.extend(flags.values()),
    }
    columns
}

fn optional(layout: &Layout) -> [Option<&Column>; 8] {
    [
        layout.sync_note.as_ref(),
        layout.preferences_url.as_ref(),
        layout.membership.as_ref(),
        layout.subscription_changed_at.as_ref(),
        layout.signup_ip.as_ref(),
        layout.signup_at.as_ref(),
        layout.created_at.as_ref(),
        layout.updated_at.as_ref(),
    ]
}

/// Reads the cells of [`selected`]; interests that are rows and working groups are left for the caller to fill in.
pub(super) fn read_row<'a>(layout: &Layout, cells: impl IntoIterator<Item = Cell<'a>>) -> Reading {
    let mut cells = cells.into_iter();
    let mut take = || cells.next().unwrap_or(Cell::Null);
    let id = RegistrationId::new(take().text());
    let (email, status) = (take(), take());
    let [note, url, membership, changed_at, ip, signup_at, created_at, updated_at] =
        optional(layout).map(|column| column.map(|column| (column, take())));
    let mut fields: MergeFields =
        layout.fields.keys().map(|tag| (tag.clone(), take().text().into_owned())).collect();
    fields.extend(layout.constants.clone());
    let sync_note = note.map(|(_, cell)| cell.text().into_owned());
    let times = Times { changed_at, signup_at, created_at, updated_at };
    let unusable = |problem: String, said: Said| {
        let Said { email, status, changed_at: status_changed_at } = said;
        let (id, sync_note) = (id.clone(), sync_note.clone());
        Reading::Unusable(UnusableRegistration { id, problem, sync_note, email, status, status_changed_at })
    };
    let parts = match read_parts(layout, &email, &status, times) {
        Ok(parts) => parts,
        Err((problem, said)) => return unusable(problem, *said),
    };
    match read_cell_interests(layout, take) {
        Ok(interests) => Reading::Usable(Registration {
            id,
            email: parts.email,
            membership: membership.and_then(|(_, cell)| cell.said()),
            status: parts.status,
            status_changed_at: parts.changed_at,
            signup_ip: ip.and_then(|(_, cell)| cell.said()),
            signup_at: parts.signup_at,
            created_at: parts.created_at,
            updated_at: parts.updated_at,
            fields,
            interests,
            preferences_url: url.map(|(_, cell)| cell.text().into_owned()),
            sync_note,
            working_groups: layout.groups.as_ref().map(|_| BTreeSet::new()),
        }),
        Err(problem) => {
            let Parts { email, status, changed_at, .. } = parts;
            unusable(problem, Said { email: Some(email), status: Some(status), changed_at })
        }
    }
}

/// The cells of the times, with their columns.
struct Times<'l, 'a> {
    changed_at: Option<(&'l Column, Cell<'a>)>,
    signup_at: Option<(&'l Column, Cell<'a>)>,
    created_at: Option<(&'l Column, Cell<'a>)>,
    updated_at: Option<(&'l Column, Cell<'a>)>,
}

/// What must be right for a row to be usable.
struct Parts {
    email: EmailAddress,
    status: SubscriptionStatus,
    changed_at: Option<Timestamp>,
    signup_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

/// What an unusable row says of whom, as far as it can be read.
struct Said {
    email: Option<EmailAddress>,
    status: Option<SubscriptionStatus>,
    changed_at: Option<Timestamp>,
}

/// Reads what must be right; else says what is wrong first, and what can be read all the same.
fn read_parts(
    layout: &Layout,
    email: &Cell<'_>,
    status: &Cell<'_>,
    times: Times<'_, '_>,
) -> Result<Parts, (String, Box<Said>)> {
    let email = EmailAddress::parse(&email.text())
        .map_err(|why| format!("the column {:?} holds no usable address: {why}", layout.email.name));
    let Stand { status, left_at, problem } = read_standing(layout, status);
    let has_left = matches!(status, Some(SubscriptionStatus::Unsubscribed | SubscriptionStatus::Cleaned));
    // A consent time that cannot be read could make an opt-in look newer than it is: the row waits for staff, and an
    // opt-out in it counts as one without a time.
    let read = if has_left { read_time_of_leaving } else { read_time };
    let consent_time = |time: Option<(&Column, Cell<'_>)>| match time {
        None => Ok(None),
        Some((column, cell)) => read(&cell, layout.zone.as_ref()).map_err(|why| bad_time(column, why)),
    };
    let lenient = |time: Option<(&Column, Cell<'_>)>| match time {
        None => Ok(None),
        Some((column, cell)) => match read_time(&cell, layout.zone.as_ref()) {
            Ok(time) => Ok(time),
            Err(BadTime::Unreadable) => Ok(None),
            Err(BadTime::NoZone) => Err(bad_time(column, BadTime::NoZone)),
        },
    };
    let changed_at = consent_time(times.changed_at).map(|changed_at| changed_at.max(left_at));
    let signed_up = |time: Option<(&Column, Cell<'_>)>| match time {
        None => Ok(None),
        Some((column, cell)) => read_time(&cell, layout.zone.as_ref()).map_err(|why| bad_time(column, why)),
    };
    let others = || {
        let signup_at = signed_up(times.signup_at)?;
        Ok::<_, String>((signup_at, lenient(times.created_at)?, lenient(times.updated_at)?))
    };
    match (email, status, &problem, changed_at, others()) {
        (Ok(email), Some(status), None, Ok(changed_at), Ok((signup_at, created_at, updated_at))) => {
            Ok(Parts { email, status, changed_at, signup_at, created_at, updated_at })
        }
        (email, status, problem, changed_at, others) => {
            let problems =
                [email.as_ref().err(), problem.as_ref(), changed_at.as_ref().err(), others.as_ref().err()];
            let problem = problems.into_iter().flatten().next().cloned().unwrap_or_default();
            let said = Said { email: email.ok(), status, changed_at: changed_at.ok().flatten() };
            Err((problem, Box::new(said)))
        }
    }
}

/// What the column that says so tells of where a person stands.
struct Stand {
    /// The status, where that is certain.
    status: Option<SubscriptionStatus>,
    /// Since when they are not subscribed, where the column is a time.
    left_at: Option<Timestamp>,
    /// What is wrong with it.
    problem: Option<String>,
}

/// Reads where a person stands. A time that cannot be read is no subscription: somebody who left at nobody knows when.
fn read_standing(layout: &Layout, cell: &Cell<'_>) -> Stand {
    let column = &layout.subscription;
    match &layout.standing {
        Standing::Words(words) => match words.read(column, cell) {
            Ok(status) => Stand { status: Some(status), left_at: None, problem: None },
            Err(problem) => Stand { status: None, left_at: None, problem: Some(problem) },
        },
        Standing::LeftAt => match read_time_of_leaving(cell, layout.zone.as_ref()) {
            Ok(None) => Stand { status: Some(SubscriptionStatus::Subscribed), left_at: None, problem: None },
            Ok(left_at) => Stand { status: Some(SubscriptionStatus::Unsubscribed), left_at, problem: None },
            Err(why) => Stand {
                status: Some(SubscriptionStatus::Unsubscribed),
                left_at: None,
                problem: Some(bad_time(column, why)),
            },
        },
    }
}

fn bad_time(column: &Column, why: BadTime) -> String {
    let name = &column.name;
    match why {
        BadTime::Unreadable => format!("the column {name:?} holds something else than a time"),
        BadTime::NoZone => {
            format!("the column {name:?} holds a time without an offset; set time_zone in [registrations]")
        }
    }
}

/// The interests that stand in columns of the row itself.
fn read_cell_interests<'a>(
    layout: &Layout,
    mut take: impl FnMut() -> Cell<'a>,
) -> Result<InterestSet, String> {
    let mut interests = InterestSet::new();
    match &layout.interests {
        InterestPlace::Nowhere | InterestPlace::Rows { .. } => (),
        InterestPlace::Lists(lists) => {
            for (dimension, column) in lists {
                let list = read_list(column, &take());
                let list = list.map_err(|bad| format!("the column {:?} {}", column.name, bad.0))?;
                interests.extend(
                    list.names().into_iter().map(|name| Interest { dimension: dimension.clone(), name }),
                );
            }
        }
        InterestPlace::Flags(flags) => {
            for (interest, column) in flags {
                let yes = take()
                    .flag()
                    .ok_or_else(|| format!("the column {:?} holds neither yes nor no", column.name))?;
                if yes {
                    interests.insert(interest.clone());
                }
            }
        }
    }
    Ok(interests)
}
