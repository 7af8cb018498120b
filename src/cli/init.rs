//! `rosterd init`: a commented configuration and an empty register, ready to `check`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::cli::InitArgs;
use crate::cli::exit::{Ending, Fault};
use crate::cli::output::say;
use crate::config::{LOCAL_PATH, TEMPLATE};
use crate::registrations::create_register;

/// The register that the template's `[registrations] url` names.
const REGISTER: &str = "registrations.db";

/// Writes both files, or neither: nothing that is there is overwritten.
pub(super) async fn run(args: &InitArgs) -> Result<Ending, Fault> {
    let directory = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let (config, register) = (directory.join(LOCAL_PATH), directory.join(REGISTER));
    // What stands there may be a link that leads nowhere: it is in the way all the same.
    if let Some(there) = [&config, &register].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        let problem =
            format!("{} is there already; nothing was written, name another directory", there.display());
        return Err(Fault::usage(anyhow!(problem)));
    }
    create_directory(&directory)?;
    write_configuration(&config)?;
    if let Err(error) = create_register(&register).await {
        // Nothing half-done stays behind; that it cannot be removed changes nothing about the answer.
        let _ = std::fs::remove_file(&config);
        return Err(Fault::failed(error));
    }
    say(&format!("Wrote {}, every key with what it means.", config.display()))?;
    say(&format!("Wrote {}, an empty register.", register.display()))?;
    say("")?;
    say("Next: put the audience's id into the configuration and the API key into the environment, then")?;
    let named = format!("rosterd --config {}", config.display());
    say("  export MAILCHIMP_API_KEY=…")?;
    say(&format!("  {named} check      names every mistake"))?;
    say(&format!("  {named} provision  creates in Mailchimp what is missing"))?;
    say(&format!("  {named} plan       shows what would be done"))?;
    say(&format!("  {named} run        does it, until it is told to stop"))?;
    say("To rehearse without Mailchimp: rosterd sandbox")?;
    Ok(Ending::Done)
}

fn create_directory(directory: &Path) -> Result<(), Fault> {
    std::fs::create_dir_all(directory).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                "a file is in the way; name a directory, or a place for a new one"
            }
            _ => "name one that you may write to",
        };
        let context = format!("cannot create the directory {}: {advice}", directory.display());
        Fault::usage(anyhow!(error).context(context))
    })
}

fn write_configuration(path: &Path) -> Result<(), Fault> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
        .and_then(|mut file| file.write_all(TEMPLATE.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| Fault::failed(anyhow!(error).context(format!("cannot write {}", path.display()))))
}
