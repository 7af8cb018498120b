//! The events that named a member, as `member show` tells them: what came in, when, and how Mailchimp says that somebody left.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::exit::Fault;
use crate::cli::moments::minute;
use crate::cli::output::{print_table, say, table};
use crate::model::EmailAddress;
use crate::reconcile::trio::Trio;
use crate::state::{MemberEvent, State};

/// The latest events that named an address of the member.
pub(super) async fn events(
    state: &State,
    trio: &Trio,
    asked: &EmailAddress,
    limit: usize,
) -> Result<Vec<MemberEvent>, Fault> {
    let rows = trio.local.iter().map(|row| &row.email);
    let contact = trio.remote.iter().map(|contact| &contact.email);
    let addresses: BTreeSet<&EmailAddress> = rows.chain(contact).chain([asked]).collect();
    let addresses = addresses.into_iter().cloned().collect();
    state.events_about(addresses, limit).await.map_err(Fault::failed)
}

/// Prints them, where there are any.
pub(super) fn print(events: &[MemberEvent]) -> Result<(), Fault> {
    if events.is_empty() {
        return Ok(());
    }
    say("")?;
    say("Events, newest first")?;
    let mut rows = table(&["when", "what", "of whom", "says", "came by"]);
    for MemberEvent { received_at, source, kind, addresses, details } in events {
        let says: Vec<String> = details.iter().map(|(name, said)| format!("{name} {said}")).collect();
        let (of_whom, says) = (addresses.join(", "), says.join(", "));
        rows.add_row([minute(*received_at), kind.clone(), of_whom, says, source.clone()]);
    }
    print_table(&rows)
}

/// The same for programs.
pub(super) fn json(events: &[MemberEvent]) -> Vec<Value> {
    let event = |event: &MemberEvent| {
        let MemberEvent { received_at, source, kind, addresses, details } = event;
        json!({ "at": received_at, "kind": kind, "source": source, "addresses": addresses, "details": details })
    };
    events.iter().map(event).collect()
}
