//! `rosterd init`: a commented configuration and an empty register, ready to `check`.

use std::fs::OpenOptions;
use std::io::Write;
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
    if let Some(there) = [&config, &register].into_iter().find(|path| path.exists()) {
        let problem =
            format!("{} is there already and was left alone; name an empty directory", there.display());
        return Err(Fault::usage(anyhow!(problem)));
    }
    std::fs::create_dir_all(&directory).map_err(|error| {
        Fault::failed(anyhow!(error).context(format!("cannot create {}", directory.display())))
    })?;
    create_register(&register).await.map_err(Fault::failed)?;
    if let Err(fault) = write_configuration(&config) {
        // Nothing half-done stays behind; that it cannot be removed changes nothing about the answer.
        let _ = std::fs::remove_file(&register);
        return Err(fault);
    }
    say(&format!("wrote {}    every key with what it means", config.display()))?;
    say(&format!("wrote {}  an empty register", register.display()))?;
    say("")?;
    say("Next: put in the audience and where the API key is, then")?;
    say(&format!("  rosterd --config {} check", config.display()))?;
    Ok(Ending::Done)
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
