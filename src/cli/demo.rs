//! `rosterd demo`: a register and an audience meet, part, and agree again.

mod show;
mod stage;
mod story;

use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::cli::exit::{Ending, Fault};
use crate::cli::output::say;
use crate::control;
use crate::cycle::Cycle;
use crate::daemon::{self, Signals, Surroundings};
use crate::worker::{LOOK_EVERY, Rhythm};

use stage::Stage;

/// Something to try on the register while the daemon runs.
const TRY: &str = include_str!("../../fixtures/lpsa/story/tries.sql");

/// Tells the story; with `--serve` the daemon and the sandbox go on afterwards.
pub(super) async fn run(args: &DemoArgs) -> Result<Ending, Fault> {
    let directory = tempfile::Builder::new().prefix("rosterd-demo-").tempdir().map_err(Fault::failed)?;
    let stop = CancellationToken::new();
    let stage = stage::build(directory.path(), stop.clone()).await?;
    story::tell(&stage).await?;
    if args.serve {
        serve(&stage).await?;
    }
    stop.cancel();
    Ok(Ending::Done)
}

async fn serve(stage: &Stage) -> Result<(), Fault> {
    let config = stage.config.display();
    say("")?;
    say("The daemon and the sandbox keep running; Ctrl-C ends both. Try, elsewhere:")?;
    say(&format!("  export ROSTERD_CONFIG={config}"))?;
    say("  rosterd status")?;
    say("  rosterd sync --full")?;
    say("  rosterd member show w.odhiambo@lakeside-counties.test")?;
    say("  rosterd groups")?;
    say("Somebody leaves by the link in a newsletter:")?;
    let control = stage.base_url.trim_end_matches("/3.0");
    say("  curl -d '{\"act\":\"unsubscribe\",\"email\":\"d.whitlock@statecities.test\"}' \\")?;
    say(&format!("    {control}/_sandbox/person"))?;
    say("Somebody edits their registration:")?;
    say(&format!("  sqlite3 {} \\", stage.register.display()))?;
    say(&format!("    \"{}\"", TRY.trim()))?;
    let rhythm = Rhythm {
        interval: std::time::Duration::from_secs(2),
        full_interval: std::time::Duration::from_hours(24),
        beat: std::time::Duration::from_secs(2),
        look: Some(LOOK_EVERY),
    };
    let mut signals = Signals::listen().map_err(Fault::failed)?;
    let mut surroundings = Surroundings::default();
    let desk = surroundings.desk.clone();
    let cycle = Cycle { progress: desk.progress().clone(), ..stage.cycle.clone() };
    let control = control::serve(cycle.state.clone(), desk, cycle.clock.clone()).map_err(Fault::failed)?;
    daemon::run(&cycle, rhythm, &mut surroundings, &mut signals).await;
    control.close().await;
    Ok(())
}
