//! What the manual says beside the help: exit codes, files, variables, signals, examples.

use crate::config::{CONFIG_VARIABLE, LOCAL_PATH, LOG_VARIABLE, SYSTEM_PATH};

/// A section of a page.
pub(super) struct Section {
    /// Its heading.
    pub(super) title: &'static str,
    /// What it says first; nothing where it is empty.
    pub(super) text: &'static str,
    /// Words, each with what it means.
    pub(super) terms: Vec<(&'static str, &'static str)>,
}

/// What follows the help on the page of the program.
pub(super) fn about_the_program() -> Vec<Section> {
    vec![exit_status(), environment(), files(), signals(), notes(), examples(), see_also()]
}

/// What follows the help on the page of a command.
pub(super) fn about_a_command() -> Vec<Section> {
    let text = "Exit codes, files, environment variables and signals are those of rosterd(1).";
    vec![Section { title: "NOTES", text, terms: Vec::new() }]
}

fn exit_status() -> Section {
    Section {
        title: "EXIT STATUS",
        text: "Where several hold, 2 comes before 1, 1 before 3, and 3 before 4.",
        terms: vec![
            ("0", "Done."),
            ("1", "Failed; try again. Also: another process holds the state."),
            (
                "2",
                "Wrong usage or configuration, a key or an audience that Mailchimp does not know among them. \
                   The unit does not start the daemon again after it.",
            ),
            (
                "3",
                "Something is held, and a person must decide: rosterd held, then rosterd approve or reject.",
            ),
            ("4", "Done, but members were refused and are set aside: rosterd status counts them."),
        ],
    }
}

fn environment() -> Section {
    Section {
        title: "ENVIRONMENT",
        text: "",
        terms: vec![
            (CONFIG_VARIABLE, "The configuration file, where --config does not name one."),
            (
                LOG_VARIABLE,
                "What is logged: rosterd=debug, or info,rosterd::mailchimp=trace. The default is \
                            rosterd=info,warn.",
            ),
            ("NO_COLOR", "Log lines on a terminal have no colours."),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Set by the service manager, which is told when the daemon is ready, \
                            reads its configuration again or stops, how the last cycle went, and that the loop lives.",
            ),
            (
                "JOURNAL_STREAM",
                "Set by the service manager: log lines carry their priority where standard error is \
                            the journal.",
            ),
            (
                "Any name that ends a key in _env",
                "The configuration names the variables that hold secrets, such as \
                            MAILCHIMP_API_KEY.",
            ),
        ],
    }
}

fn files() -> Section {
    Section {
        title: "FILES",
        text: "",
        terms: vec![
            (
                SYSTEM_PATH,
                "The configuration of the service; every key is explained in it. rosterd init writes one.",
            ),
            (LOCAL_PATH, "The configuration where there is none in /etc/rosterd."),
            ("/etc/rosterd/NAME.toml", "The configuration of rosterd@NAME.service, one for each audience."),
            (
                "/var/lib/rosterd",
                "The state: state.db with its two companions, and what lies beside it. Back it up \
                 while the daemon runs with: sqlite3 state.db \".backup copy.db\"",
            ),
            (
                "/var/lib/rosterd/state.db.sock",
                "The socket of the running daemon, for its user and its group: rosterd sync asks there.",
            ),
            ("/var/lib/rosterd/state.db.spool", "Events that were received and are not in the state yet."),
            ("/run/credentials/rosterd.service", "The secrets, while the service runs."),
        ],
    }
}

fn signals() -> Section {
    Section {
        title: "SIGNALS",
        text: "rosterd run obeys these:",
        terms: vec![
            (
                "SIGTERM, SIGINT",
                "The operations under way are finished, within ten seconds, and the process ends with 0. \
                                 What could not be finished the next start looks into.",
            ),
            (
                "SIGHUP",
                "The configuration is read again. A wrong one is told in the log and in the status line, and the \
                        old one stays in force. Where the state is cannot change without a restart.",
            ),
            (
                "SIGKILL",
                "Loses nothing: the next cycle observes both sides, and what had been written on one meets itself.",
            ),
        ],
    }
}

fn notes() -> Section {
    Section {
        title: "NOTES",
        text: "Results go to standard output; logs, progress and questions to standard error. No log has an address (unless [privacy] log_addresses asks for it) or \
               a key in it: a member is named by their subscriber hash, which rosterd member show prints. Logs are \
               personal data all the same, since whoever has an address can compute its hash.",
        terms: Vec::new(),
    }
}

fn examples() -> Section {
    Section {
        title: "EXAMPLES",
        text: "",
        terms: vec![
            ("rosterd demo", "The whole story, on a pretend Mailchimp, in a temporary directory."),
            (
                "rosterd check",
                "Every mistake in the configuration and on both sides, before the first start.",
            ),
            ("rosterd plan --full", "What a full cycle would do; writes nothing."),
            (
                "systemctl reload rosterd && systemctl status rosterd",
                "Takes a changed configuration into use, and shows \
                        the last cycle in a line.",
            ),
            ("sudo -u rosterd rosterd status", "How things stand, while the daemon runs."),
            ("journalctl -u rosterd -p err -o cat", "What went wrong, one JSON object a line."),
        ],
    }
}

fn see_also() -> Section {
    let text = "rosterd-run(1), rosterd-sync(1), rosterd-status(1), rosterd-member(1), rosterd-held(1), \
                rosterd-check(1), systemd.service(5), systemd.exec(5), journalctl(1)";
    Section { title: "SEE ALSO", text, terms: Vec::new() }
}
