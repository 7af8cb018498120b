//! Rosterd keeps a membership register and a Mailchimp audience telling the same story.
//!
//! # A cycle
//!
//! `observe → reconcile → guard → apply`. A tick, a bell and a person's command all cause the same cycle; what woke it
//! only adds addresses to look at. [`observe`](mod@observe) reads both sides into the mirror that [`state`] keeps,
//! [`reconcile`](mod@reconcile) decides member by member what to do, the guard in [`cycle`] holds what a person should
//! decide, [`apply`](mod@apply) writes: the intent first, then the deed, then the outcome together with the base.
//!
//! # Modules, in reading order
//!
//! | module | what |
//! |---|---|
//! | [`model`] | pure: the nouns that both sides agree to speak of |
//! | [`reconcile`](mod@reconcile) | pure: the merge table, the consent rule, the plan as a value, the guard's limits |
//! | [`config`] | the file, then the environment, then validation; all problems at once |
//! | [`clock`], [`telemetry`], [`progress`], [`aside`](mod@aside) | the time, the log, how far a long piece of work has come, blocking work |
//! | [`registrations`] | the local side |
//! | [`mailchimp`] | the remote side |
//! | [`state`] | our own memory: mirror, base, plan, holds, trail |
//! | [`observe`](mod@observe), [`apply`](mod@apply) | reading both sides; writing them |
//! | [`intake`] | events on their way in: written down before they are answered, then into the state |
//! | [`cycle`] | one cycle |
//! | [`worker`] | the loop, and the desk where it is asked for a cycle |
//! | [`web`], [`control`] | the HTTP interface; the socket over which commands ask a running daemon |
//! | [`daemon`] | the process around them |
//! | [`sandbox`] | the pretend Mailchimp |
//! | [`cli`] | the commands |
//!
//! # The import rule
//!
//! Imports point upwards in this table only, and modules on one line do not know each other; `tests/tidy.rs` holds to it.
//! Product names end at the adapters: the core says `local` and `remote`.
//!
//! # Invariants
//!
//! - A status reaches Mailchimp only as a [`DecidedStatus`](reconcile::consent::DecidedStatus), which nothing but the
//!   consent rule can make, and in a request of its own.
//! - `reconcile` never waits, reads no clock and meets no chance: the same trio gives the same plan.
//! - Whoever plans is handed no writer: `plan` holds [`ReadRegistrations`](registrations::ReadRegistrations) and
//!   [`ReadAudience`](mailchimp::ReadAudience) and a copy of the state.
//! - A base value moves only when it is settled, and in the transaction that closes the trail's entry.
//! - Nothing is concluded from silence: a member that no page showed is read by itself before it counts as gone.
//! - No key or body is ever logged, and no address but where `[privacy] log_addresses` asks for it.
//! - Nothing holds a whole side in memory.

pub mod apply;
pub mod aside;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod cycle;
pub mod daemon;
pub mod intake;
pub mod mailchimp;
pub mod model;
pub mod observe;
pub mod progress;
pub mod reconcile;
pub mod registrations;
pub mod sandbox;
pub mod state;
pub mod telemetry;
pub mod web;
pub mod worker;
