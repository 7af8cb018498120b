//! `cleaned`, `pending` and `transactional`.

use super::*;

#[test]
fn cleaned_in_mailchimp() {
    for was in [Subscribed, Pending] {
        let sides = (local(was, -80), remote(Cleaned, -80, -5));
        let decision = check("bounced", &policy(), stood(was, was), sides, write(Cleaned, -5));
        assert_eq!(decision.standing.before_bounce, Some(was));
        assert_eq!(decision.standing.opted_out_at, None, "a bounce stops the address, not the person");
        assert!(decision.note.is_some());
        let sides = (local(Cleaned, -5), remote(Cleaned, -80, -5));
        let settled = check("and stays so", &policy(), decision.standing, sides, Verdict::Agreed);
        assert_eq!(settled.standing.before_bounce, Some(was));
        assert_eq!(settled.note, decision.note);
    }
    let sides = (local(Subscribed, -3), remote(Cleaned, -80, -5));
    let base = Standing { before_bounce: Some(Subscribed), ..stood(Cleaned, Cleaned) };
    check("subscribed again at the address that bounces", &policy(), base, sides, write(Cleaned, -5));
}

#[test]
fn a_local_cleaned_that_rosterd_did_not_write_is_an_opt_out() {
    let sides = (local(Cleaned, -5), remote(Subscribed, -80, -80));
    let decision = check("cleaned", &policy(), stood(Subscribed, Subscribed), sides, send(Unsubscribed));
    let sides = (local(Cleaned, -5), remote(Unsubscribed, -80, -1));
    let decision = check("then", &policy(), decision.standing, sides, write(Unsubscribed, -5));
    assert_eq!(decision.standing.opted_out_at, Some(at(-5)));
    let decision = check("new", &policy(), Standing::default(), (local(Cleaned, -5), None), Verdict::Agreed);
    assert_eq!(decision.standing.opted_out_at, Some(at(-5)));
}

/// How somebody who bounced starts at a new address: the status and its class.
#[track_caller]
fn starts(
    what: &str,
    policy: &Policy,
    base: Standing,
    word: Option<LocalWord>,
    expected: Option<(SubscriptionStatus, Class)>,
) -> Option<Decision> {
    let decision = afresh(&question(&base, word, remote(Cleaned, -80, -40), policy));
    let started = decision.as_ref().map(|decision| (decision.verdict.clone(), decision.class));
    assert_eq!(started, expected.map(|(status, class)| (create(status), class)), "{what}");
    decision
}

#[test]
fn a_new_address_starts_afresh_with_the_consent_from_before_the_bounce() {
    let bounced = |before| Standing { before_bounce: before, ..stood(Cleaned, Cleaned) };
    let ours = local(Cleaned, -40);
    starts(
        "subscribed before",
        &policy(),
        bounced(Some(Subscribed)),
        ours,
        Some((Subscribed, Class::Creation)),
    );
    let asked =
        starts("pending before", &policy(), bounced(Some(Pending)), ours, Some((Pending, Class::Creation)));
    assert_eq!(asked.and_then(|decision| decision.standing.asked_at), Some(at(0)));
    starts("nobody knows", &policy(), bounced(None), ours, None);
    starts(
        "the website asks for confirmation itself",
        &policy(),
        bounced(Some(Subscribed)),
        local(Pending, -5),
        Some((Pending, Class::Creation)),
    );
    starts(
        "a new sign-up",
        &policy(),
        bounced(None),
        local(Subscribed, -5),
        Some((Subscribed, Class::Creation)),
    );
    let ignore = with(|policy| policy.new_local = NewLocal::Ignore);
    starts("policy new_local = ignore", &ignore, bounced(Some(Subscribed)), ours, None);
}

#[test]
fn whoever_left_after_a_bounce_does_not_start_afresh() {
    let bounced = Standing { before_bounce: Some(Subscribed), ..stood(Cleaned, Cleaned) };
    starts("left", &policy(), bounced.clone(), local(Unsubscribed, -5), None);
    let sides = (local(Unsubscribed, -20), remote(Cleaned, -80, -40));
    let out = check("left", &policy(), bounced, sides, Verdict::Agreed).standing;
    assert_eq!((out.opted_out_at, out.before_bounce), (Some(at(-20)), Some(Unsubscribed)));
    starts("a restored backup", &policy(), out.clone(), local(Subscribed, -80), None);
    starts(
        "their own later word",
        &policy(),
        out.clone(),
        local(Subscribed, -5),
        Some((Pending, Class::Invitation)),
    );
    let never = with(|policy| policy.resubscribe = Resubscribe::Never);
    starts("never", &never, out, local(Subscribed, -5), None);
}

#[test]
fn a_bounce_of_somebody_who_had_left_remembers_no_consent() {
    let out = left(Unsubscribed, Unsubscribed, -50);
    let sides = (local(Subscribed, -80), remote(Cleaned, -80, -5));
    let decision = check("a backup", &policy(), out.clone(), sides, write(Cleaned, -5));
    assert_eq!(decision.standing.before_bounce, Some(Unsubscribed));
    let sides = (local(Subscribed, -20), remote(Cleaned, -80, -5));
    let decision = check("their later word", &policy(), out, sides, write(Cleaned, -5));
    assert_eq!(decision.standing.before_bounce, Some(Pending), "they had been asked to confirm");
}

#[test]
fn a_bounced_member_who_is_back() {
    let bounced = Standing { before_bounce: Some(Subscribed), ..stood(Cleaned, Cleaned) };
    let sides = |status| (local(Cleaned, -40), remote(status, -5, -5));
    check("subscribed", &policy(), bounced.clone(), sides(Subscribed), write(Subscribed, -5));
    check("pending", &policy(), bounced.clone(), sides(Pending), write(Pending, -5));
    check("left", &policy(), bounced.clone(), sides(Unsubscribed), write(Unsubscribed, -5));
    check("archived", &policy(), bounced.clone(), sides(Archived), write(Unsubscribed, -5));
    let out = Standing { opted_out_at: Some(at(-2)), ..bounced };
    let decision = check("without a later opt-in", &policy(), out, sides(Subscribed), Verdict::Stay);
    assert_eq!(decision.conflict, Some(Conflict::UnprovenOptIn));
}

#[test]
fn pending_on_one_side_is_pending_on_the_other() {
    let both = stood(Subscribed, Subscribed);
    let sides = (local(Subscribed, -80), remote(Pending, -80, -5));
    check("in Mailchimp", &policy(), both.clone(), sides, write(Pending, -5));
    let sides = (local(Pending, -5), remote(Subscribed, -80, -80));
    let decision = check("in the register", &policy(), both.clone(), sides, send(Pending));
    assert_eq!(decision.standing.asked_for, Some(at(-5)));
    let sides = (local(Unsubscribed, -50), remote(Pending, -80, -5));
    check(
        "a form of Mailchimp's asks them",
        &policy(),
        left(Unsubscribed, Unsubscribed, -50),
        sides,
        write(Pending, -5),
    );
}

#[test]
fn confirmation_is_asked_for_once() {
    let waiting = Standing { asked_at: Some(at(-10)), asked_for: Some(at(-11)), ..stood(Pending, Pending) };
    let sides = (local(Pending, -11), remote(Pending, -10, -1));
    check("waiting", &policy(), waiting.clone(), sides, Verdict::Agreed);
    let sides = (local(Pending, -11), remote(Subscribed, -5, -5));
    check("confirmed", &policy(), waiting, sides, write(Subscribed, -5));
    // The answer to our asking got lost, and the person was quick.
    let sides = (local(Pending, -11), remote(Subscribed, -5, -5));
    check("confirmed before we knew", &policy(), stood(Subscribed, Subscribed), sides, write(Subscribed, -5));
    let asked =
        Standing { asked_at: Some(at(-3)), asked_for: Some(at(-5)), ..left(Subscribed, Pending, -50) };
    let sides = (local(Subscribed, -5), remote(Pending, -3, -3));
    check("asked after an opt-out", &policy(), asked, sides, write(Pending, -3));
    // Asked, but Mailchimp's answer showed them out all the same: the register learns it.
    let ignored = Standing {
        asked_at: Some(at(-3)),
        asked_for: Some(at(-5)),
        local_at: Some(at(-5)),
        ..left(Subscribed, Unsubscribed, -50)
    };
    let sides = (local(Subscribed, -5), remote(Unsubscribed, -80, -50));
    check("asked in vain", &policy(), ignored, sides, Verdict::Stay);
}

#[test]
fn what_the_website_confirms_needs_no_second_mail() {
    let waiting = Standing { asked_at: Some(at(-10)), asked_for: Some(at(-11)), ..stood(Pending, Pending) };
    // Confirmed on the website before our request had reached Mailchimp.
    let sides = (local(Subscribed, -10), remote(Pending, -9, -9));
    check("allowed", &policy(), waiting.clone(), sides, send(Subscribed));
    let sides = (local(Subscribed, -11), remote(Pending, -9, -9));
    check("not later than what was asked for", &policy(), waiting.clone(), sides, write(Pending, -9));
    let confirm = with(|policy| policy.new_local = NewLocal::Confirm);
    let sides = (local(Subscribed, -10), remote(Pending, -9, -9));
    check("policy new_local = confirm", &confirm, waiting.clone(), sides, write(Pending, -9));
    let after_leaving = Standing { opted_out_at: Some(at(-50)), ..waiting };
    check("after an opt-out", &policy(), after_leaving.clone(), sides, write(Pending, -9));
    let direct = with(|policy| policy.resubscribe = Resubscribe::Direct);
    let decision = check("after an opt-out, direct", &direct, after_leaving, sides, send(Subscribed));
    assert_eq!(decision.class, Class::Invitation);
}

#[test]
fn transactional_is_nobodys_opt_in_and_nobodys_opt_out() {
    let sides = (local(Subscribed, -5), remote(Transactional, -80, -80));
    let decision = check("as never subscribed", &policy(), Standing::default(), sides, send(Subscribed));
    assert_eq!(decision.class, Class::Creation);
    check(
        "answered as it was",
        &policy(),
        Standing { remote: Some(Transactional), ..decision.standing },
        sides,
        Verdict::Stay,
    );
    let sides = (local(Unsubscribed, -5), remote(Transactional, -80, -80));
    check("out", &policy(), stood(Subscribed, Subscribed), sides, Verdict::Agreed);
    let sides = (local(Subscribed, -80), remote(Transactional, -80, -80));
    let base = left(Unsubscribed, Transactional, -50);
    check("a backup", &policy(), base.clone(), sides, write(Unsubscribed, -50));
    let sides = (local(Subscribed, -5), remote(Transactional, -80, -80));
    check("later", &policy(), base, sides, send(Pending));
    check("no row", &policy(), Standing::default(), (None, remote(Transactional, -80, -80)), Verdict::Stay);
}
