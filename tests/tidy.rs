//! Rules about the source tree itself, run with every `cargo test`: each says what it protects when it fails.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules from the bottom up: a module may use only the rows above its own, and siblings do not know each other.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["reconcile"],
    &["config", "clock", "telemetry", "progress", "aside"],
    &["registrations", "mailchimp", "state"],
    &["observe", "apply", "intake"],
    &["cycle"],
    &["worker"],
    &["web", "control"],
    &["daemon"],
    &["sandbox"],
    &["cli"],
];
/// Modules that may use less than their layer allows.
const NARROW: &[(&str, &[&str])] = &[("sandbox", &["clock", "model", "mailchimp"])];
const PURE: &[&str] = &["model", "reconcile"];
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "std::fs",
    "std::env",
    "std::net",
    "std::thread",
    "::now(",
    "rand::",
    "tokio::",
    "rusqlite::",
    "sqlx::",
    "reqwest::",
    "tracing::",
];
/// `Timestamp` and spans are values; everything else that is asked for the present asks `clock`.
const TIME_OF_THE_MACHINE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "tokio::time::sleep(",
    "thread::sleep",
];
const LOG_MACROS: &[&str] = &["trace!(", "debug!(", "info!(", "warn!(", "error!(", "span!(", "event!("];
/// Names that hold an address as text; in a log they stand for somebody's identity. Their `hash()` does not.
const ADDRESSES: &[&str] = &["email", "emails", "address", "addresses"];
const STATEMENTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO",
    "INSERT OR",
    "UPDATE ",
    "DELETE FROM",
    "CREATE TABLE",
    "ALTER TABLE",
    "PRAGMA ",
];
const FORBIDDEN_IN_NAMES: &[&str] = &[
    "helper",
    "util",
    "utils",
    "common",
    "misc",
    "manager",
    "handler",
    "processor",
    "service",
    "engine",
    "info",
    "data",
    "wrapper",
];
/// Terms of Mailchimp's own that hold such a word.
const TERMS: &[&str] = &["data_centre"];
const MAX_LINES: usize = 500;

struct Source {
    /// The top-level module; `main`, `lib`, or empty for a test.
    module: String,
    /// The path from the crate's root.
    path: String,
    text: String,
}

impl Source {
    /// The lines of code with their numbers: no comments, and nothing from the in-file tests on.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        let kept = if is_test { 0 } else { usize::MAX };
        let lines = self.text.lines().map(str::trim).enumerate().take(kept);
        let before_tests = lines.take_while(|(_, line)| *line != "mod tests {");
        before_tests.filter(|(_, line)| !line.starts_with("//")).map(|(at, line)| (at + 1, line))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut pending = vec![directory.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let read = |path: PathBuf| {
        let top = path.strip_prefix(&src).unwrap().iter().next().unwrap();
        let module = top.to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        Source { module, path, text }
    };
    let sources: Vec<Source> = rust_files(&src).into_iter().map(read).collect();
    assert!(sources.len() > 10, "the source tree was not found");
    sources
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

/// Fails where `word` stands in the code of a source that `allowed` does not name.
#[track_caller]
fn only_in(words: &[&str], allowed: impl Fn(&Source) -> bool, rule: &str) {
    for source in sources().iter().filter(|source| !allowed(source)) {
        for (number, line) in source.code() {
            for word in words {
                assert!(!line.contains(word), "{}:{number}: `{word}`: {rule}", source.path);
            }
        }
    }
}

#[test]
fn every_module_has_a_layer() {
    for source in sources() {
        let known = matches!(source.module.as_str(), "main" | "lib") || layer(&source.module).is_some();
        assert!(known, "{}: add `{}` to LAYERS", source.path, source.module);
    }
}

#[test]
fn imports_point_downwards() {
    for source in sources() {
        let Some(own) = layer(&source.module) else { continue };
        let narrow = NARROW.iter().find(|(module, _)| *module == source.module).map(|(_, allowed)| *allowed);
        for (number, line) in source.text.lines().enumerate() {
            if line.trim().starts_with("//") {
                continue;
            }
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let below = layer(used).is_some_and(|other| other < own);
                let allowed = narrow.is_none_or(|allowed| allowed.contains(&used));
                assert!(
                    used == source.module || (below && allowed),
                    "{}:{}: `{}` may not use `{used}`",
                    source.path,
                    number + 1,
                    source.module
                );
            }
        }
    }
}

#[test]
fn imports_are_written_one_way() {
    for Source { path, text, .. } in sources() {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            assert!(!line.contains("crate::{"), "{path}: one module per `use`: {line}");
            let up = line.contains("super::") && line != "use super::*;";
            assert!(!up, "{path}: `crate::`, not `super::`: {line}");
        }
        assert!(!path.ends_with("/mod.rs"), "{path}: foo.rs and foo/, not foo/mod.rs");
    }
}

#[test]
fn the_core_is_pure() {
    only_in(IMPURE, |source| !PURE.contains(&source.module.as_str()), "the core decides and does nothing");
}

#[test]
fn time_comes_from_the_clock() {
    // What the sandbox does on the wire (it answers late, it holds a connection) takes real time by its nature.
    let allowed = |source: &Source| source.module == "clock" || source.path == "src/sandbox/http.rs";
    only_in(TIME_OF_THE_MACHINE, allowed, "take the time from `Clock`, so that tests can set it");
}

#[test]
fn variables_are_read_by_the_configuration() {
    let words = ["env::var", "env::vars", "env::set_var"];
    only_in(&words, |source| source.module == "config", "environment variables are read in `config` only");
}

#[test]
fn anyhow_stays_at_the_top() {
    let rule = "below the command line, errors are enums that say what is done about them";
    only_in(&["anyhow"], |source| matches!(source.module.as_str(), "main" | "cli"), rule);
}

#[test]
fn backoff_can_be_replaced_in_an_hour() {
    let rule = "the crate is no longer maintained: one file knows it";
    only_in(&["backoff::"], |source| source.path == "src/mailchimp/retry.rs", rule);
}

#[test]
fn sql_stands_with_the_stores() {
    let stores = |source: &Source| matches!(source.module.as_str(), "registrations" | "state");
    only_in(STATEMENTS, stores, "SQL stands in `registrations` and `state` only");
    only_in(&["rusqlite"], stores, "only `registrations` and `state` speak to SQLite");
}

#[test]
fn logs_never_show_an_address() {
    for source in sources() {
        let lines: Vec<(usize, &str)> = source.code().collect();
        for (at, (number, line)) in lines.iter().enumerate() {
            if LOG_MACROS.iter().any(|name| line.contains(name)) {
                let shown = shown_address(&call_at(&lines[at..]));
                assert_eq!(shown, None, "{}:{number}: log `member.hash`, not the address", source.path);
            }
        }
    }
}

/// The names of the fields that a log call gives: `name = value`, `%name`, `?name`, `name`.
fn fields_of(call: &str) -> Vec<String> {
    let arguments = call.split_once("!(").map_or("", |(_, rest)| rest);
    let code: String = arguments.split('"').step_by(2).collect::<Vec<_>>().join("\"");
    let name_of = |part: &str| {
        let part = part.trim().trim_end_matches([')', ';', ' ']);
        let name = part.split_once(" = ").map_or(part, |(name, _)| name).trim_start_matches(['%', '?']);
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c));
        plain.then(|| name.to_owned())
    };
    code.split(',').filter_map(name_of).collect()
}

/// The sentence of a log call: its last text.
fn sentence_of(call: &str) -> Option<String> {
    call.split('"').skip(1).step_by(2).last().map(str::to_owned)
}

#[test]
fn the_log_speaks_the_vocabulary_that_is_documented() {
    let page = fs::read_to_string(root().join("docs/log.md")).unwrap();
    let (mut fields, mut complaints) = (BTreeSet::new(), BTreeSet::new());
    for source in sources() {
        let lines: Vec<(usize, &str)> = source.code().collect();
        for (at, (_, line)) in lines.iter().enumerate() {
            let Some(macro_name) = LOG_MACROS.iter().find(|name| line.contains(&format!("tracing::{name}")))
            else {
                continue;
            };
            let call = call_at(&lines[at..]);
            fields.extend(fields_of(&call).into_iter().map(|field| format!("| `{field}` |")));
            let sentence = sentence_of(&call).filter(|sentence| !sentence.starts_with('{'));
            if let (Some(level), Some(sentence)) = (macro_name.strip_suffix("!("), sentence)
                && matches!(level, "warn" | "error")
            {
                complaints.insert(format!("| {level} | {sentence} |"));
            }
        }
    }
    for row in fields.iter().chain(&complaints) {
        assert!(page.contains(row.as_str()), "docs/log.md: add a row that begins with: {row}");
    }
    let documented = page.lines().filter(|line| {
        line.starts_with("| `") || line.starts_with("| warn | ") || line.starts_with("| error | ")
    });
    for line in documented.filter(|line| line.matches(" | ").count() == 2 || line.starts_with("| `")) {
        let known = fields.iter().chain(&complaints).any(|row| line.starts_with(row.as_str()));
        assert!(known, "docs/log.md: nothing in the source says this any more: {line}");
    }
}

/// The text of the call that begins on the first of these lines: up to the line that closes its parentheses.
fn call_at(lines: &[(usize, &str)]) -> String {
    let mut call = String::new();
    for (_, line) in lines {
        call.push_str(line);
        call.push(' ');
        let code: String = call.split('"').step_by(2).collect();
        if code.matches('(').count() <= code.matches(')').count() {
            break;
        }
    }
    call
}

/// A name in a log call that stands for an address and is not asked for its hash. `telemetry::address` is fine: it gives
/// one only where the configuration asks for it.
fn shown_address(call: &str) -> Option<String> {
    let call = &without_the_asked_for(call);
    let inline = call.split('{').skip(1).filter_map(|part| part.split(['}', ':']).next());
    let sentence_free: String = call.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = sentence_free.split(|c: char| !c.is_alphanumeric() && !"_.()".contains(c));
    let is_address = |word: &str| {
        let last =
            word.rsplit('.').find(|part| !matches!(*part, "as_str()" | "to_string()" | "key()" | "clone()"));
        last.is_some_and(|name| ADDRESSES.contains(&name.trim_matches(['(', ')'])))
    };
    inline.chain(words).find(|word| is_address(word)).map(str::to_owned)
}

/// A call without `member.address = telemetry::address(…)`.
fn without_the_asked_for(call: &str) -> String {
    let Some((before, after)) = call.split_once("member.address = telemetry::address(") else {
        return call.to_owned();
    };
    let rest = after.split_once(')').map_or("", |(_, rest)| rest);
    format!("{before}{rest}")
}

#[test]
fn the_rule_about_addresses_sees_what_it_must() {
    let lines = [
        (1, "info!("),
        (2, "member.hash = %email.hash(),"),
        (3, "\"left (or not\", %email"),
        (4, ");"),
        (5, "x"),
    ];
    assert_eq!(shown_address(&call_at(&lines)).as_deref(), Some("email"));
    assert!(!call_at(&lines).contains('x'));
    let shown = [
        r#"info!(%email, "created");"#,
        r#"info!(member = %registration.email, "created");"#,
        r#"warn!("refused {email}");"#,
        r#"warn!(who = contact.email.as_str(), "refused");"#,
        r#"debug!("{}", member.address);"#,
        r#"debug!(member.address = email.as_str(), "left");"#,
        r#"debug!(member.address = telemetry::address(&a), who = %email, "left");"#,
    ];
    for call in shown {
        assert!(shown_address(call).is_some(), "{call}");
    }
    let clean = [
        r#"info!(member.hash = %email.hash(), "created");"#,
        r#"info!(member.address = telemetry::address(&staged.email), "created");"#,
        r#"info!(listen = %listen, "the address is taken");"#,
        r#"warn!(member.hash = %contact.email.hash(), "the email was refused");"#,
    ];
    for call in clean {
        assert_eq!(shown_address(call), None, "{call}");
    }
}

#[test]
fn names_say_what_a_thing_is() {
    let declares = ["struct ", "enum ", "trait ", "mod ", "fn ", "type "];
    for source in sources() {
        for (number, line) in source.code() {
            let code = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let Some(rest) = declares.iter().find_map(|word| code.strip_prefix(word)) else { continue };
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            for part in words_of(&TERMS.iter().fold(name.to_owned(), |name, term| name.replace(term, ""))) {
                let forbidden = FORBIDDEN_IN_NAMES.contains(&part.as_str());
                assert!(!forbidden, "{}:{number}: `{name}`: find a name without `{part}`", source.path);
            }
        }
    }
}

/// The words of `a_name` or `AName`, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let everywhere = ["src", "tests", "benches", "examples", "fuzz/src", "fuzz/fuzz_targets"]
        .map(|directory| rust_files(&root().join(directory)));
    for path in everywhere.into_iter().flatten() {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.display();
        assert!(text.starts_with("//!"), "{path}: begin with `//!`");
        let n_lines = text.lines().count();
        assert!(n_lines <= MAX_LINES, "{path}: {n_lines} lines, at most {MAX_LINES}");
    }
}

#[test]
fn one_audience_and_several_run_under_the_same_unit() {
    let settings = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join("config").join(name)).unwrap();
        let told = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        told.map(str::to_owned).collect()
    };
    let names =
        [(" (%i)", ""), ("/rosterd/%i.toml", "/rosterd/rosterd.toml"), (" rosterd/%i", ""), ("/%i/", "/")];
    let several = settings("rosterd@.service").into_iter();
    let several = several.map(|line| names.iter().fold(line, |line, (many, one)| line.replace(many, one)));
    assert_eq!(settings("rosterd.service"), several.collect::<Vec<_>>(), "they differ in more than names");
}

#[test]
fn no_number_of_restarts_makes_a_unit_give_up() {
    let unit = fs::read_to_string(root().join("config/rosterd.service")).unwrap();
    let setting = |name: &str| -> u32 {
        let value = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
        let number: u32 = value.trim_end_matches(char::is_alphabetic).parse().unwrap();
        if value.ends_with("min") { number * 60 } else { number }
    };
    let starts = setting("StartLimitIntervalSec") / setting("RestartSec");
    assert!(starts < setting("StartLimitBurst"), "{starts} starts, and it is given up");
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
    for Source { path, text, .. } in sources() {
        for (number, line) in text.lines().enumerate() {
            let left = words.iter().find(|word| line.contains(**word));
            assert!(left.is_none(), "{path}:{}: finish it or leave it out: {line}", number + 1);
        }
    }
}

#[test]
fn tests_never_sleep_and_are_never_skipped() {
    let attributes = ["ignore", "should_panic"];
    for path in ["src", "tests"].iter().flat_map(|directory| rust_files(&root().join(directory))) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            let attribute = line.strip_prefix("#[").unwrap_or_default();
            let skips = attributes.iter().any(|word| attribute.starts_with(word));
            let sleeps = line.starts_with("thread::sleep(") || line.starts_with("std::thread::sleep(");
            assert!(!skips && !sleeps, "{}:{}: {line}", path.display(), number + 1);
        }
    }
}
