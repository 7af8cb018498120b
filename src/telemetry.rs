//! What the program says while it works: sentences with fields, on standard error.
//!
//! No e-mail address, key or body is ever given to a log macro, so nothing has to be blacked out here: a member is
//! named by their subscriber hash, which `rosterd member show EMAIL` prints too. The hash is a pseudonym and not
//! anonymous (whoever has an address can compute it); treat logs as personal data. Three things keep it so:
//! `EmailAddress` shows its hash under `Debug`, secrets are types that show nothing, and `tests/tidy.rs` reads every
//! log macro of the source. The one way for an address into a line is [`address`], which gives it only where
//! `[privacy] log_addresses` asks for it.

pub mod field;
mod journal;
pub mod seldom;
pub mod tally;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::model::EmailAddress;

/// What is logged where nobody says otherwise.
pub const DEFAULT_FILTER: &str = "rosterd=info,warn";

/// Whether lines carry addresses; of the whole process, as the log is.
static ADDRESSES: AtomicBool = AtomicBool::new(false);

/// Whether lines about members carry their addresses from now on: what `[privacy] log_addresses` says.
pub fn log_addresses(wanted: bool) {
    ADDRESSES.store(wanted, Ordering::Relaxed);
}

/// An address for the field `member.address`, which is left out unless the configuration asks for it.
pub fn address(email: &EmailAddress) -> Option<&str> {
    ADDRESSES.load(Ordering::Relaxed).then(|| email.as_str())
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people, in colours where standard error is a terminal and `NO_COLOR` is not set.
    Pretty,
    /// A JSON object a line.
    Json,
    /// The same, with the priority before it, which the journal takes off again.
    Journal,
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one: wrong usage.
    #[error("\"{filter}\" is no log filter; write rosterd=debug or info,rosterd::mailchimp=trace")]
    Filter {
        /// What was given.
        filter: String,
        /// Where it goes wrong.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else logs in this process already.
    #[error("logging is set up already")]
    Started(#[source] tracing_subscriber::util::TryInitError),
}

impl LogFormat {
    /// For people on a terminal, JSON for whatever else reads standard error; `journal` is what the service manager
    /// says of the journal, as [`crate::config::journal_stream`] found it.
    pub fn for_stderr(journal: Option<&str>) -> Self {
        match journal {
            _ if io::stderr().is_terminal() => Self::Pretty,
            Some(stream) if journal::is_stderr(stream) => Self::Journal,
            Some(_) | None => Self::Json,
        }
    }

    /// The format of this name: `pretty` or `json`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Starts logging to standard error, once in a process; `filter` is what [`crate::config::log_filter`] found.
///
/// # Errors
///
/// The filter is wrong, or logging was started before.
pub fn start(format: LogFormat, filter: Option<&str>) -> Result<(), TelemetryError> {
    let colours = if io::stderr().is_terminal() { Colours::AsUsual } else { Colours::Off };
    let ready = subscriber(format, filter, colours, io::stderr)?;
    ready.try_init().map_err(TelemetryError::Started)
}

/// Whether lines for people have colours.
#[derive(Clone, Copy)]
enum Colours {
    /// Yes, unless `NO_COLOR` is set; `tracing-subscriber` looks at it.
    AsUsual,
    /// No.
    Off,
}

/// What `start` starts, writing wherever it is told to.
fn subscriber<W>(
    format: LogFormat,
    filter: Option<&str>,
    colours: Colours,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::try_new(filter);
    let parsed = parsed.map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let registry = tracing_subscriber::registry().with(parsed);
    Ok(match format {
        LogFormat::Pretty => Box::new(registry.with(people_layer(colours, writer))),
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().event_format(json()).fmt_fields(JsonFields::new());
            Box::new(registry.with(layer.with_writer(writer)))
        }
        LogFormat::Journal => {
            let format = journal::Prioritized(json());
            let layer = tracing_subscriber::fmt::layer().event_format(format).fmt_fields(JsonFields::new());
            Box::new(registry.with(layer.with_writer(writer)))
        }
    })
}

/// The format of lines for programs.
fn json() -> Format<Json> {
    Format::default().json().flatten_event(true).with_span_list(false)
}

/// The layer that writes for people.
fn people_layer<S, W>(colours: Colours, writer: W) -> impl tracing_subscriber::Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_target(false);
    let layer = match colours {
        Colours::AsUsual => layer,
        Colours::Off => layer.with_ansi(false),
    };
    layer.with_writer(writer)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is on paper after a line inside a cycle.
    fn written(format: LogFormat, filter: Option<&str>) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let subscriber = subscriber(format, filter, Colours::Off, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _cycle = tracing::info_span!("cycle", cycle.id = 7).entered();
            tracing::info!(member.hash = "0a1b", duration_ms = 12, "the member was updated");
            tracing::debug!("a detail");
        });
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_carry_the_sentence_its_fields_and_its_cycle() {
        let text = written(LogFormat::Json, None);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "the member was updated");
        assert_eq!(line[field::MEMBER_HASH], "0a1b");
        assert_eq!(line[field::DURATION_MS], 12);
        assert_eq!(line["span"][field::CYCLE_ID], 7);
    }

    #[test]
    fn lines_for_the_journal_begin_with_their_priority() {
        let text = written(LogFormat::Journal, Some("rosterd=debug"));
        let priorities: Vec<&str> = text.lines().map(|line| &line[..4]).collect();
        assert_eq!(priorities, ["<6>{", "<7>{"]);
        let line: serde_json::Value = serde_json::from_str(&text.lines().next().unwrap()[3..]).unwrap();
        assert_eq!(line["message"], "the member was updated");
        assert_eq!(line["span"][field::CYCLE_ID], 7);
    }

    #[test]
    fn pretty_lines_are_plain_text_without_colours() {
        let text = written(LogFormat::Pretty, None);
        assert!(text.contains("the member was updated member.hash=\"0a1b\" duration_ms=12"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_filter_says_what_is_logged() {
        assert_eq!(written(LogFormat::Json, Some("rosterd=debug")).lines().count(), 2);
        assert_eq!(written(LogFormat::Json, Some("warn")), "");
    }

    #[test]
    fn a_wrong_filter_is_refused_with_an_example() {
        let error = subscriber(LogFormat::Json, Some("rosterd=loud"), Colours::Off, io::sink).err().unwrap();
        assert!(error.to_string().starts_with("\"rosterd=loud\" is no log filter; write "), "{error}");
    }
}
