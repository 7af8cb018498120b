//! A status for which the register has no word: the last row of the table.

use crate::reconcile::consent::across::{BOUNCED, WORDLESS};

use super::*;

fn two_words() -> Policy {
    with(|policy| {
        policy.register.lacks_pending = true;
        policy.register.lacks_cleaned = true;
    })
}

#[test]
fn a_status_for_which_the_register_has_no_word() {
    let row = "a status for which the register has no word";
    let both = || stood(Subscribed, Subscribed);
    // A row that shows `subscribed` is left as it is; the base remembers what it means.
    let cases = [
        (both(), remote(Pending, -80, -5), Pending, WORDLESS),
        (both(), remote(Cleaned, -80, -5), Cleaned, BOUNCED),
        (Standing::default(), remote(Pending, -80, -5), Pending, WORDLESS),
        (Standing::default(), remote(Cleaned, -80, -5), Cleaned, BOUNCED),
    ];
    for (base, theirs, status, note) in cases {
        let decision =
            check(row, &two_words(), base.clone(), (local(Subscribed, -90), theirs), Verdict::Agreed);
        assert_eq!((decision.standing.local, decision.standing.local_at), (Some(status), Some(at(-90))));
        assert_eq!((decision.standing.remote, decision.note), (Some(status), Some(note)));
        // With words for them, they are written.
        check(row, &policy(), base, (local(Subscribed, -90), theirs), write(status, -5));
    }
    // The note stays for as long as that is so.
    let decision = check(
        row,
        &two_words(),
        stood(Pending, Pending),
        (local(Pending, -90), remote(Pending, -80, -5)),
        Verdict::Agreed,
    );
    assert_eq!(decision.note, Some(WORDLESS));
    // Nothing turns an opt-out of the register into what looks like a subscription.
    let decision = check(
        row,
        &two_words(),
        left(Unsubscribed, Unsubscribed, -50),
        (local(Unsubscribed, -50), remote(Pending, -80, -5)),
        Verdict::Stay,
    );
    assert_eq!(decision.note, Some(WORDLESS));
}

#[test]
fn a_row_goes_on_to_mean_what_was_agreed_on_until_it_says_something_else() {
    let known = |status, minutes| Standing { local_at: Some(at(minutes)), ..stood(status, status) };
    let says = |status, minutes: i64, base: &Standing, policy: &Policy| {
        let rows = [row("1", status, Some(minutes))];
        local_word(&rows, &BTreeSet::new(), base, policy, at(0)).unwrap().status
    };
    let (pending, bounced) = (known(Pending, -90), known(Cleaned, -90));
    let cases = [
        (Subscribed, -90, &pending, Pending),
        // Who was asked to confirm does so in Mailchimp: a yes of the register is no other than the one before.
        (Subscribed, -10, &pending, Pending),
        (Unsubscribed, -90, &pending, Unsubscribed),
        (Unsubscribed, -10, &pending, Unsubscribed),
        (Subscribed, -90, &bounced, Cleaned),
        (Subscribed, -10, &bounced, Subscribed),
        (Unsubscribed, -90, &bounced, Unsubscribed),
    ];
    for (shown, minutes, base, expected) in cases {
        assert_eq!(says(shown, minutes, base, &two_words()), expected, "{shown} {minutes} {base:?}");
        assert_eq!(says(shown, minutes, base, &policy()), shown, "with words for them");
    }
}
