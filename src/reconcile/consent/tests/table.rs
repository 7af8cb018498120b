//! The rows of the table, in its order and with its names.

use super::*;

#[test]
fn neither_side_changed() {
    let row = "neither side changed";
    for (ours, theirs) in [(Subscribed, Subscribed), (Pending, Pending)] {
        let decision = check(
            row,
            &policy(),
            stood(ours, theirs),
            (local(ours, -90), remote(theirs, -80, -80)),
            Verdict::Agreed,
        );
        assert_eq!((decision.standing.opted_out_at, decision.note), (None, None), "{row}");
    }
    for theirs in [Unsubscribed, Archived, Cleaned, Transactional] {
        let base = left(Unsubscribed, theirs, -50);
        let sides = (local(Unsubscribed, -50), remote(theirs, -80, -1));
        let decision = check(row, &policy(), base, sides, Verdict::Agreed);
        // Later edits, which move `last_changed`, do not move the time of the opt-out.
        assert_eq!(decision.standing.opted_out_at, Some(at(-50)), "{row}, {theirs}");
    }
}

#[test]
fn one_opted_out_the_other_unchanged() {
    let row = "one opted out, the other unchanged";
    let both = stood(Subscribed, Subscribed);
    let waiting = stood(Pending, Pending);
    let decision = check(
        row,
        &policy(),
        both.clone(),
        (local(Unsubscribed, -10), remote(Subscribed, -80, -80)),
        send(Unsubscribed),
    );
    assert_eq!(decision.class, Class::TimedOptOut(at(-10)), "their own word is never held");
    assert_eq!(decision.standing.opted_out_at, Some(at(-10)));
    let sides = (untimed(Unsubscribed, -90), remote(Subscribed, -80, -80));
    let decision = check(row, &policy(), both.clone(), sides, send(Unsubscribed));
    assert_eq!((decision.class, decision.standing.opted_out_at), (Class::Removal, Some(at(0))));
    check(
        row,
        &policy(),
        waiting.clone(),
        (local(Unsubscribed, -10), remote(Pending, -80, -80)),
        send(Unsubscribed),
    );

    let sides = (local(Subscribed, -90), remote(Unsubscribed, -80, -5));
    let decision = check(row, &policy(), both, sides, write(Unsubscribed, -5));
    assert_eq!((decision.class, decision.standing.opted_out_at), (Class::Free, Some(at(-5))));
    check(
        row,
        &policy(),
        waiting,
        (local(Pending, -90), remote(Unsubscribed, -80, -5)),
        write(Unsubscribed, -5),
    );
}

#[test]
fn an_opt_out_goes_across_whatever_the_clocks_say() {
    let known = |local_at, remote_at| Standing {
        local_at: Some(at(local_at)),
        remote_at: Some(at(remote_at)),
        ..stood(Subscribed, Subscribed)
    };
    // Our own creation took Mailchimp's time of an opt-in after the person had left on the website.
    let sides = (local(Unsubscribed, -11), remote(Subscribed, -10, -10));
    check("the contact was created after the opt-out", &policy(), known(-12, -10), sides, send(Unsubscribed));
    // The website's clock is fast: its consent seems later than the click on the link.
    let sides = (local(Subscribed, 3), remote(Unsubscribed, -10, 1));
    let decision =
        check("the website's clock is fast", &policy(), known(3, -10), sides, write(Unsubscribed, 3));
    assert_eq!(decision.standing.opted_out_at, Some(at(3)));
}

#[test]
fn mailchimp_opted_in_later_by_timestamp_opt() {
    let row = "Mailchimp opted in, later by timestamp_opt";
    for was in [Unsubscribed, Archived, Cleaned, Pending] {
        let sides = (local(Unsubscribed, -50), remote(Subscribed, -5, -5));
        let decision = check(row, &policy(), left(Unsubscribed, was, -50), sides, write(Subscribed, -5));
        let forgotten = stood(Subscribed, Subscribed);
        let expected = Standing { local_at: Some(at(-50)), remote_at: Some(at(-5)), ..forgotten };
        assert_eq!(decision.standing, expected, "the opt-out is forgotten");
    }
    check(
        "the person's confirmation",
        &policy(),
        left(Pending, Pending, -50),
        (local(Pending, -20), remote(Subscribed, -5, -5)),
        write(Subscribed, -5),
    );
    check(
        "a later opt-in wins over an opt-out that was not across yet",
        &policy(),
        stood(Subscribed, Subscribed),
        (local(Unsubscribed, -50), remote(Subscribed, -5, -5)),
        write(Subscribed, -5),
    );
}

#[test]
fn mailchimp_shows_subscribed_without_a_later_timestamp_opt() {
    let row = "Mailchimp shows subscribed without a later timestamp_opt";
    for opted_in in [-80, -50] {
        for (was, shown) in [(Unsubscribed, Unsubscribed), (Pending, Pending)] {
            let sides = (local(shown, -50), remote(Subscribed, opted_in, -1));
            let decision = check(row, &policy(), left(was, was, -50), sides, Verdict::Stay);
            assert_eq!(decision.conflict, Some(Conflict::UnprovenOptIn), "{row}");
            assert!(decision.note.is_some_and(|note| note.contains("staff must decide")), "{row}");
            assert_eq!(decision.standing, left(was, was, -50), "the base does not move");
        }
    }
    // They came and went between two cycles; the time of that opt-in is no news any more.
    let base = Standing { remote_at: Some(at(-40)), ..left(Unsubscribed, Unsubscribed, -50) };
    let sides = (local(Unsubscribed, -50), remote(Subscribed, -40, -1));
    assert!(check(row, &policy(), base, sides, Verdict::Stay).conflict.is_some());
}

#[test]
fn local_opted_in_again_later() {
    let row = "local opted in again, later";
    let cases = [
        (Resubscribe::Confirm, Subscribed, send(Pending)),
        (Resubscribe::Confirm, Pending, send(Pending)),
        (Resubscribe::Direct, Subscribed, send(Subscribed)),
        (Resubscribe::Direct, Pending, send(Pending)),
        (Resubscribe::Never, Subscribed, Verdict::Stay),
    ];
    for (resubscribe, again, expected) in cases {
        let policy = with(|policy| policy.resubscribe = resubscribe);
        for out in [Unsubscribed, Archived] {
            let sides = (local(again, -5), remote(out, -80, -50));
            let base = left(Unsubscribed, out, -50);
            let decision = check(row, &policy, base.clone(), sides, expected.clone());
            if resubscribe == Resubscribe::Never {
                assert!(decision.note.is_some_and(|note| note.contains("never")), "{row}");
                continue;
            }
            assert_eq!(decision.class, Class::Invitation, "{row}");
            let standing = decision.standing;
            assert_eq!((standing.local, standing.opted_out_at), (Some(again), Some(at(-50))), "{row}");
            assert_eq!((standing.asked_at, standing.asked_for), (Some(at(0)), Some(at(-5))), "asked once");
        }
        // The contact is gone by now.
        let mut base = left(Unsubscribed, Unsubscribed, -50);
        base.remote = None;
        let created = match expected {
            Verdict::Remote(decided) => Verdict::CreateRemote(decided),
            other => other,
        };
        check(row, &policy, base, (local(again, -5), None), created);
    }
}

#[test]
fn what_direct_may_ask_for_after_a_refusal_is_pending_alone() {
    assert_eq!(DecidedStatus(Subscribed).after_compliance_refusal(), Some(DecidedStatus(Pending)));
    for status in [Pending, Unsubscribed] {
        assert_eq!(DecidedStatus(status).after_compliance_refusal(), None);
    }
    let raising =
        SubscriptionStatus::ALL.into_iter().filter(|status| DecidedStatus(*status).raises_consent());
    assert_eq!(raising.collect::<Vec<_>>(), [Subscribed, Pending]);
}

#[test]
fn what_direct_subscribed_is_agreed_upon() {
    let asked =
        Standing { asked_at: Some(at(-3)), asked_for: Some(at(-5)), ..left(Subscribed, Subscribed, -50) };
    let sides = (local(Subscribed, -5), remote(Subscribed, -80, -3));
    let decision = check(
        "direct, answered",
        &with(|p| p.resubscribe = Resubscribe::Direct),
        asked,
        sides,
        Verdict::Agreed,
    );
    assert_eq!((decision.standing.opted_out_at, decision.standing.asked_at), (None, None));
}

#[test]
fn local_shows_subscribed_again_without_a_later_consent_time() {
    let row = "local shows subscribed again without a later consent time";
    for minutes in [-80, -50] {
        for out in [Unsubscribed, Archived] {
            let sides = (local(Subscribed, minutes), remote(out, -80, -1));
            let decision =
                check(row, &policy(), left(Unsubscribed, out, -50), sides, write(Unsubscribed, -50));
            assert!(decision.note.is_some(), "{row}");
            assert_eq!(decision.standing.opted_out_at, Some(at(-50)), "{row}");
        }
        let mut base = left(Unsubscribed, Unsubscribed, -50);
        base.remote = None;
        check(row, &policy(), base, (local(Subscribed, minutes), None), write(Unsubscribed, -50));
    }
}

#[test]
fn the_same_where_the_consent_time_is_not_mapped() {
    let row = "the same where the consent time is not mapped";
    let cases = [
        (Resubscribe::Confirm, send(Pending)),
        (Resubscribe::Direct, send(Pending)),
        (Resubscribe::Never, Verdict::Stay),
    ];
    for (resubscribe, expected) in cases {
        let policy = with(|policy| {
            policy.resubscribe = resubscribe;
            policy.register.consent_time = false;
        });
        let sides = (untimed(Subscribed, -90), remote(Unsubscribed, -80, -50));
        let decision = check(row, &policy, left(Unsubscribed, Unsubscribed, -50), sides, expected.clone());
        if expected != Verdict::Stay {
            assert_eq!(decision.class, Class::UnprovenInvitation, "always held");
            // Asked: the base says so, and nobody is asked again for the same row.
            let asked = Standing { remote: Some(Unsubscribed), ..decision.standing };
            let again = ask(&asked, sides.0, sides.1, &policy).verdict;
            assert_eq!(again, write(Unsubscribed, -50), "the answer left them out");
        }
        // A new row has a time of its own, which proves that it is later.
        let sides = (untimed(Subscribed, -5), remote(Unsubscribed, -80, -50));
        let decision = ask(&left(Unsubscribed, Unsubscribed, -50), sides.0, sides.1, &policy);
        assert_ne!(decision.class, Class::UnprovenInvitation, "{row}");
    }
    let policy = with(|policy| policy.register.consent_time = false);
    let nowhere =
        Some(LocalWord { status: Subscribed, at: None, timed: false, edited_at: None, contradicted: false });
    let decision = check(
        "a first row, nobody knows since when",
        &policy,
        rowless(Unsubscribed, Some(-50)),
        (nowhere, remote(Unsubscribed, -80, -50)),
        send(Pending),
    );
    assert_eq!(decision.class, Class::UnprovenInvitation);
}

#[test]
fn one_in_one_out() {
    let row = "one in, one out";
    let both = || stood(Subscribed, Subscribed);
    let cases = [
        // Both changed: the opt-in is later by Mailchimp, or by the register, or by neither.
        (local(Unsubscribed, -20), remote(Subscribed, -10, -10), write(Subscribed, -10)),
        (local(Unsubscribed, -20), remote(Subscribed, -20, -20), send(Unsubscribed)),
        (local(Unsubscribed, -20), remote(Subscribed, -30, -5), send(Unsubscribed)),
        (local(Subscribed, -10), remote(Unsubscribed, -80, -20), send(Pending)),
        (local(Subscribed, -20), remote(Unsubscribed, -80, -20), write(Unsubscribed, -20)),
        (local(Subscribed, -30), remote(Unsubscribed, -80, -20), write(Unsubscribed, -20)),
        (local(Subscribed, -30), remote(Archived, -80, -20), write(Unsubscribed, -20)),
        (local(Pending, -30), remote(Unsubscribed, -80, -20), write(Unsubscribed, -20)),
    ];
    for (local, remote, expected) in cases {
        check(row, &policy(), both(), (local, remote), expected);
    }
}

#[test]
fn no_base_both_exist_they_differ() {
    let row = "no base, both exist, they differ";
    let none = Standing::default;
    let cases = [
        (local(Subscribed, -1), remote(Unsubscribed, -80, -50), write(Unsubscribed, -50)),
        (local(Pending, -1), remote(Unsubscribed, -80, -50), write(Unsubscribed, -50)),
        (local(Subscribed, -1), remote(Archived, -80, -50), write(Unsubscribed, -50)),
        (local(Unsubscribed, -50), remote(Subscribed, -1, -1), send(Unsubscribed)),
        (local(Unsubscribed, -50), remote(Pending, -1, -1), send(Unsubscribed)),
        (local(Cleaned, -50), remote(Subscribed, -1, -1), send(Unsubscribed)),
        (local(Subscribed, -1), remote(Cleaned, -80, -50), write(Cleaned, -50)),
        // Neither is out: nobody is asked to confirm.
        (local(Subscribed, -1), remote(Pending, -80, -50), write(Pending, -50)),
        (local(Pending, -1), remote(Subscribed, -80, -50), write(Subscribed, -80)),
    ];
    for (local, remote, expected) in cases {
        for resubscribe in [Resubscribe::Confirm, Resubscribe::Direct] {
            let policy = with(|policy| policy.resubscribe = resubscribe);
            check(row, &policy, none(), (local, remote), expected.clone());
        }
    }
    for (ours, theirs) in [
        (Subscribed, Subscribed),
        (Pending, Pending),
        (Cleaned, Cleaned),
        (Unsubscribed, Unsubscribed),
        (Unsubscribed, Archived),
        (Unsubscribed, Cleaned),
        (Unsubscribed, Transactional),
    ] {
        check("they agree", &policy(), none(), (local(ours, -90), remote(theirs, -80, -50)), Verdict::Agreed);
    }
}
