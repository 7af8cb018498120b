//! Carries a plan out: intent, deed, outcome; the outcome and the base move in one transaction.
//!
//! Opt-outs come first. One member's failure never stops the rest; what stops everything is a side that is out of
//! reach or will not let us in.

mod batch;
mod bulk;
mod close;
mod heed;
mod local;
mod refusals;
mod remote;
mod reread;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::apply::heed::Stretch;
use crate::clock::Clock;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{AudienceError, WriteAudience};
use crate::model::MemberId;
use crate::progress::{Phase, Progress};
use crate::reconcile::plan::{Operation, Side};
use crate::reconcile::policy::Policy;
use crate::registrations::{RegisterError, WriteRegistrations};
use crate::state::{CycleId, Pause, PolicyNumber, StagedOperation, State, StateError, TAGS, UPDATES};

pub use batch::Patience;
pub use heed::{Heed, Reached};

/// How many operations are noted and carried out at a time; also Mailchimp's limit for one bulk creation.
/// <https://mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe/>
const CHUNK: usize = 500;

/// So many single requests to Mailchimp are made over each connection before it is asked whether somebody was named:
/// half a minute where each is answered in a second and a half.
const SINGLE_REQUESTS: usize = 20;

/// Both sides, for writing, with what carrying a plan out needs beside them.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The register.
    pub local: Arc<dyn WriteRegistrations>,
    /// The audience.
    pub remote: Arc<dyn WriteAudience>,
    /// The state.
    pub state: State,
    /// The time.
    pub clock: Clock,
    /// How many requests may be under way at once.
    pub connections: usize,
    /// The audience's own schema.
    pub schema: AudienceSchema,
    /// What decisions are made under: consent-raising ones are made again right before they are carried out.
    pub policy: Policy,
    /// The number of that policy in the state.
    pub policy_number: PolicyNumber,
    /// Who wants to know how far it has come.
    pub progress: watch::Sender<Progress>,
    /// Set when the process is to stop: the running operations are finished, no new ones begun.
    pub stop: CancellationToken,
}

impl Targets {
    /// Whether staff paused: nothing more is begun then, in the midst of a plan or not.
    async fn is_paused(&self) -> Result<bool, StateError> {
        Ok(self.state.paused().await? != Pause::Running)
    }
}

/// What came of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Operations done.
    pub done: u64,
    /// Operations that failed or whose outcome is unknown: they come again.
    pub failed: u64,
    /// Operations left out because their member had changed meanwhile.
    pub skipped: u64,
    /// Members set aside after a refusal.
    pub parked: u64,
    /// The same by what the refusal was taken for.
    pub refusals: BTreeMap<String, u64>,
    /// Whether the audience's own schema turned out to be another than remembered.
    pub schema_is_stale: bool,
}

/// What stops a plan from being carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The register.
    #[error(transparent)]
    Local(#[from] RegisterError),
    /// The audience.
    #[error(transparent)]
    Remote(#[from] AudienceError),
    /// Our own state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The process was told to stop.
    #[error("stopped while writing")]
    Stopped,
    /// The same unknown refusal again and again: nobody's fault, and nothing to go on with.
    #[error("Mailchimp refused {count} members in a row in a way nobody knows: {said}")]
    EqualUnknowns {
        /// How many.
        count: usize,
        /// What it said.
        said: String,
    },
}

impl ApplyError {
    /// Whether the configuration is at fault.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Local(error) => error.is_misconfigured(),
            Self::Remote(error) => error.is_misconfigured(),
            Self::State(error) => error.is_misconfigured(),
            Self::Stopped | Self::EqualUnknowns { .. } => false,
        }
    }
}

/// What the rest of a round has to know of what was carried out in it: of its plan, and of that plan made again where it
/// was left for whoever was named.
#[derive(Debug, Default)]
pub struct Past {
    run: refusals::Run,
    /// Members of whom something was not done; what else was planned for them is left to the next round, which
    /// decides anew on what is known by then.
    left: BTreeSet<MemberId>,
    /// What is to be submitted as one batch.
    gathering: batch::Gathering,
    /// Mailchimp refused a call for the tags of many: the rest of the plan does without.
    tags_one_by_one: bool,
    /// Operations that were tried or handed over.
    begun: u64,
    /// How many operations the round's first plan held.
    first_plan: Option<u64>,
}

/// Carries out what the state holds staged and the guard does not hold; `applied` tells what came of it, however it ends.
pub async fn apply(
    targets: &Targets,
    cycle: CycleId,
    heed: Heed,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<Reached, ApplyError> {
    let stretch = Stretch::begin(targets, heed, past).await?;
    let reached = carry_out_plan(targets, cycle, stretch, applied, past).await?;
    if reached == Reached::Named {
        // What is gathered counts as begun: it is not to be gathered again.
        batch::submit(targets, cycle, applied, past).await?;
    }
    Ok(reached)
}

async fn carry_out_plan(
    targets: &Targets,
    cycle: CycleId,
    stretch: Stretch,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<Reached, ApplyError> {
    let mut after = (0, 0);
    loop {
        if let Some(reached) = stretch.ends(targets, past).await? {
            return Ok(reached);
        }
        let mut chunk = targets.state.next_operations(after, CHUNK).await?;
        // What comes after the values may stand on them: it is looked at again once they are in a batch.
        let values = chunk.partition_point(|staged| staged.rank <= UPDATES);
        if values == 0 && !past.gathering.is_empty() {
            batch::submit(targets, cycle, applied, past).await?;
            continue;
        }
        chunk.truncate(if values == 0 { CHUNK } else { values });
        let Some(last) = chunk.last() else { return Ok(Reached::End) };
        after = (last.rank, last.seq);
        let (plain, chunk) = batch_of(targets, chunk, past);
        for mut batch in alike(chunk, targets.connections) {
            if let Some(reached) = stretch.ends(targets, past).await? {
                return Ok(reached);
            }
            batch.retain(|staged| !past.left.contains(&staged.member));
            past.begun += batch.len() as u64;
            carry_out(targets, cycle, batch, applied, past).await?;
            tell(targets, past, stretch);
        }
        let plain: Vec<_> = plain.into_iter().filter(|staged| !past.left.contains(&staged.member)).collect();
        past.begun += plain.len() as u64;
        batch::gather(targets, cycle, plain, applied, past).await?;
    }
}

/// Whether anything may be begun: staff may pause in the middle of a long plan, and the process may be told to stop.
async fn may_go_on(targets: &Targets) -> Result<bool, ApplyError> {
    match targets.stop.is_cancelled() {
        true => Err(ApplyError::Stopped),
        false => Ok(!targets.is_paused().await?),
    }
}

/// Looks at the batches that an earlier cycle left unfinished; to be called before anything is observed.
pub async fn look_for_batches(targets: &Targets, applied: &mut Applied) -> Result<(), ApplyError> {
    batch::look(targets, applied, &mut Past::default()).await
}

/// Looks at unfinished batches until its patience is at its end or somebody is named; to be called once a plan was
/// carried out.
pub async fn wait_for_batches(
    targets: &Targets,
    heed: Heed,
    applied: &mut Applied,
    patience: &mut Patience,
) -> Result<Reached, ApplyError> {
    batch::wait(targets, heed, applied, patience).await
}

/// Takes the changes out of a chunk that travel in a batch, where there are enough of them.
fn batch_of(
    targets: &Targets,
    chunk: Vec<StagedOperation>,
    past: &Past,
) -> (Vec<StagedOperation>, Vec<StagedOperation>) {
    let plain = chunk.iter().filter(|staged| batch::is_plain(staged)).count();
    match past.gathering.wants(plain, targets.connections) {
        true => chunk.into_iter().partition(batch::is_plain),
        false => (Vec::new(), chunk),
    }
}

fn tell(targets: &Targets, past: &Past, Stretch { total, .. }: Stretch) {
    targets.progress.send_replace(Progress { phase: Phase::Applying, done: past.begun, total });
}

/// Splits a chunk into runs that are carried out in one way, none of them for long.
fn alike(chunk: Vec<StagedOperation>, connections: usize) -> Vec<Vec<StagedOperation>> {
    let most = |way: Way| match way {
        Way::Remote => SINGLE_REQUESTS * connections,
        Way::Local | Way::Bulk | Way::Tags => CHUNK,
    };
    let mut batches: Vec<Vec<StagedOperation>> = Vec::new();
    for staged in chunk {
        let way_now = way(&staged);
        match batches.last_mut() {
            Some(batch)
                if batch.len() < most(way_now) && batch.last().is_some_and(|last| way(last) == way_now) =>
            {
                batch.push(staged)
            }
            Some(_) | None => batches.push(vec![staged]),
        }
    }
    batches
}

/// The ways to carry operations out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Local,
    Remote,
    Bulk,
    Tags,
}

fn way(staged: &StagedOperation) -> Way {
    match (&staged.planned.operation, staged.planned.operation.side()) {
        (Operation::RemoteCreate { .. }, _) if !reread::is_needed(&staged.planned) => Way::Bulk,
        (Operation::RemoteTags { .. }, _) if staged.rank == TAGS => Way::Tags,
        (_, Side::Remote) => Way::Remote,
        (_, Side::Local) => Way::Local,
    }
}

async fn carry_out(
    targets: &Targets,
    cycle: CycleId,
    batch: Vec<StagedOperation>,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    match batch.first().map(way) {
        None => Ok(()),
        Some(Way::Local) => local::carry_out(targets, cycle, batch, applied, past).await,
        Some(Way::Remote) => remote::carry_out(targets, cycle, batch, applied, past).await,
        Some(Way::Tags) => tags::carry_out(targets, cycle, batch, applied, past).await,
        Some(Way::Bulk) => bulk::carry_out(targets, cycle, batch, applied, past).await,
    }
}
