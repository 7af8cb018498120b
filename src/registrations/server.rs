//! Registers on servers: a few connections, each made when it is needed and tried before it is used again, so that a
//! server may restart whenever it likes.

pub(super) mod fault;
pub(super) mod waiting;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::registrations::catalogue::Catalogue;
use crate::registrations::examine::{examine, try_to_write, unreadable};
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::link::{Link, Session};
use crate::registrations::mapping::{MappedValues, RegisterMapping};
use crate::registrations::mysql::MysqlSession;
use crate::registrations::place::{ServerOptions, ServerPlace};
use crate::registrations::postgres::PostgresSession;
use crate::registrations::postgres::hearing::{Hearing, script};
use crate::registrations::register::{SqlRegister, Store, Work, on_a_thread};
use crate::registrations::report::errors_in_one;
use crate::registrations::resolve::{resolve, tables_of};
use crate::registrations::server::waiting::{Patience, Waiting};
use crate::registrations::statements::Statements;
use crate::registrations::{RegisterError, RegisterReport};

/// A cycle uses one connection at a time, people and the web a few more.
const CONNECTIONS: usize = 4;

/// What connections are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading and writing.
    ReadWrite,
    /// Reading only: the server is told to refuse anything else.
    ReadOnly,
}

/// A connection to a server.
pub(super) trait ServerSession: Session + Send {
    /// Whether it can be used for something else.
    fn is_sound(&self) -> bool;

    /// Whether the server answers.
    fn answers(&self) -> bool;

    /// What the server has of the tables that are wanted.
    fn catalogue(&self, wanted: &[&str]) -> Result<Catalogue, Fault>;

    /// What makes the server tell of changes, where it could and does not.
    fn telling_script(&self, layout: &Layout) -> Result<Option<String>, Fault>;

    /// Runs statements that make tables.
    fn create(&self, schema: &str) -> Result<(), Fault>;
}

/// How to open connections.
#[derive(Clone)]
struct Opening {
    place: ServerPlace,
    access: Access,
    patience: Patience,
    runtime: Handle,
}

/// A database on a server.
struct ServerStore {
    opening: Opening,
    place: String,
    layout: Arc<Layout>,
    sql: Statements,
    overlap: Duration,
    places: Semaphore,
    idle: Mutex<Vec<Box<dyn ServerSession>>>,
    hearing: Mutex<Option<Hearing>>,
}

/// Opens the register in a database.
pub(super) async fn open_server(
    place: &ServerPlace,
    mapping: &RegisterMapping,
    values: &MappedValues,
    access: Access,
) -> Result<SqlRegister, RegisterError> {
    let opening = Opening::new(place, mapping, access);
    let (mapping, values) = (mapping.clone(), values.clone());
    let open = move || ServerStore::open(opening, &mapping, &values);
    Ok(SqlRegister::new(on_a_thread(&place.to_string(), "-", open).await?))
}

/// Looks at the register in a database: what is missing, whether it can be written, what stands in it. Changes nothing.
pub(super) async fn examine_server(
    place: &ServerPlace,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<RegisterReport, RegisterError> {
    let opening = Opening::new(place, mapping, Access::ReadOnly);
    let (mapping, values) = (mapping.clone(), values.clone());
    on_a_thread(&place.to_string(), "-", move || {
        let session = opening.connect()?;
        let catalogue = session.catalogue(&tables_of(&mapping))?;
        let layout = match resolve(&mapping, &values, &catalogue, session.dialect()) {
            Ok(layout) => layout,
            Err(problems) => return Ok(unreadable(problems)),
        };
        let sql = Statements::new(session.dialect(), &layout);
        let overlap = Duration::try_from(mapping.overlap).unwrap_or_default();
        let (layout, sql) = (&layout, &sql);
        let writing = Opening { access: Access::ReadWrite, ..opening.clone() };
        let tried = writing
            .connect()
            .and_then(|session| try_to_write(&Link { session: session.as_ref(), layout, sql, overlap }));
        examine(&Link { session: session.as_ref(), layout, sql, overlap }, &mapping, &values, tried)
    })
    .await
}

/// What makes the server tell of changes, where it could and does not.
pub(super) async fn telling_script(
    place: &ServerPlace,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<Option<String>, RegisterError> {
    let opening = Opening::new(place, mapping, Access::ReadOnly);
    let (mapping, values) = (mapping.clone(), values.clone());
    let open = move || {
        ServerStore::open(opening, &mapping, &values)
            .and_then(|store| store.session()?.telling_script(&store.layout))
    };
    on_a_thread(&place.to_string(), "-", open).await
}

/// Creates the tables of the default mapping in a database that has none of them.
pub(super) async fn create_on_server(place: &ServerPlace) -> Result<(), RegisterError> {
    let opening = Opening::new(place, &RegisterMapping::default(), Access::ReadWrite);
    on_a_thread(&place.to_string(), "-", move || {
        let mapping = RegisterMapping::default();
        let session = opening.connect()?;
        let there = session.catalogue(&tables_of(&mapping))?;
        if let Some((table, _)) = there.tables.values().next() {
            let problem = format!("the table {:?} is there already; it was left alone", table.name);
            return Err(Fault::Mapping(problem));
        }
        match &opening.place.options {
            ServerOptions::Postgres(_) => {
                let telling = script(&["registrations", "registration_interests"]);
                session.create(&[include_str!("postgres/schema.sql"), &telling].concat())
            }
            ServerOptions::Mysql(_) => session.create(include_str!("mysql/schema.sql")),
        }
    })
    .await
}

impl Opening {
    fn new(place: &ServerPlace, mapping: &RegisterMapping, access: Access) -> Self {
        let (place, patience) = (place.clone(), Patience::of(mapping));
        Self { place, access, patience, runtime: Handle::current() }
    }

    fn connect(&self) -> Result<Box<dyn ServerSession>, Fault> {
        let waiting = Waiting::new(self.runtime.clone(), self.patience);
        Ok(match &self.place.options {
            ServerOptions::Postgres(options) => {
                Box::new(PostgresSession::connect(options, waiting, self.access)?)
            }
            ServerOptions::Mysql(options) => Box::new(MysqlSession::connect(options, waiting, self.access)?),
        })
    }
}

impl ServerStore {
    fn open(opening: Opening, mapping: &RegisterMapping, values: &MappedValues) -> Result<Self, Fault> {
        let session = opening.connect()?;
        let catalogue = session.catalogue(&tables_of(mapping))?;
        let layout = resolve(mapping, values, &catalogue, session.dialect()).map_err(|problems| {
            Fault::Mapping(errors_in_one(&problems).unwrap_or_else(|| "the mapping is wrong".to_owned()))
        })?;
        Ok(Self {
            place: opening.place.to_string(),
            sql: Statements::new(session.dialect(), &layout),
            layout: Arc::new(layout),
            overlap: Duration::try_from(mapping.overlap).unwrap_or_default(),
            places: Semaphore::new(CONNECTIONS),
            idle: Mutex::new(vec![session]),
            hearing: Mutex::default(),
            opening,
        })
    }

    /// A connection that answers: one that is idle, or a new one.
    fn session(&self) -> Result<Box<dyn ServerSession>, Fault> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(session) if session.answers() => return Ok(session),
                // It was cut while it was idle, as a restart does to all of them.
                Some(_) => (),
                None => return self.opening.connect(),
            }
        }
    }
}

impl Store for ServerStore {
    fn place(&self) -> &str {
        &self.place
    }

    fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout)
    }

    fn identity(&self) -> Result<String, Fault> {
        Ok(format!("{}#{}", self.place, self.layout.table.name))
    }

    fn was_changed(&self) -> Result<bool, Fault> {
        let Opening { place, patience, runtime, .. } = &self.opening;
        let ServerOptions::Postgres(options) = &place.options else { return Ok(false) };
        let mut hearing = self.hearing.lock().unwrap_or_else(PoisonError::into_inner);
        let hearing = hearing.get_or_insert_with(|| Hearing::begin(options, patience.connect, runtime));
        Ok(hearing.was_heard())
    }

    fn link(&self, work: &mut Work<'_>) -> Result<(), Fault> {
        let Opening { runtime, patience, .. } = &self.opening;
        let place =
            runtime.block_on(async { tokio::time::timeout(patience.connect, self.places.acquire()).await });
        let Ok(Ok(_place)) = place else {
            return Err(Fault::Away(Box::from("all connections to it are in use")));
        };
        let session = self.session()?;
        let (layout, sql, overlap) = (&self.layout, &self.sql, self.overlap);
        let done = work(&Link { session: session.as_ref(), layout, sql, overlap });
        if session.is_sound() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        done
    }
}
