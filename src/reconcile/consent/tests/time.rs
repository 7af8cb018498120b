//! Times: ties, the future, and which of several rows speaks.

use super::*;

#[test]
fn a_time_more_than_five_minutes_ahead_proves_nothing() {
    let base = left(Unsubscribed, Unsubscribed, -50);
    for (minutes, counts) in [(-49, true), (5, true), (6, false)] {
        let sides = (local(Subscribed, minutes), remote(Unsubscribed, -80, -50));
        let expected = if counts { send(Pending) } else { Verdict::Stay };
        let decision = check("local", &policy(), base.clone(), sides, expected);
        assert_eq!(decision.waits.is_some(), !counts, "time alone changes that");
        let sides = (local(Unsubscribed, -50), remote(Subscribed, minutes, -1));
        let expected = if counts { write(Subscribed, minutes) } else { Verdict::Stay };
        check("remote", &policy(), base.clone(), sides, expected);
    }
    let sides = (local(Subscribed, 60), remote(Unsubscribed, -80, -50));
    let base = stood(Subscribed, Subscribed);
    check("an opt-out is not kept waiting", &policy(), base, sides, write(Unsubscribed, -50));
}

#[test]
fn an_opt_out_of_the_future_counts_from_now() {
    let sides = (local(Unsubscribed, 600), remote(Subscribed, -80, -80));
    let decision = check("future", &policy(), stood(Subscribed, Subscribed), sides, send(Unsubscribed));
    assert_eq!(decision.standing.opted_out_at, Some(at(0)));
    let policy = policy();
    let later = Question {
        observed_at: at(9),
        ..question(&decision.standing, sides.0, remote(Unsubscribed, -80, 0), &policy)
    };
    assert_eq!(decide(&later).standing.opted_out_at, Some(at(0)), "and stays there");
}

#[test]
fn nothing_that_shows_is_later_than_an_opt_out_of_unknown_time() {
    // Mailchimp's clock is a little ahead of ours.
    let sides = (untimed(Unsubscribed, -90), remote(Subscribed, 2, 2));
    let decision = check("no time", &policy(), stood(Subscribed, Subscribed), sides, send(Unsubscribed));
    assert_eq!(decision.standing.opted_out_at, Some(at(2)));
    let sides = (local(Unsubscribed, 3), remote(Subscribed, 2, 2));
    check("a fast clock", &policy(), stood(Subscribed, Subscribed), sides, send(Unsubscribed));
}

#[test]
fn a_second_opt_out_is_remembered_too() {
    // Back and out again between two cycles: the row shows when.
    let sides = (local(Unsubscribed, -10), remote(Unsubscribed, -80, -50));
    let decision = check("again", &policy(), left(Unsubscribed, Unsubscribed, -50), sides, Verdict::Agreed);
    assert_eq!(decision.standing.opted_out_at, Some(at(-10)));
    let sides = (local(Subscribed, -20), remote(Unsubscribed, -80, -50));
    check("a backup from in between", &policy(), decision.standing, sides, write(Unsubscribed, -10));
}

/// Which row speaks: its status and time.
#[track_caller]
fn speaks(
    rows: &[Registration],
    base: &Standing,
    policy: &Policy,
) -> (SubscriptionStatus, Option<Timestamp>, bool) {
    let word = local_word(rows, &BTreeSet::new(), base, policy, at(0)).unwrap();
    (word.status, word.at, word.contradicted)
}

#[test]
fn of_several_rows_the_latest_consent_speaks() {
    let none = Standing::default();
    let cases = [
        ([(Subscribed, Some(-50)), (Unsubscribed, Some(-10))], (Unsubscribed, Some(-10), true)),
        ([(Unsubscribed, Some(-10)), (Subscribed, Some(-50))], (Unsubscribed, Some(-10), true)),
        ([(Unsubscribed, Some(-50)), (Subscribed, Some(-10))], (Subscribed, Some(-10), false)),
        ([(Unsubscribed, Some(-50)), (Unsubscribed, Some(-10))], (Unsubscribed, Some(-10), false)),
        // Of one time, the more cautious.
        ([(Unsubscribed, Some(-10)), (Subscribed, Some(-10))], (Unsubscribed, Some(-10), true)),
        ([(Pending, Some(-10)), (Subscribed, Some(-10))], (Pending, Some(-10), false)),
        // A row of the future speaks against nobody; an opt-out is one whatever its time.
        ([(Unsubscribed, Some(-10)), (Subscribed, Some(60))], (Unsubscribed, Some(-10), true)),
        ([(Subscribed, Some(-10)), (Unsubscribed, Some(60))], (Unsubscribed, Some(60), true)),
        // An opt-out without a time stands.
        ([(Unsubscribed, None), (Subscribed, Some(-10))], (Unsubscribed, None, true)),
    ];
    for (rows, (status, minutes, contradicted)) in cases {
        let rows = [row("1", rows[0].0, rows[0].1), row("2", rows[1].0, rows[1].1)];
        let expected = (status, minutes.map(at), contradicted);
        assert_eq!(speaks(&rows, &none, &policy()), expected, "{rows:?}");
    }
}

#[test]
fn without_a_consent_time_an_opt_out_stands_until_a_newer_row() {
    let policy = with(|policy| policy.register.consent_time = false);
    let signed_up = |id: &str, status, minutes| Registration {
        status_changed_at: None,
        created_at: Some(at(minutes)),
        ..row(id, status, None)
    };
    let rows = |minutes| [signed_up("1", Unsubscribed, -90), signed_up("2", Subscribed, minutes)];
    let known = left(Unsubscribed, Unsubscribed, -50);
    assert_eq!(speaks(&rows(-60), &Standing::default(), &policy).0, Unsubscribed);
    assert_eq!(speaks(&rows(-60), &known, &policy).0, Unsubscribed);
    assert_eq!(speaks(&rows(-10), &known, &policy), (Subscribed, Some(at(-10)), true));
    // Asked for that row: it goes on speaking.
    let asked = Standing { asked_at: Some(at(-3)), ..left(Subscribed, Subscribed, -50) };
    assert_eq!(speaks(&rows(-10), &asked, &policy).0, Subscribed);
}

#[test]
fn a_status_goes_to_every_row_of_the_address() {
    let word = |status| LocalWord { contradicted: true, ..local(status, -10).unwrap() };
    let sides = (Some(word(Unsubscribed)), remote(Unsubscribed, -80, -9));
    check("opt-out", &policy(), left(Unsubscribed, Unsubscribed, -10), sides, write(Unsubscribed, -10));
    let asked = Standing { asked_at: Some(at(-3)), ..left(Subscribed, Subscribed, -50) };
    let sides = (Some(word(Subscribed)), remote(Subscribed, -80, -3));
    let decision = check("an undated opt-out is overruled", &policy(), asked, sides, write(Subscribed, -10));
    assert_eq!(decision.standing.opted_out_at, None);
}
