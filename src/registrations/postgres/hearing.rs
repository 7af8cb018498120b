//! What PostgreSQL tells of changes: triggers on the tables notify, one connection listens for as long as somebody asks.
//! <https://www.postgresql.org/docs/current/sql-notify.html>

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::registrations::catalogue::TableSort;
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::{InterestPlace, Layout};
use crate::registrations::link::Session;
use crate::registrations::query::Query;

/// What the triggers notify.
const CHANNEL: &str = "rosterd";
/// The name of the triggers and of their function.
const TRIGGER: &str = "rosterd_tell";
/// How the program's own connections are called, whose writes are no news to it.
pub(super) const OWN_NAME: &str = "rosterd";
/// Where nobody can listen, it is tried again after this long: polling goes on meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Somebody listens, until this is dropped.
pub(in crate::registrations) struct Hearing {
    heard: Arc<AtomicBool>,
    listening: AbortHandle,
}

impl Hearing {
    /// Begins to listen.
    pub(in crate::registrations) fn begin(
        options: &PgConnectOptions,
        patience: Duration,
        runtime: &Handle,
    ) -> Self {
        let heard = Arc::new(AtomicBool::new(false));
        let options = options.clone().application_name(OWN_NAME);
        let listening = runtime.spawn(listen(options, patience, Arc::clone(&heard))).abort_handle();
        Self { heard, listening }
    }

    /// Whether something was heard since this was last asked.
    pub(in crate::registrations) fn was_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(options: PgConnectOptions, patience: Duration, heard: Arc<AtomicBool>) {
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let pool = pool.acquire_timeout(patience).connect_lazy_with(options);
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            // What changed while nobody listened was told to nobody; so it is where a lost connection came back (`None`).
            heard.store(true, Ordering::Relaxed);
            while let Ok(Some(_) | None) = listener.try_recv().await {
                heard.store(true, Ordering::Relaxed);
            }
        }
        Clock::System.sleep(AGAIN_AFTER).await;
    }
}

/// The tables, by their quoted names, that could tell and do not: those that the website writes, where they are tables.
pub(super) fn silent<'l>(session: &dyn Session, layout: &'l Layout) -> Result<Vec<&'l str>, Fault> {
    let interests = match &layout.interests {
        InterestPlace::Rows { table, .. } => Some(table),
        _ => None,
    };
    let mut silent = Vec::new();
    for table in [&layout.table].into_iter().chain(interests) {
        if table.sort != TableSort::Table {
            continue;
        }
        let text = "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(";
        let query = Query::new(Dialect::Postgres, text).bind(Cell::owned(table.sql.clone()));
        let query = query.push(") AND tgname = ").bind(Cell::owned(TRIGGER)).push(")");
        let mut tells = false;
        session.each(&query, &mut |cells| {
            tells = cells.first().and_then(Cell::flag) == Some(true);
            Ok(())
        })?;
        if !tells {
            silent.push(table.sql.as_str());
        }
    }
    Ok(silent)
}

/// What makes these tables tell, for whoever owns them to run.
pub(in crate::registrations) fn script(tables: &[&str]) -> String {
    let mut script = format!(
        "CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('application_name') <> '{OWN_NAME}' THEN
    PERFORM pg_notify('{CHANNEL}', '');
  END IF;
  RETURN NULL;
END $$;
"
    );
    for table in tables {
        script += &format!(
            "CREATE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {}
  FOR EACH STATEMENT EXECUTE FUNCTION {TRIGGER}();
",
            table
        );
    }
    script
}
