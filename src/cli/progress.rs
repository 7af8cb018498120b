//! A bar for long work, on a terminal and nowhere else.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;

use crate::progress::{Phase, Progress};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// A progress bar on standard error.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar that is hidden where standard error is no terminal.
    pub(super) fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg:22} {wide_bar} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn update(&self, progress: Progress) {
        self.0.set_message(words(progress.phase));
        self.0.set_length(progress.total.max(progress.done));
        self.0.set_position(progress.done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "starting",
        Phase::Queued => "after another cycle",
        Phase::ReadingRegister => "reading the register",
        Phase::ReadingAudience => "reading the audience",
        Phase::Reconciling => "deciding",
        Phase::Applying => "writing",
    }
}

/// Runs `work` and shows how far it has come.
pub(super) async fn show<T>(
    bar: &Bar,
    progress: &watch::Sender<Progress>,
    work: impl Future<Output = T>,
) -> T {
    let mut changes = progress.subscribe();
    let mut work = std::pin::pin!(work);
    if let Ok(result) = tokio::time::timeout(PATIENCE, &mut work).await {
        return result;
    }
    loop {
        tokio::select! {
            result = &mut work => return result,
            changed = changes.changed() => {
                if changed.is_err() {
                    return work.await;
                }
                let now = *changes.borrow_and_update();
                bar.update(now);
            }
        }
    }
}
