//! Single values of either side. The bytes: one that says which kind of field it is for, then the text.

use rosterd::mailchimp::wire::field_value::{FieldText, to_wire};
use rosterd::mailchimp::wire::time;
use rosterd::model::{EmailAddress, FieldKind, Interest, MergeTag, SubscriptionStatus};

use super::stage;

/// What a value is read as stays what it is, however often it is read, and survives the way to Mailchimp and back.
pub fn check(bytes: &[u8]) {
    let [kind, text @ ..] = bytes else { return };
    let kind = stage::KINDS[usize::from(*kind) % stage::KINDS.len()];
    let text = String::from_utf8_lossy(text);
    of_a_field(kind, &text);
    if let Ok(FieldText(shown)) = serde_json::from_str(&text) {
        of_a_field(kind, &shown);
    }
    of_an_address(&text);
    of_a_time(&text);
    if let Some(interest) = Interest::parse(&text) {
        assert_eq!(Interest::parse(&interest.to_string()), Some(interest));
    }
    if let Ok(tag) = MergeTag::parse(&text) {
        assert_eq!(MergeTag::parse(tag.as_str()), Ok(tag));
    }
    if let Some(status) = SubscriptionStatus::parse(&text) {
        assert_eq!(SubscriptionStatus::parse(status.as_str()), Some(status));
    }
}

fn of_a_field(kind: FieldKind, text: &str) {
    let normal = kind.normal_form(text);
    assert_eq!(kind.normal_form(&normal), normal, "{kind:?} {text:?} has no form that stays");
    assert!(kind.agree(text, &normal));
    let sent = to_wire(kind, text).to_string();
    let FieldText(shown) = serde_json::from_str(&sent).expect("what is sent is JSON");
    assert!(kind.agree(text, &shown), "{kind:?} {text:?} is sent as {sent} and comes back as {shown:?}");
}

fn of_an_address(text: &str) {
    let Ok(address) = EmailAddress::parse(text) else { return };
    assert_eq!(EmailAddress::parse(address.as_str()).unwrap().as_str(), address.as_str());
    assert_eq!(EmailAddress::parse(&address.key()).expect("its key is an address").hash(), address.hash());
    stage::harmless(&format!("{address:?}"));
    let kept = serde_json::to_string(&address).unwrap();
    assert_eq!(serde_json::from_str::<EmailAddress>(&kept).unwrap().as_str(), address.as_str());
}

fn of_a_time(text: &str) {
    let Some(moment) = time::read(text) else { return };
    // Before the year 1 nobody opted in to anything; Mailchimp has no way to write it.
    if time::write(moment).starts_with('-') {
        return;
    }
    let again = time::read(&time::write(moment)).expect("what is written is a time");
    assert!((moment.as_second() - again.as_second()).abs() <= 1, "{text:?} is {moment}, then {again}");
    assert_eq!(time::write(again), time::write(moment));
}
