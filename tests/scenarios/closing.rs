//! What has to hold after every scenario, whatever it tells.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;

use rosterd::sandbox::LoggedRequest;
use serde_json::Value;

use crate::log;
use crate::program::{Rights, grant, run};
use crate::stage::Stage;

/// The scenarios that ended well, and how many status writes they made together.
static TOTAL: Mutex<(usize, u64)> = Mutex::new((0, 0));

/// Checks everything; the last of the suite says how many status writes there were.
pub(crate) fn check(stage: &mut Stage, name: &str) {
    stage.serve();
    stage.release_state();
    if stage.rights == Rights::Read {
        grant(stage, Rights::All);
    }
    assert_quiet(stage);
    let writes = check_status_writes(stage);
    check_mails(stage);
    log::check(stage);
    let mut total = TOTAL.lock().unwrap();
    *total = (total.0 + 1, total.1 + writes);
    let mut stderr = std::io::stderr();
    let written = if total.0 == crate::CASES.len() {
        writeln!(stderr, "status writes: {}, all decided by the consent rule", total.1)
    } else {
        writeln!(stderr, "status writes in {name}: {writes}, all decided by the consent rule")
    };
    written.unwrap();
}

/// Two further syncs: the first may look twice at what the scenario left, the second finds nothing to do.
pub(crate) fn assert_quiet(stage: &mut Stage) {
    run(stage, "rosterd sync --json");
    let before = (stage.audience.writes(), stage.register.dump());
    let said = run(stage, "rosterd sync --json");
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{:#?}", said.lines));
    let count = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(count("planned") - count("held"), 0, "a further sync would write something: {report}");
    assert_eq!(
        (stage.audience.writes(), stage.register.dump()),
        before,
        "a further sync wrote something: {report}"
    );
}

/// A status travels alone, and only where the consent rule decided it; says how many did.
fn check_status_writes(stage: &Stage) -> u64 {
    let requests = stage.audience.sandbox.log();
    let mut count = 0;
    for LoggedRequest { method, pattern, body, .. } in &requests {
        let Some(body) = body.as_ref().and_then(Value::as_object) else { continue };
        if matches!(*method, "PATCH" | "PUT")
            && pattern.ends_with("/members/{subscriber_hash}")
            && body.contains_key("status")
        {
            assert_eq!(body.len(), 1, "a status travels alone: {:?}", body.keys());
            count += 1;
        }
        assert_ne!(
            body.get("update_existing"),
            Some(&Value::Bool(true)),
            "a creation changed somebody known"
        );
    }
    let counters = stage.audience.sandbox.counters();
    assert_eq!(
        counters.status_writes, count,
        "each status written to somebody known came by its own request"
    );
    let decided = "SELECT COUNT(*) FROM operations
                   WHERE kind IN ('remote_status', 'remote_leave') AND outcome <> 'skipped'";
    assert_eq!(counted(stage, decided), count, "each status written was decided by the consent rule");
    count
}

/// Nobody is asked to confirm more often than they opted in, nor without a decision.
fn check_mails(stage: &Stage) {
    let mails: BTreeMap<String, u32> = stage.audience.sandbox.counters().confirmation_mails;
    for (email, n_mails) in mails {
        let n_opt_ins = stage.opt_ins.get(&email).copied().unwrap_or(0);
        assert!(n_mails <= n_opt_ins, "{n_mails} confirmation mails for {n_opt_ins} opt-ins of {email}");
        let decided = format!(
            "SELECT COUNT(*) FROM operations
             WHERE email = '{email}' AND kind IN ('remote_status', 'remote_create')
               AND json_extract(operation, '$.decided') = 'pending' AND outcome <> 'skipped'"
        );
        assert_eq!(
            counted(stage, &decided),
            u64::from(n_mails),
            "each confirmation mail to {email} was decided"
        );
    }
}

fn counted(stage: &Stage, sql: &str) -> u64 {
    let Some(state) = stage.state() else { return 0 };
    let count: i64 = state.query_row(sql, [], |row| row.get(0)).unwrap();
    count.try_into().unwrap()
}
