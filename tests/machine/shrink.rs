//! A history that breaks a law, made as short as it gets while it breaks the same law.

use crate::history::{Outcome, play};
use crate::laws::Law;
use crate::step::{Script, Setting, Step};
use crate::theatre::Theatre;

/// Leaves out what is not needed, larger pieces first.
pub(crate) fn shrink(theatre: &Theatre, script: &Script, law: Law) -> Script {
    let mut shortest = script.clone();
    loop {
        let before = shortest.clone();
        let mut piece = (shortest.steps.len() / 2).max(1);
        loop {
            drop_pieces(theatre, &mut shortest, piece, law);
            if piece == 1 {
                break;
            }
            piece /= 2;
        }
        simplify(theatre, &mut shortest, law);
        if shortest == before {
            return shortest;
        }
    }
}

fn breaks(theatre: &Theatre, script: &Script, law: Law) -> bool {
    broken_law(theatre, script) == Some(law)
}

fn broken_law(theatre: &Theatre, script: &Script) -> Option<Law> {
    play(theatre, script, false).violation.map(|violation| violation.law)
}

fn drop_pieces(theatre: &Theatre, shortest: &mut Script, piece: usize, law: Law) {
    let mut at = 0;
    while at < shortest.steps.len() {
        let mut shorter = shortest.clone();
        let end = (at + piece).min(shorter.steps.len());
        shorter.steps.drain(at..end);
        if breaks(theatre, &shorter, law) {
            *shortest = shorter;
        } else {
            at += piece;
        }
    }
}

/// Tries the usual setting key by key, and plainer steps.
fn simplify(theatre: &Theatre, shortest: &mut Script, law: Law) {
    let usual = Setting::default();
    let plainer: [fn(&mut Setting, &Setting); 14] = [
        |is, usual| is.new_local = usual.new_local,
        |is, usual| is.resubscribe = usual.resubscribe,
        |is, usual| is.gone_local = usual.gone_local,
        |is, usual| is.prefer = usual.prefer,
        |is, usual| is.tags = usual.tags,
        |is, usual| is.radio = usual.radio,
        |is, usual| is.double_optin = usual.double_optin,
        |is, usual| is.archived_refused_in_bulk = usual.archived_refused_in_bulk,
        |is, usual| is.tags_move_last_changed = usual.tags_move_last_changed,
        |is, usual| is.since_is_inclusive = usual.since_is_inclusive,
        |is, usual| is.odd_ids = usual.odd_ids,
        |is, usual| is.tight_guard = usual.tight_guard,
        |is, usual| is.undated = usual.undated,
        |is, usual| is.by_changes = usual.by_changes,
    ];
    for change in plainer {
        attempt(theatre, shortest, law, |script| change(&mut script.setting, &usual));
    }
    for at in 0..shortest.steps.len() {
        let plainer: [fn(Step) -> Step; 3] = [
            |step| if matches!(step, Step::Wait(_)) { Step::Wait(1_500) } else { step },
            |step| if step == Step::SyncFull { Step::Sync } else { step },
            |step| match step {
                Step::Meanwhile(_, act) | Step::Between(_, act) | Step::Amid(_, act) => Step::Do(act),
                step => step,
            },
        ];
        for plain in plainer {
            attempt(theatre, shortest, law, |script| script.steps[at] = plain(script.steps[at]));
        }
    }
}

fn attempt(theatre: &Theatre, shortest: &mut Script, law: Law, change: impl Fn(&mut Script)) {
    let mut changed = shortest.clone();
    change(&mut changed);
    if changed != *shortest && breaks(theatre, &changed, law) {
        *shortest = changed;
    }
}

/// The history as it stands in `regressions.rs`.
fn written(script: &Script) -> String {
    let (is, usual) = (format!("{:?}", script.setting), format!("{:?}", Setting::default()));
    let keys = |text: &str| -> Vec<String> {
        let inside = text.trim_start_matches("Setting { ").trim_end_matches(" }");
        inside.split(", ").map(str::to_owned).collect()
    };
    let other: Vec<String> =
        keys(&is).into_iter().zip(keys(&usual)).filter(|(is, usual)| is != usual).map(|(is, _)| is).collect();
    let setting = match other.is_empty() {
        true => "Setting::default()".to_owned(),
        false => format!("Setting {{ {}, ..Setting::default() }}", other.join(", ")),
    };
    let steps: Vec<String> = script.steps.iter().map(|step| format!("        {step:?},")).collect();
    format!("    check({setting}, &[\n{}\n    ]);", steps.join("\n"))
}

/// The story of a history and of its shortest form, for people.
pub(crate) fn report(theatre: &Theatre, name: &str, script: &Script) -> Option<String> {
    let told: Outcome = play(theatre, script, true);
    let violation = told.violation?;
    let short = shrink(theatre, script, violation.law);
    let retold = play(theatre, &short, true);
    let again = retold.violation.map(|violation| violation.what).unwrap_or_default();
    Some(format!(
        "{name} breaks {:?}: {}\n{}\n\nshortened: {again}\n{}\n\nas a regression:\n{}\n",
        violation.law,
        violation.what,
        told.story.join("\n"),
        retold.story.join("\n"),
        written(&short),
    ))
}
