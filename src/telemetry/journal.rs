//! The journal: JSON lines that begin with their priority, which it takes off again (`SyslogLevelPrefix=`, `sd-daemon(3)`).
//!
//! So `journalctl -p err` works on what is JSON for every other reader, and nothing speaks the journal's own protocol.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Whether standard error is the journal: `stream` is what the service manager says of the one that it made.
pub(super) fn is_stderr(stream: &str) -> bool {
    let standard_error = io::stderr().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    standard_error.is_ok_and(|found| stream == format!("{}:{}", found.dev(), found.ino()))
}

/// Writes what another format writes, with the priority before it.
pub(super) struct Prioritized<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Prioritized<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The priority of `syslog(3)`.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
