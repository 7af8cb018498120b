//! `rosterd init`: a commented configuration and an empty register, ready to `check`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::cli::InitArgs;
use crate::cli::exit::{Ending, Fault};
use crate::cli::output::say;
use crate::cli::wiring::register_place;
use crate::config::{LOCAL_PATH, ProcessEnvironment, RegisterLocation, TEMPLATE};
use crate::registrations::{RegisterPlace, create};

/// The register that the template's `[registrations] url` names.
const REGISTER: &str = "registrations.db";

/// The line of the template that names it.
const PLACE: &str = "url = \"sqlite:registrations.db\"";

/// Writes both files, or neither: nothing that is there is overwritten.
pub(super) async fn run(args: &InitArgs) -> Result<Ending, Fault> {
    let directory = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let config = directory.join(LOCAL_PATH);
    let (line, place) = register(args, &directory)?;
    let own = if let RegisterPlace::Sqlite(path) = &place { Some(path) } else { None };
    // What stands there may be a link that leads nowhere: it is in the way all the same.
    if let Some(there) =
        [Some(&config), own].into_iter().flatten().find(|path| path.symlink_metadata().is_ok())
    {
        let problem =
            format!("{} is there already; nothing was written, name another directory", there.display());
        return Err(Fault::usage(anyhow!(problem)));
    }
    create_directory(&directory)?;
    write_configuration(&config, &TEMPLATE.replacen(PLACE, &line, 1))?;
    if let Err(error) = create(&place).await {
        // Nothing half-done stays behind; that it cannot be removed changes nothing about the answer.
        let _ = std::fs::remove_file(&config);
        return Err(Fault::of_register(error));
    }
    say(&format!("Wrote {}, every key with what it means.", config.display()))?;
    match &place {
        RegisterPlace::Sqlite(path) => say(&format!("Wrote {}, an empty register.", path.display()))?,
        RegisterPlace::Server(place) => say(&format!("Created the tables of an empty register in {place}."))?,
    }
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

/// Where the register is to be, and the line of the configuration that says so.
fn register(args: &InitArgs, directory: &Path) -> Result<(String, RegisterPlace), Fault> {
    let (key, value) = match (&args.register, &args.register_file, &args.register_env) {
        (Some(url), ..) => ("url", url.clone()),
        (None, Some(file), _) => {
            let file = std::path::absolute(file).map_err(Fault::usage)?;
            ("url_file", file.to_string_lossy().into_owned())
        }
        (None, None, Some(variable)) => ("url_env", variable.clone()),
        (None, None, None) => return Ok((PLACE.to_owned(), RegisterPlace::Sqlite(directory.join(REGISTER)))),
    };
    let line = format!("{key} = {}", toml::Value::String(value));
    match RegisterLocation::of_line(&line, &ProcessEnvironment).map_err(Fault::usage)? {
        RegisterLocation::Sqlite(_) => {
            let problem = "name a server's address; without one, `init` makes a register in a file";
            Err(Fault::usage(anyhow!(problem)))
        }
        location @ (RegisterLocation::Postgres(_) | RegisterLocation::Mysql(_)) => {
            Ok((line, register_place(&location)?))
        }
    }
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

fn write_configuration(path: &Path, text: &str) -> Result<(), Fault> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| Fault::failed(anyhow!(error).context(format!("cannot write {}", path.display()))))
}
