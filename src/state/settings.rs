//! Single values: identities, cursors, the pause, the audience's schema, policy numbers.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::state::State;
use crate::state::error::{Fault, StateError};
use crate::state::text::{from_json_or_none, json, moment, moment_or_none, stamp};

/// Whose identity the state remembers, so that it serves no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdentityKind {
    /// The registration store.
    Register,
    /// The Mailchimp audience.
    Audience,
}

impl IdentityKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Audience => "audience",
        }
    }
}

/// Whether anything is written to either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    /// Writes are made.
    Running,
    /// None are, since this time.
    Paused(Timestamp),
}

/// Stands for one policy and one schema of the audience; positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyNumber(pub i64);

impl State {
    /// Serves this register or audience and, from the first time on, no other.
    ///
    /// # Errors
    ///
    /// [`StateError::OtherIdentity`] where the state belongs to another.
    pub async fn claim(&self, kind: IdentityKind, given: String) -> Result<(), StateError> {
        self.write(move |tx| {
            let key = identity_key(kind);
            match get(tx, &key)? {
                None => set(tx, &key, &given),
                Some(ours) if ours == given => Ok(()),
                Some(ours) => Err(StateError::OtherIdentity { kind: kind.as_str(), ours, given }.into()),
            }
        })
        .await
    }

    /// The same question for whoever only looks: nothing is written, and a state that serves nobody yet suits anybody.
    ///
    /// # Errors
    ///
    /// [`StateError::OtherIdentity`] where the state belongs to another.
    pub async fn refuse_others(&self, kind: IdentityKind, given: String) -> Result<(), StateError> {
        self.call(move |connection| match get(connection, &identity_key(kind))? {
            Some(ours) if ours != given => {
                Err(StateError::OtherIdentity { kind: kind.as_str(), ours, given }.into())
            }
            Some(_) | None => Ok(()),
        })
        .await
    }

    /// The number of the policy with this fingerprint: always the same, another one for every other fingerprint.
    ///
    /// A new policy leaves everybody unsettled without touching anybody.
    pub async fn policy_number(&self, fingerprint: String) -> Result<PolicyNumber, StateError> {
        self.write(move |tx| {
            tx.prepare_cached("INSERT OR IGNORE INTO policies (fingerprint) VALUES (?1)")?
                .execute([&fingerprint])?;
            let number = tx
                .prepare_cached("SELECT number FROM policies WHERE fingerprint = ?1")?
                .query_row([&fingerprint], |row| row.get(0))?;
            Ok(PolicyNumber(number))
        })
        .await
    }

    /// How far the changes named so have been read.
    pub async fn cursor(&self, name: &'static str) -> Result<Option<String>, StateError> {
        self.call(move |connection| {
            let value = connection
                .prepare_cached("SELECT value FROM cursors WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()?;
            Ok(value)
        })
        .await
    }

    /// Moves a cursor; what lies before it must have been put by now.
    pub async fn set_cursor(
        &self,
        name: &'static str,
        value: String,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.set_cursors([(name, value)], now).await
    }

    /// Moves several at once.
    pub async fn set_cursors<const N: usize>(
        &self,
        cursors: [(&'static str, String); N],
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(move |tx| {
            let mut statement = tx.prepare_cached(
                "INSERT INTO cursors (name, value, moved_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, moved_at = excluded.moved_at",
            )?;
            for (name, value) in cursors {
                statement.execute(params![name, value, stamp(now)])?;
            }
            Ok(())
        })
        .await
    }

    /// Every cursor: its name, where it stands and when it moved there, by name.
    pub async fn cursors(&self) -> Result<Vec<(String, String, Timestamp)>, StateError> {
        self.call(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT name, value, moved_at FROM cursors ORDER BY name")?;
            let mut rows = statement.query([])?;
            let mut cursors = Vec::new();
            while let Some(row) = rows.next()? {
                cursors.push((row.get(0)?, row.get(1)?, moment(&row.get::<_, String>(2)?)?));
            }
            Ok(cursors)
        })
        .await
    }

    /// Whether anything is written to either side.
    pub async fn paused(&self) -> Result<Pause, StateError> {
        Ok(self.time("paused_at").await?.map_or(Pause::Running, Pause::Paused))
    }

    /// Pauses the writes, or lets them be made again; survives restarts.
    pub async fn set_paused(&self, pause: Pause) -> Result<(), StateError> {
        match pause {
            Pause::Paused(since) => self.set_time("paused_at", since).await,
            Pause::Running => {
                self.write(|tx| {
                    tx.execute("DELETE FROM meta WHERE key = 'paused_at'", [])?;
                    Ok(())
                })
                .await
            }
        }
    }

    /// Why no cycle can work until somebody mends something, as the last cycle found; `None` where it could.
    pub async fn fatal(&self) -> Result<Option<String>, StateError> {
        self.call(|connection| get(connection, "fatal")).await
    }

    /// Notes why no cycle can work, or that cycles work again.
    pub async fn set_fatal(&self, said: Option<String>) -> Result<(), StateError> {
        self.write(move |tx| match said {
            Some(said) => set(tx, "fatal", &said),
            None => {
                tx.execute("DELETE FROM meta WHERE key = 'fatal'", [])?;
                Ok(())
            }
        })
        .await
    }

    /// When both sides were first joined and approved; `None` before.
    pub async fn adopted_at(&self) -> Result<Option<Timestamp>, StateError> {
        self.time("adopted_at").await
    }

    /// The first adoption is over.
    pub async fn set_adopted_at(&self, now: Timestamp) -> Result<(), StateError> {
        self.set_time("adopted_at", now).await
    }

    /// When a full observation, archived contacts included, was last finished in this file's life.
    pub async fn full_observed_at(&self) -> Result<Option<Timestamp>, StateError> {
        self.time("full_observed_at").await
    }

    /// A full observation, archived contacts included, is finished.
    pub async fn set_full_observed_at(&self, now: Timestamp) -> Result<(), StateError> {
        self.set_time("full_observed_at", now).await
    }

    /// The audience's own schema as last read.
    pub async fn schema<T: DeserializeOwned + Send + 'static>(&self) -> Result<Option<T>, StateError> {
        self.call(|connection| from_json_or_none(get(connection, "schema")?)).await
    }

    /// Remembers the audience's own schema.
    pub async fn set_schema<T: Serialize + Send + 'static>(&self, schema: T) -> Result<(), StateError> {
        self.write(move |tx| set(tx, "schema", &json(&schema)?)).await
    }

    async fn time(&self, key: &'static str) -> Result<Option<Timestamp>, StateError> {
        self.call(move |connection| moment_or_none(get(connection, key)?)).await
    }

    async fn set_time(&self, key: &'static str, time: Timestamp) -> Result<(), StateError> {
        self.write(move |tx| set(tx, key, &stamp(time))).await
    }
}

fn identity_key(kind: IdentityKind) -> String {
    format!("{}_identity", kind.as_str())
}

/// A single value.
pub(crate) fn get(connection: &Connection, key: &str) -> Result<Option<String>, Fault> {
    let value = connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(value)
}

pub(crate) fn unset(tx: &Transaction<'_>, key: &str) -> Result<(), Fault> {
    tx.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
    Ok(())
}

pub(crate) fn set(tx: &Transaction<'_>, key: &str, value: &str) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![key, value])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sample::{later, now, open, reopen};

    #[tokio::test]
    async fn a_state_serves_one_register_and_one_audience() {
        let (directory, state) = open().await;
        for kind in [IdentityKind::Register, IdentityKind::Audience] {
            state.refuse_others(kind, "anybody's".to_owned()).await.unwrap();
            state.claim(kind, "ours".to_owned()).await.unwrap();
            state.claim(kind, "ours".to_owned()).await.unwrap();
            state.refuse_others(kind, "ours".to_owned()).await.unwrap();
            assert!(state.refuse_others(kind, "another".to_owned()).await.is_err());
        }
        drop(state);
        let state = reopen(&directory).await;
        let error = state.claim(IdentityKind::Audience, "another".to_owned()).await.unwrap_err();
        assert!(matches!(&error, StateError::OtherIdentity { kind: "audience", .. }), "{error}");
        assert!(error.to_string().contains("ours") && error.to_string().contains("another"));
    }

    #[tokio::test]
    async fn single_values_survive_a_restart() {
        let (directory, state) = open().await;
        assert_eq!(state.paused().await.unwrap(), Pause::Running);
        assert_eq!(state.cursor("local").await.unwrap(), None);
        assert_eq!(state.schema::<Vec<String>>().await.unwrap(), None);
        state.set_paused(Pause::Paused(now())).await.unwrap();
        state.set_cursor("local", "1".to_owned(), now()).await.unwrap();
        state.set_cursor("local", "2".to_owned(), later(1)).await.unwrap();
        state.set_schema(vec!["Topics".to_owned()]).await.unwrap();
        state.set_adopted_at(now()).await.unwrap();
        state.set_full_observed_at(later(2)).await.unwrap();
        drop(state);
        let state = reopen(&directory).await;
        assert_eq!(state.paused().await.unwrap(), Pause::Paused(now()));
        assert_eq!(state.cursor("local").await.unwrap().as_deref(), Some("2"));
        assert_eq!(state.cursors().await.unwrap(), [("local".to_owned(), "2".to_owned(), later(1))]);
        assert_eq!(state.schema().await.unwrap(), Some(vec!["Topics".to_owned()]));
        assert_eq!(state.adopted_at().await.unwrap(), Some(now()));
        assert_eq!(state.full_observed_at().await.unwrap(), Some(later(2)));
    }

    #[tokio::test]
    async fn what_stops_every_cycle_is_remembered_until_cycles_work_again() {
        let (directory, state) = open().await;
        assert_eq!(state.fatal().await.unwrap(), None);
        state.set_fatal(Some("the key is invalid".to_owned())).await.unwrap();
        drop(state);
        let state = reopen(&directory).await;
        assert_eq!(state.fatal().await.unwrap().as_deref(), Some("the key is invalid"));
        state.set_fatal(None).await.unwrap();
        assert_eq!(state.fatal().await.unwrap(), None);
    }
}
