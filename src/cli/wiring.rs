//! From the configuration to the parts of a cycle: opened once, by whatever command needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::Cli;
use crate::cli::exit::Fault;
use crate::cli::mapped::Mapped;
use crate::clock::Clock;
use crate::config::{Config, MailchimpConfig, ProcessEnvironment, RegisterLocation, StateConfig, locate};
use crate::cycle::{Cycle, Seed, assemble};
use crate::intake::{Spool, take_up};
use crate::mailchimp::AudienceError;
use crate::mailchimp::client::{ClientOptions, MailchimpClient};
use crate::mailchimp::http::{HttpOptions, HttpTransport};
use crate::mailchimp::meter::{Meter, Metered};
use crate::mailchimp::provision::InspectAudience;
use crate::mailchimp::retry::RetryOptions;
use crate::mailchimp::schema::{AudienceMapping, AudienceSchema};
use crate::model::{MergeTag, SubscriptionStatus};
use crate::progress::Progress;
use crate::reconcile::policy::{Policy, RegisterFeatures};
use crate::registrations::mapping::{MappedValues, RegisterMapping};
use crate::registrations::{
    ReadRegistrations, RegisterPlace, WriteRegistrations, open, open_read_only, telling_script,
};
use crate::state::{IdentityKind, Keep, State};
use crate::telemetry;

/// Somebody who waits gives up after this long: time for three tries.
const HASTE: std::time::Duration = std::time::Duration::from_secs(4);

/// What the configuration says, with the register's own part of it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The configuration.
    pub(super) config: Config,
    /// How the register's tables and columns are called.
    pub(super) mapping: RegisterMapping,
    /// What is asked of Mailchimp, counted.
    pub(super) meter: Meter,
}

impl Settings {
    /// Reads the configuration that the command line names, and logs by it; all mistakes at once.
    pub(super) fn load(cli: &Cli) -> Result<Self, Fault> {
        let settings = Self::read(cli)?;
        settings.log_by_them();
        Ok(settings)
    }

    /// Reads the configuration that the command line names; all mistakes at once.
    pub(super) fn read(cli: &Cli) -> Result<Self, Fault> {
        Self::read_file(&locate(cli.config.as_deref(), &ProcessEnvironment))
    }

    /// Reads the configuration at `path`; all mistakes at once.
    pub(super) fn read_file(path: &Path) -> Result<Self, Fault> {
        let (config, mapping) = Config::load_with(path, &ProcessEnvironment).map_err(Fault::usage)?;
        Ok(Self { config, mapping, meter: Meter::default() })
    }

    /// Logs as they say from now on.
    pub(super) fn log_by_them(&self) {
        telemetry::log_addresses(self.config.privacy.log_addresses);
    }

    /// The parts of the configuration that speak of both sides.
    pub(super) fn mapped(&self) -> Mapped<'_> {
        Mapped {
            merge_fields: &self.config.merge_fields,
            interests: &self.config.interests,
            working_groups: &self.config.working_groups,
        }
    }

    /// The columns and dimensions that the rest of the configuration maps.
    pub(super) fn mapped_values(&self) -> MappedValues {
        self.mapped().values()
    }

    /// What the configuration alone says of the policy.
    pub(super) fn seed(&self) -> Seed {
        let directions: BTreeMap<_, _> =
            self.config.merge_fields.iter().map(|field| (field.tag.clone(), field.direction)).collect();
        let read_as = format!("{:?} {:?}", self.mapping, self.mapped_values());
        Seed { policy: self.config.policy_seed(), directions, read_as }
    }

    /// The mapped merge fields, in the order of the file.
    pub(super) fn tags(&self) -> Vec<MergeTag> {
        self.config.merge_fields.iter().map(|field| field.tag.clone()).collect()
    }

    /// The whole policy, as a cycle would have it with this audience and this register.
    pub(super) fn policy(&self, schema: &AudienceSchema, register: RegisterFeatures) -> Policy {
        assemble(&self.seed(), schema, register, |_| true)
    }

    /// What the register can hold by the mapping alone, for where it is not opened.
    pub(super) fn features(&self) -> RegisterFeatures {
        let columns = &self.mapping.columns;
        RegisterFeatures {
            consent_time: columns.subscription_changed_at.get().is_some(),
            preferences_url: columns.preferences_url.get().is_some(),
            sync_note: columns.sync_note.get().is_some(),
            working_groups: self.mapping.working_groups.is_some(),
            lacks_pending: self.mapping.lacks(SubscriptionStatus::Pending),
            lacks_cleaned: self.mapping.lacks(SubscriptionStatus::Cleaned),
        }
    }

    /// The audience.
    pub(super) fn audience(&self) -> Result<MailchimpClient, Fault> {
        self.client(RetryOptions::default())
    }

    /// The audience, for a first word to it by somebody who waits: given up within seconds.
    pub(super) fn hasty_audience(&self) -> Result<MailchimpClient, Fault> {
        self.client(RetryOptions { budget: HASTE, ..RetryOptions::default() })
    }

    /// Whether Mailchimp answers at all. A cycle has the patience of the daemon; a person hears of it at once.
    /// What else is wrong, the cycle finds and notes.
    pub(super) async fn within_reach(&self) -> Result<(), Fault> {
        match self.hasty_audience()?.ping().await {
            Err(error @ AudienceError::Busy { .. }) => Err(Fault::failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn client(&self, retry: RetryOptions) -> Result<MailchimpClient, Fault> {
        client(&self.config.mailchimp, self.mapped().audience(), retry, &self.meter)
    }

    /// The register, for reading and writing.
    pub(super) async fn register(&self) -> Result<Arc<dyn WriteRegistrations>, Fault> {
        let place = register_place(&self.config.registrations.location)?;
        open(&place, &self.mapping, &self.mapped_values()).await.map_err(Fault::of_register)
    }

    /// The register, for reading only.
    pub(super) async fn register_read_only(&self) -> Result<Arc<dyn ReadRegistrations>, Fault> {
        let place = register_place(&self.config.registrations.location)?;
        open_read_only(&place, &self.mapping, &self.mapped_values()).await.map_err(Fault::of_register)
    }

    /// What the owner of the register can run in it so that changes are told at once.
    pub(super) async fn telling_script(&self) -> Result<Option<String>, Fault> {
        let place = register_place(&self.config.registrations.location)?;
        let script = telling_script(&place, &self.mapping, &self.mapped_values()).await;
        script.map_err(Fault::of_register)
    }

    /// A cycle over both sides and the state; refuses a state that belongs to other sides.
    pub(super) async fn cycle(&self, state: State) -> Result<Cycle, Fault> {
        let local = self.register().await?;
        let remote = self.audience()?;
        let identity = local.identity().await.map_err(Fault::of_register)?;
        state.claim(IdentityKind::Register, identity).await.map_err(Fault::of_state)?;
        let audience = self.config.mailchimp.audience.clone();
        state.claim(IdentityKind::Audience, audience).await.map_err(Fault::of_state)?;
        Ok(Cycle {
            local,
            remote: Arc::new(remote),
            state,
            clock: Clock::System,
            seed: self.seed(),
            limits: self.config.guard.limits(),
            keep: Keep {
                trail: self.config.state.keep_trail,
                cycles: self.config.state.keep_cycles,
                events: self.config.state.keep_events,
            },
            connections: self.config.mailchimp.connections,
            progress: watch::Sender::new(Progress::default()),
            stop: CancellationToken::new(),
        })
    }

    /// The state, as its one writer.
    pub(super) async fn state(&self) -> Result<State, Fault> {
        State::open(&self.config.state.path, &Clock::System).await.map_err(Fault::of_state)
    }

    /// Takes up what receivers wrote down while no daemon ran.
    pub(super) async fn take_up_events(&self, state: &State) -> Result<(), Fault> {
        let spool = Spool::beside(state.path());
        let taken = take_up(state, &spool, &self.config.mailchimp.audience, &Clock::System).await;
        if let Some(taken) = taken.map_err(Fault::failed)? {
            taken.warn(&spool, &mut BTreeSet::new());
        }
        Ok(())
    }

    /// Refuses, without a write, a state that belongs to another audience.
    pub(super) async fn refuse_other_audience(&self, state: &State) -> Result<(), Fault> {
        let audience = self.config.mailchimp.audience.clone();
        state.refuse_others(IdentityKind::Audience, audience).await.map_err(Fault::of_state)
    }
}

/// Where the register is, with all that its URL says.
pub(super) fn register_place(location: &RegisterLocation) -> Result<RegisterPlace, Fault> {
    match location {
        RegisterLocation::Sqlite(path) => Ok(RegisterPlace::Sqlite(path.clone())),
        RegisterLocation::Postgres(url) | RegisterLocation::Mysql(url) => {
            RegisterPlace::server(url.expose_secret()).map_err(Fault::of_register)
        }
    }
}

/// Refuses, without a write, a state that belongs to another register.
pub(super) async fn refuse_other_register(
    state: &State,
    register: &dyn ReadRegistrations,
) -> Result<(), Fault> {
    let identity = register.identity().await.map_err(Fault::of_register)?;
    state.refuse_others(IdentityKind::Register, identity).await.map_err(Fault::of_state)
}

/// The audience, asked as patiently as `retry` says.
pub(super) fn client(
    mailchimp: &MailchimpConfig,
    mapping: AudienceMapping,
    retry: RetryOptions,
    meter: &Meter,
) -> Result<MailchimpClient, Fault> {
    let http = HttpOptions {
        connect_timeout: mailchimp.connect_timeout,
        timeout: mailchimp.request_timeout,
        connections: mailchimp.connections,
        ..HttpOptions::new(mailchimp.base_url.clone())
    };
    let transport = HttpTransport::new(http).map_err(Fault::failed)?;
    let options = ClientOptions {
        api_key: mailchimp.api_key.clone(),
        audience: mailchimp.audience.clone(),
        connections: mailchimp.connections,
        retry,
    };
    let transport = Metered::new(transport, meter.clone(), Clock::System);
    MailchimpClient::new(options, mapping, Clock::System, Arc::new(transport)).map_err(Fault::usage)
}

/// Where the state is: all that somebody needs to know who asks the daemon, or only looks.
pub(super) fn state_path(cli: &Cli) -> Result<PathBuf, Fault> {
    let path = locate(cli.config.as_deref(), &ProcessEnvironment);
    Ok(StateConfig::load(&path).map_err(Fault::usage)?.path)
}

/// The state beside a running daemon: for the small decisions of people.
pub(super) async fn shared_state(cli: &Cli) -> Result<State, Fault> {
    // Where there is none yet, the error says what makes it.
    State::open_shared(state_path(cli)?).await.map_err(Fault::of_state)
}
