//! What the demo shows: the two sides, a member or the whole, at 80 columns.

use std::collections::BTreeMap;

use crate::cli::exit::Fault;
use crate::cli::output::say;
use crate::cli::shown::cut;
use crate::cycle::{Cycle, assemble, read_schema};
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{Order, PageRequest, Shelf};
use crate::model::{Contact, Dimension, EmailAddress, Key, Registration};
use crate::reconcile::values::{Values, local_values, remote_values};
use crate::registrations::split;

/// The widths of the three columns.
const WIDTHS: (usize, usize, usize) = (14, 31, 31);

/// A chapter's heading.
pub(super) fn chapter(title: &str) -> Result<(), Fault> {
    say("")?;
    say(title)?;
    say(&"-".repeat(title.chars().count()))
}

/// One line of three columns.
fn line(label: &str, local: &str, remote: &str) -> Result<(), Fault> {
    let (label_width, local_width, remote_width) = WIDTHS;
    let (local, remote) = (cut(local, local_width), cut(remote, remote_width));
    say(format!("  {label:label_width$}{local:local_width$}  {remote}").trim_end())
}

/// What both sides show of one person: of the register all rows together, as they count.
pub(super) async fn member(cycle: &Cycle, email: &EmailAddress) -> Result<(), Fault> {
    let (rows, contact) = both(cycle, email).await?;
    let policy =
        assemble(&cycle.seed, &schema(cycle).await?, cycle.local.features(), |key| cycle.local.holds(key));
    line("", "register", "Mailchimp")?;
    let status = |status: Option<String>| status.unwrap_or_else(|| "(nobody)".to_owned());
    line(
        "status",
        &status(rows.last().map(|row| row.status.to_string())),
        &status(contact.as_ref().map(|contact| contact.status.to_string())),
    )?;
    let local = local_values(&rows, None, &policy);
    let remote =
        contact.as_ref().map(|contact| remote_values(contact, &rows, None, &policy)).unwrap_or_default();
    line("name", &named(&local), &named(&remote))?;
    for dimension in policy.dimensions.keys() {
        let (local, remote) = (interests(&local, dimension), interests(&remote, dimension));
        if !(local.is_empty() && remote.is_empty()) {
            line(dimension.as_str(), &local, &remote)?;
        }
    }
    if let Some(contact) = contact.filter(|contact| !contact.group_tags.is_empty()) {
        line("tags", "", &contact.group_tags.into_iter().collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn interests(values: &Values, dimension: &Dimension) -> String {
    let named = values.iter().filter_map(|(key, value)| match key {
        Key::Interest(interest) if interest.dimension == *dimension && value.is_yes() => {
            Some(interest.name.as_str())
        }
        Key::Choice(choice) if choice == dimension => Some(value.as_text()),
        Key::Interest(_) | Key::Choice(_) | Key::Field(_) => None,
    });
    named.collect::<Vec<_>>().join(", ")
}

fn named(values: &Values) -> String {
    let names = values.iter().filter_map(|(key, value)| match key {
        Key::Field(tag) if matches!(tag.as_str(), "FNAME" | "LNAME") => Some(value.as_text()),
        Key::Field(_) | Key::Interest(_) | Key::Choice(_) => None,
    });
    names.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The rows, oldest first, and the contact with this address.
pub(super) async fn both(
    cycle: &Cycle,
    email: &EmailAddress,
) -> Result<(Vec<Registration>, Option<Contact>), Fault> {
    let (mut rows, _) = split(cycle.local.by_email(email).await.map_err(Fault::failed)?);
    rows.sort_by(|a, b| a.age().cmp(&b.age()));
    let schema = schema(cycle).await?;
    let contact = cycle.remote.contact_by_email(&schema, email).await.map_err(Fault::failed)?;
    Ok((rows, contact))
}

/// The audience's own schema.
pub(super) async fn schema(cycle: &Cycle) -> Result<AudienceSchema, Fault> {
    read_schema(cycle.remote.as_ref(), &cycle.state, &cycle.clock).await.map_err(Fault::failed)
}

/// How many of which status each side shows.
pub(super) async fn census(cycle: &Cycle) -> Result<(), Fault> {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for row in rows(cycle).await? {
        counts.entry(row.status.to_string()).or_default().0 += 1;
    }
    for contact in contacts(cycle).await? {
        counts.entry(contact.status.to_string()).or_default().1 += 1;
    }
    line("", "register (rows)", "Mailchimp (contacts)")?;
    for (status, (local, remote)) in counts {
        line(&status, &local.to_string(), &remote.to_string())?;
    }
    Ok(())
}

/// All rows that can be synchronized; the sample is small.
pub(super) async fn rows(cycle: &Cycle) -> Result<Vec<Registration>, Fault> {
    Ok(split(cycle.local.page(None, 1_000).await.map_err(Fault::failed)?).0)
}

/// All contacts, the archived among them; the sample is small.
pub(super) async fn contacts(cycle: &Cycle) -> Result<Vec<Contact>, Fault> {
    let schema = schema(cycle).await?;
    let mut contacts = Vec::new();
    for shelf in [Shelf::Living, Shelf::Archived] {
        let request = PageRequest { shelf, order: Order::OptIn, since: None, offset: 0, count: 1_000 };
        contacts.extend(cycle.remote.page(&schema, &request).await.map_err(Fault::failed)?.contacts);
    }
    Ok(contacts)
}
