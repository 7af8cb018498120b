//! Runs the real program and tells its output from its log.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rosterd::clock::Clock;

use crate::stage::Stage;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_rosterd");

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(180);

/// What whoever runs the program may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Everything.
    All,
    /// Read the files.
    Read,
}

/// What a command said.
pub(crate) struct Said {
    /// What is for people, with `|` for standard output and `!` for standard error.
    pub(crate) lines: Vec<String>,
    /// Standard output as it is.
    pub(crate) stdout: String,
    /// The exit code.
    pub(crate) exit: i32,
}

/// Runs `rosterd` with these words; `{class}` stands for the id of a hold of that class.
pub(crate) fn run(stage: &mut Stage, words: &str) -> Said {
    stage.before = Some(stage.snapshot());
    let holds = stage.holds();
    let words =
        holds.iter().fold(words.to_owned(), |words, (id, class)| words.replace(&format!("{{{class}}}"), id));
    let mut command = assert_cmd::Command::from_std(command(stage));
    let output = command.args(arguments(&words)).timeout(PATIENCE).output().unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    let (log, errors): (Vec<&str>, Vec<&str>) = stderr.lines().partition(|line| line.starts_with('{'));
    stage.log.extend(log.into_iter().map(str::to_owned));
    // What is for people names nobody either, but those whom the person at the keyboard named.
    let named = |line: &str| {
        words
            .split(' ')
            .filter(|word| word.contains('@'))
            .fold(line.to_owned(), |line, word| line.replace(word, "…"))
    };
    stage.asides.extend(errors.iter().map(|line| named(line)));
    let marked = |mark: char, line: &str| format!("{mark} {}", plain(stage, line)).trim_end().to_owned();
    let lines =
        stdout.lines().map(|line| marked('|', line)).chain(errors.iter().map(|line| marked('!', line)));
    Said { lines: lines.collect(), exit: output.status.code().unwrap_or(-1), stdout }
}

/// The program with its environment, by whoever runs it.
pub(crate) fn command(stage: &Stage) -> Command {
    let program = match stage.rights {
        Rights::Read if is_root() && can_be_nobody() => nobody(PROGRAM),
        Rights::All | Rights::Read => Command::new(PROGRAM),
    };
    command_as(stage, program)
}

/// A program, with the environment of ours.
pub(crate) fn command_as(stage: &Stage, mut command: Command) -> Command {
    command.args(["--log-format", "json"]);
    command.current_dir(stage.directory.path()).stdin(Stdio::null());
    command.env("ROSTERD_CONFIG", stage.path("rosterd.toml"));
    command.env("MAILCHIMP_API_KEY", stage.audience.sandbox.api_key());
    command.env("ROSTERD_LOG", "trace");
    command.env("REGISTER", stage.register.database.address());
    command
}

/// Gives the files to everybody to read and to nobody to write, or back.
#[expect(clippy::print_stdout, reason = "a test says what it skipped")]
pub(crate) fn grant(stage: &mut Stage, rights: Rights) {
    stage.rights = rights;
    let (of_folder, of_file) = match rights {
        Rights::All => (0o755, 0o644),
        Rights::Read => (0o555, 0o444),
    };
    let set = |path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for entry in std::fs::read_dir(stage.directory.path()).unwrap() {
        set(entry.unwrap().path(), of_file);
    }
    set(stage.directory.path().to_owned(), of_folder);
    if rights == Rights::Read && is_root() && !can_be_nobody() {
        println!(
            "skipped: root may write whatever the permissions say, and cannot become somebody else here"
        );
    }
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}

pub(crate) fn can_be_nobody() -> bool {
    nobody(PROGRAM).arg("--version").output().is_ok_and(|output| output.status.success())
}

pub(crate) fn nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
    command
}

/// Words between blanks, or between quotes.
fn arguments(words: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    for (n_quote, part) in words.split('"').enumerate() {
        match n_quote % 2 {
            0 => arguments.extend(part.split_whitespace().map(str::to_owned)),
            _ => arguments.push(part.to_owned()),
        }
    }
    assert_eq!(arguments.first().map(String::as_str), Some("rosterd"), "only rosterd is run");
    arguments.split_off(1)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// A line without what differs from one run to the next.
fn plain(stage: &Stage, line: &str) -> String {
    let folder = stage.directory.path().display().to_string();
    let mut line = line.replace(&folder, "{folder}").replace(&stage.address.to_string(), "{host}");
    line = line.replace(&format!("process {}", std::process::id()), "process {pid}");
    for (id, class) in stage.holds() {
        line = line.replace(&id, &format!("{{{class}}}"));
    }
    line = present(line);
    // A plan may show a hold that no cycle has made yet.
    if let Some((before, id)) = line.split_once("  [held ")
        && !id.starts_with('{')
    {
        line = format!("{before}  [held {{id}}]");
    }
    if line.starts_with("Cycle ") {
        // How much is read again, and how long it takes, depends on how fast the machine is.
        line = numbers(&line);
    }
    if let Some(at) = line.find("https://")
        && line[at..].contains("/profile?")
    {
        let end = line[at..].find([' ', ',', '"']).map_or(line.len(), |length| at + length);
        line.replace_range(at..end, "{link}");
    }
    line
}

/// A line with `{time}` for the times of the present: what the program dates by its own clock.
fn present(mut line: String) -> String {
    let today = Clock::System.now().to_string()[..10].to_owned();
    while let Some(at) = line.find(&today) {
        let rest = &line[at + today.len()..];
        let time =
            rest.strip_prefix([' ', 'T']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let length = time.map_or(0, |time| {
            1 + time.find(|c: char| !(c.is_ascii_digit() || ":.Z".contains(c))).unwrap_or(time.len())
        });
        line.replace_range(at..at + today.len() + length, "{time}");
    }
    match line.split_once(" s ago)").and_then(|(before, after)| Some((before.rsplit_once('(')?.0, after))) {
        Some((before, after)) => format!("{before}({{n}} s ago){after}"),
        None => line,
    }
}

/// A line with `{n}` for each of its numbers.
fn numbers(line: &str) -> String {
    let mut plain = String::new();
    for (n_char, c) in line.char_indices() {
        let inside = n_char > 0 && line[..n_char].ends_with(|c: char| c.is_ascii_digit());
        match c {
            _ if c.is_ascii_digit() && inside => {}
            '.' if inside && line[n_char + 1..].starts_with(|c: char| c.is_ascii_digit()) => {}
            _ if c.is_ascii_digit() && line[..n_char].ends_with('.') && plain.ends_with("{n}") => {}
            _ if c.is_ascii_digit() => plain.push_str("{n}"),
            _ => plain.push(c),
        }
    }
    plain
}
