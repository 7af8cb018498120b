//! `rosterd member`: look at one member, or act on one.

mod columns;
mod erase;
mod events;
mod live;
mod retry;
mod show;
pub mod standing;

use jiff::Timestamp;

pub use crate::cli::member::columns::unsent;
pub(in crate::cli) use crate::cli::member::show::told;

use crate::cli::exit::{Ending, Fault};
use crate::cli::{Cli, MemberCommand};
use crate::model::EmailAddress;
use crate::reconcile::trio::Trio;
use crate::state::{MemberName, State};

/// Does what is asked about one member.
pub(super) async fn run(cli: &Cli, command: &MemberCommand) -> Result<Ending, Fault> {
    match command {
        MemberCommand::Show { email, output } => show::run(cli, email, *output).await,
        MemberCommand::Retry { email, output } => retry::run(cli, email, *output).await,
        MemberCommand::Erase { email, yes, output } => {
            let consent = if *yes { erase::Asked::Beforehand } else { erase::Asked::NotYet };
            erase::run(cli, email, consent, *output).await
        }
    }
}

/// Everybody who bears this address on either side or in the base: the one it is nearest to first.
async fn bearers(state: &State, email: &EmailAddress, now: Timestamp) -> Result<Vec<Trio>, Fault> {
    let members = state.find_members(MemberName::Address(email.clone())).await.map_err(Fault::failed)?;
    let mut trios = state.trios(members, now).await.map_err(Fault::failed)?;
    trios.sort_by_key(|trio| std::cmp::Reverse(nearness(trio, email)));
    Ok(trios)
}

/// In how many places a member bears the address.
fn nearness(trio: &Trio, email: &EmailAddress) -> usize {
    let contact = trio.remote.as_ref().is_some_and(|contact| contact.email == *email);
    let row = trio.local.iter().any(|row| row.email == *email);
    [contact, row, trio.base.is_some()].into_iter().filter(|place| *place).count()
}

/// What is said of an address that nobody bears: that they were erased, or were here once.
pub(super) async fn nobody(state: &State, email: &EmailAddress) -> Result<Fault, Fault> {
    let erasures = state.erasures_of(email.clone()).await.map_err(Fault::failed)?;
    if let Some(erasure) = erasures.last() {
        let at = crate::cli::moments::minute(erasure.erased_at);
        return Ok(Fault::failed(anyhow::anyhow!("{email} was erased on {at} UTC: {}", erasure.outcome)));
    }
    if let Some(tombstone) = state.tombstone(email.hash()).await.map_err(Fault::failed)? {
        let at = crate::cli::moments::minute(tombstone.at);
        let left = if tombstone.opted_out { ", after having left" } else { "" };
        return Ok(Fault::failed(anyhow::anyhow!("{email} is gone from both sides since {at} UTC{left}")));
    }
    Ok(Fault::failed(anyhow::anyhow!("nobody bears the address {email} on either side")))
}
