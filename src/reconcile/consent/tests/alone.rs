//! One side only: new, archived, deleted, removed, buried.

use super::*;

#[test]
fn a_new_registration_follows_new_local() {
    let cases = [
        (NewLocal::Subscribe, Subscribed, create(Subscribed)),
        (NewLocal::Subscribe, Pending, create(Pending)),
        (NewLocal::Confirm, Subscribed, create(Pending)),
        (NewLocal::Confirm, Pending, create(Pending)),
        (NewLocal::Ignore, Subscribed, Verdict::Stay),
        (NewLocal::Subscribe, Unsubscribed, Verdict::Agreed),
        (NewLocal::Subscribe, Cleaned, Verdict::Agreed),
    ];
    for (new_local, status, expected) in cases {
        let policy = with(|policy| policy.new_local = new_local);
        check("new_local", &policy, Standing::default(), (local(status, -5), None), expected);
    }
}

#[test]
fn only_a_subscribed_contact_becomes_a_registration() {
    let new = |status| (None, remote(status, -80, -50));
    let decision =
        check("in", &policy(), Standing::default(), new(Subscribed), Verdict::CreateLocal(Some(at(-80))));
    assert_eq!(decision.class, Class::Creation);
    let ignore = with(|policy| policy.new_remote = NewRemote::Ignore);
    check("ignored", &ignore, Standing::default(), new(Subscribed), Verdict::Stay);
    for status in [Pending, Cleaned, Transactional] {
        check("not yet", &policy(), Standing::default(), new(status), Verdict::Stay);
    }
    for status in [Unsubscribed, Archived] {
        let decision = check("out", &policy(), Standing::default(), new(status), Verdict::Agreed);
        assert_eq!(decision.standing.opted_out_at, Some(at(-50)));
    }
}

#[test]
fn a_first_registration_of_somebody_who_left_before_rosterd_came() {
    for out in [Unsubscribed, Archived] {
        let base = rowless(out, Some(-50));
        let sides = |minutes| (local(Subscribed, minutes), remote(out, -80, -50));
        let decision = check("later", &policy(), base.clone(), sides(-5), send(Pending));
        assert_eq!(decision.class, Class::Invitation);
        let direct = with(|policy| policy.resubscribe = Resubscribe::Direct);
        check("direct", &direct, base.clone(), sides(-5), send(Subscribed));
        check("not later", &policy(), base.clone(), sides(-50), write(Unsubscribed, -50));
        let unmapped = with(|policy| policy.register.consent_time = false);
        let sides = (untimed(Subscribed, -5), remote(out, -80, -50));
        let decision = check("by the time of the sign-up", &unmapped, base, sides, send(Pending));
        assert_eq!(decision.class, Class::Invitation);
    }
}

#[test]
fn archived_by_staff_makes_the_rows_unsubscribed() {
    let sides = (local(Subscribed, -80), remote(Archived, -80, -5));
    let decision =
        check("archived", &policy(), stood(Subscribed, Subscribed), sides, write(Unsubscribed, -5));
    assert_eq!(decision.class, Class::Absence);
    assert!(decision.note.is_some_and(|note| note.contains("archived")));
    // Written, but the base did not hear of it: the note still comes.
    let sides = (local(Unsubscribed, -5), remote(Archived, -80, -5));
    let met = check("after a crash", &policy(), stood(Subscribed, Subscribed), sides, Verdict::Agreed);
    assert_eq!(met.note, decision.note);
    check("and stays so", &policy(), met.standing, sides, Verdict::Agreed);
}

#[test]
fn deleted_in_mailchimp_makes_the_rows_unsubscribed() {
    let both = stood(Subscribed, Subscribed);
    let decision =
        check("deleted", &policy(), both.clone(), (local(Subscribed, -80), None), write(Unsubscribed, 0));
    assert_eq!((decision.class, decision.standing.remote), (Class::Absence, None));
    assert_eq!(decision.standing.opted_out_at, Some(at(0)));
    check("and stays so", &policy(), decision.standing, (local(Unsubscribed, 0), None), Verdict::Agreed);
    let met = check("after a crash", &policy(), both, (local(Unsubscribed, 0), None), Verdict::Agreed);
    assert_eq!(met.note, decision.note);
    let bounced = Standing { before_bounce: Some(Subscribed), ..stood(Cleaned, Cleaned) };
    check("a bounced one", &policy(), bounced, (local(Cleaned, -80), None), write(Unsubscribed, 0));
    // Nobody confirmed: what they had signed up for is used up, a backup of it asks nobody again.
    let waiting =
        Standing { asked_at: Some(at(-60)), asked_for: Some(at(-61)), ..left(Pending, Pending, -90) };
    let lost =
        check("never confirmed", &policy(), waiting, (local(Pending, -60), None), write(Unsubscribed, 0));
    check("a backup", &policy(), lost.standing, (local(Subscribed, -61), None), write(Unsubscribed, 0));
}

#[test]
fn rows_removed_of_a_subscribed_contact_follow_gone_local() {
    let cases = [
        (GoneLocal::Archive, Verdict::Archive, Some(at(0))),
        (GoneLocal::Unsubscribe, send(Unsubscribed), Some(at(0))),
        (GoneLocal::Leave, Verdict::Agreed, None),
    ];
    for (gone_local, expected, removed_at) in cases {
        let policy = with(|policy| policy.gone_local = gone_local);
        let sides = (None, remote(Subscribed, -80, -80));
        let decision = check("gone_local", &policy, stood(Subscribed, Subscribed), sides, expected.clone());
        let standing = decision.standing;
        assert_eq!((standing.local, standing.opted_out_at, standing.removed_at), (None, None, removed_at));
        let counted = if expected == Verdict::Agreed { Class::Free } else { Class::Removal };
        assert_eq!(decision.class, counted);
        if gone_local == GoneLocal::Leave {
            check("left as it is", &policy, standing, sides, Verdict::Agreed);
        }
    }
}

#[test]
fn rows_removed_of_others() {
    let decision = check(
        "pending",
        &policy(),
        stood(Pending, Pending),
        (None, remote(Pending, -80, -80)),
        send(Unsubscribed),
    );
    assert_eq!(decision.standing.opted_out_at, None, "they had not left");
    for out in [Unsubscribed, Archived, Cleaned] {
        let sides = (None, remote(out, -80, -50));
        let decision = check("out", &policy(), left(Unsubscribed, out, -50), sides, Verdict::Agreed);
        assert_eq!(decision.standing.opted_out_at, Some(at(-50)));
    }
    let sides = (None, remote(Subscribed, -80, -1));
    check("unproven", &policy(), left(Unsubscribed, Unsubscribed, -50), sides, send(Unsubscribed));
    let sides = (None, remote(Subscribed, -1, -1));
    check(
        "opted in since",
        &policy(),
        left(Unsubscribed, Unsubscribed, -50),
        sides,
        Verdict::CreateLocal(Some(at(-1))),
    );
    // Asked back, and their rows were removed: an opt-out of now.
    let asked = Standing { asked_at: Some(at(-10)), ..left(Pending, Pending, -50) };
    let decision =
        check("asked back", &policy(), asked, (None, remote(Pending, -10, -10)), send(Unsubscribed));
    assert_eq!(decision.standing.opted_out_at, Some(at(0)));
}

#[test]
fn who_registers_again_after_a_removal_is_new_unless_they_had_left() {
    let removed = |becomes| Standing { removed_at: Some(at(-30)), ..rowless(becomes, None) };
    for becomes in [Archived, Unsubscribed] {
        let sides = |minutes| (local(Subscribed, minutes), remote(becomes, -80, -29));
        let decision = check("later", &policy(), removed(becomes), sides(-5), send(Subscribed));
        assert_eq!((decision.class, decision.standing.removed_at), (Class::Creation, None));
        let confirm = with(|policy| policy.new_local = NewLocal::Confirm);
        check("policy new_local", &confirm, removed(becomes), sides(-5), send(Pending));
        check("a restored backup", &policy(), removed(becomes), sides(-80), write(Unsubscribed, -30));
        check("gone since", &policy(), removed(becomes), (local(Subscribed, -5), None), create(Subscribed));
        check(
            "gone since, a backup",
            &policy(),
            removed(becomes),
            (local(Subscribed, -80), None),
            write(Unsubscribed, -30),
        );
    }
    let sides = (local(Subscribed, -5), remote(Archived, -80, -50));
    check("they had left", &policy(), rowless(Archived, Some(-50)), sides, send(Pending));
    // Archived by us, unsubscribed by somebody since: that is an opt-out.
    let sides = (local(Subscribed, -5), remote(Unsubscribed, -80, -10));
    check("touched since", &policy(), removed(Archived), sides, send(Pending));
}

#[test]
fn a_contact_without_rows_becomes_a_registration_by_their_own_later_opt_in_only() {
    for base in [
        rowless(Unsubscribed, Some(-50)),
        rowless(Archived, Some(-50)),
        Standing { removed_at: Some(at(-50)), ..rowless(Archived, None) },
    ] {
        let back = |opted_in| (None, remote(Subscribed, opted_in, -1));
        check("later", &policy(), base.clone(), back(-1), Verdict::CreateLocal(Some(at(-1))));
        let decision = check("not later", &policy(), base, back(-50), Verdict::Stay);
        assert_eq!(decision.conflict, Some(Conflict::UnprovenOptIn));
    }
    let sides = (None, remote(Archived, -80, -29));
    let base = Standing { removed_at: Some(at(-30)), ..rowless(Archived, None) };
    let decision = check("archived by us", &policy(), base, sides, Verdict::Agreed);
    assert_eq!(decision.standing.opted_out_at, None, "not an opt-out of theirs");
}

#[test]
fn a_tombstone_is_heard_on_either_side() {
    let stone = Standing { opted_out_at: Some(at(-50)), ..Standing::default() };
    check("later", &policy(), stone.clone(), (local(Subscribed, -5), None), create(Pending));
    check("not later", &policy(), stone.clone(), (local(Subscribed, -80), None), write(Unsubscribed, -50));
    check("in Mailchimp", &policy(), stone.clone(), (None, remote(Subscribed, -80, -1)), Verdict::Stay);
    let sides = (local(Subscribed, -80), remote(Subscribed, -80, -1));
    let decision = check("on both", &policy(), stone, sides, Verdict::Stay);
    assert_eq!(decision.conflict, Some(Conflict::UnprovenOptIn));
}
