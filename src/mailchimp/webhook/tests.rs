//! Bodies as they are documented, as they are forwarded and as nobody should send them; signatures right, old and wrong.

use super::*;

/// A body as it was recorded, with other names.
const PROFILE: &str = "type=profile&fired_at=2026-03-01+12%3A01%3A00&data%5Bid%5D=0a1b2c3d4e&data%5Blist_id%5D=a1b2c3d4e5\
    &data%5Bemail%5D=Ada%2Bnews%40alliance.test&data%5Bmerges%5D%5BEMAIL%5D=ada%40alliance.test\
    &data%5Bmerges%5D%5BFNAME%5D=Ada+%26+Co&data%5Bmerges%5D%5BINTERESTS%5D=";

#[track_caller]
fn check(body: &str, kind: &str, audience: Option<&str>, addresses: &[&str]) {
    let event = read(body).unwrap();
    let shown: Vec<&str> = event.addresses.iter().map(EmailAddress::as_str).collect();
    assert_eq!(
        (event.kind.as_str(), event.audience.as_deref(), &*shown),
        (kind, audience, addresses),
        "{body}"
    );
}

#[test]
fn every_kind_of_event_names_its_addresses() {
    check(PROFILE, "profile", Some("a1b2c3d4e5"), &["Ada+news@alliance.test", "ada@alliance.test"]);
    let upemail = "type=upemail&data[list_id]=l&data[new_id]=1&data[new_email]=new%40alliance.test\
        &data[old_email]=OLD%40alliance.test";
    check(upemail, "upemail", Some("l"), &["new@alliance.test", "OLD@alliance.test"]);
    let cleaned = "data[reason]=hard&type=cleaned&data[email]=a%40alliance.test";
    check(cleaned, "cleaned", None, &["a@alliance.test"]);
    check("type=campaign&data[id]=1&data[status]=sent", "campaign", None, &[]);
    check("type=sms_subscribe&data[phone]=1", "sms_subscribe", None, &[]);
}

#[test]
fn an_address_is_named_once_and_only_where_it_is_one() {
    check("type=x&data[email]=A%40b.test&data[merges][EMAIL]=a%40B.test", "x", None, &["A@b.test"]);
    check("type=x&data[email]=nobody", "x", None, &[]);
    check("type=x&data[email]=0a%40forgotten.mailchimp.com", "x", None, &[]);
    check(
        "type=x&data[email]=%FF%FE%40b.test&data[email]=c%40b.test",
        "x",
        None,
        &["\u{fffd}\u{fffd}@b.test"],
    );
}

#[test]
fn of_everything_else_is_kept_when_it_happened_and_how_somebody_left_in_words_that_name_nobody() {
    let details = |body: &str| {
        let details = read(body).unwrap().details.into_iter();
        details.map(|(name, said)| format!("{name}={said}")).collect::<Vec<_>>()
    };
    let body =
        "type=unsubscribe&fired_at=2026-03-01+12%3A01%3A00&data[action]=delete&data[reason]=abuse&data[id]=1";
    assert_eq!(details(body), ["action=delete", "fired_at=2026-03-01 12:01:00", "reason=abuse"]);
    let json = r#"{"type":"x","fired_at":"2026-03-01T12:01:00+00:00","data":{"action":7,"reason":""}}"#;
    assert_eq!(details(json), ["fired_at=2026-03-01T12:01:00+00:00"]);
    for said in ["a%40b.test", "\\u0040", &"a".repeat(LONGEST_WORD + 1), "%1b[2J"] {
        assert_eq!(details(&format!("type=x&data[reason]={said}")), [""; 0], "{said}");
    }
}

#[test]
fn forwarded_as_json_it_is_the_same() {
    let nested = r#"{"type":"upemail","data":{"list_id":"l","new_email":"n@b.test","old_email":"o@b.test"}}"#;
    check(nested, "upemail", Some("l"), &["n@b.test", "o@b.test"]);
    let flat = r#" {"type":"profile","data[email]":"a@b.test","data[merges][EMAIL]":"c@b.test"}"#;
    check(flat, "profile", None, &["a@b.test", "c@b.test"]);
    check(r#"{"type":"x","data":[1],"data[email]":7}"#, "x", None, &[]);
}

#[test]
fn one_or_many_can_be_posted_at_a_time() {
    let posted = |text: &str| split(text.as_bytes());
    assert_eq!(posted("type=a&data[x]=1\n").unwrap(), ["type=a&data[x]=1"]);
    assert_eq!(posted(r#"{"type":"a"}"#).unwrap(), [r#"{"type":"a"}"#]);
    let many = r#"[{"type":"a"}, "type=b&data[email]=a%40b.test"]"#;
    let both = [r#"{"type":"a"}"#, "type=b&data[email]=a%40b.test"];
    assert_eq!(posted(many).unwrap(), both);
    assert_eq!(posted(&format!(r#"{{"events": {many}}}"#)).unwrap(), both);
    assert_eq!(posted("[]").unwrap(), [""; 0]);
    let nested = r#"{"type":"a","events":[{"type":"b"}]}"#;
    assert_eq!(posted(nested).unwrap(), [nested], "an event that holds a list is one event");
}

#[test]
fn what_is_no_event_is_said_with_its_place_and_not_with_its_words() {
    let cases: [(&[u8], NotAnEvent); 12] = [
        (b" \n", NotAnEvent::Empty),
        (b"\xff\xfe=", NotAnEvent::NotText),
        (b"hello", NotAnEvent::NoType { at: 1 }),
        (b"type=&data[email]=a%40b.test", NotAnEvent::NoType { at: 1 }),
        (b"type=%3Cb%3E", NotAnEvent::NoType { at: 1 }),
        (b"{\"type\":\"a\",", NotAnEvent::NotJson { line: 1, column: 12 }),
        (b"{\"type\":1}", NotAnEvent::NoType { at: 1 }),
        (b"{\"events\":7}", NotAnEvent::NoType { at: 1 }),
        (b"[{\"type\":\"a\"},7]", NotAnEvent::NotAnObject { at: 2 }),
        (b"[{\"type\":\"a\"},\"{}\"]", NotAnEvent::NotAnObject { at: 2 }),
        (b"[{\"type\":\"a\"},{}]", NotAnEvent::NoType { at: 2 }),
        (b"[{\"type\":\"a\"},\"\"]", NotAnEvent::NoType { at: 2 }),
    ];
    for (posted, expected) in cases {
        assert_eq!(split(posted), Err(expected), "{}", String::from_utf8_lossy(posted));
    }
    let many = vec!["\"type=a\""; MANY + 1].join(",");
    assert_eq!(split(format!("[{many}]").as_bytes()), Err(NotAnEvent::TooMany));
    let deep = "[".repeat(100_000);
    assert!(matches!(split(deep.as_bytes()), Err(NotAnEvent::NotJson { .. })));
}

fn secrets(words: &[&str]) -> Vec<SecretString> {
    words.iter().map(|word| SecretString::from(*word)).collect()
}

/// A value worked out with another program: `printf '5.a=b' | openssl dgst -sha256 -hmac key`.
const FIVE: &str = "t=5,v1=51a7da233371831e03c02549b7e9f9b5f6a166a1a39f4d9bdf700289f3b7c922";

#[test]
fn a_signature_holds_for_its_secret_its_body_and_its_time() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let check = |header: Option<&str>, body: &[u8], words: &[&str], second, expected| {
        let shown = check_signature(header, body, &secrets(words), at(second));
        assert_eq!(shown, expected, "{header:?} at {second} with {words:?}");
    };
    check(Some(FIVE), b"a=b", &["key"], 5, Signature::Right);
    check(Some(FIVE), b"a=b", &["new", "key"], 305, Signature::Right);
    check(Some(&FIVE.replace(',', " , ")), b"a=b", &["key"], 5, Signature::Right);
    check(
        Some(&FIVE.to_uppercase().replace("T=", "t=").replace("V1=", "v1=")),
        b"a=b",
        &["key"],
        5,
        Signature::Right,
    );
    check(Some(&format!("{FIVE},v1={}", "0".repeat(64))), b"a=b", &["key"], 5, Signature::Right);
    let behind =
        |n_wrong: usize| FIVE.replace(",v1", &(format!(",v1={}", "0".repeat(64)).repeat(n_wrong) + ",v1"));
    check(Some(&behind(3)), b"a=b", &["key"], 5, Signature::Right);
    check(Some(&behind(4)), b"a=b", &["key"], 5, Signature::Wrong);
    check(Some(FIVE), b"a=b", &["key"], 306, Signature::Stale);
    check(Some(FIVE), b"a=b", &["key"], -296, Signature::Stale);
    check(Some(FIVE), b"a=c", &["key"], 5, Signature::Wrong);
    check(Some(FIVE), b"a=b", &["other"], 5, Signature::Wrong);
    check(Some(FIVE), b"a=b", &[], 5, Signature::Wrong);
    check(Some(&FIVE.replace("t=5", "t=6")), b"a=b", &["key"], 5, Signature::Wrong);
    check(Some(&FIVE[..40]), b"a=b", &["key"], 5, Signature::Wrong);
    check(Some("t=5,v1="), b"a=b", &["key"], 5, Signature::Wrong);
    check(Some("t=5"), b"a=b", &["key"], 5, Signature::Wrong);
    check(Some(&"é".repeat(64)), b"a=b", &["key"], 5, Signature::Wrong);
    check(Some(&format!("t=5,v1={}", "é".repeat(32))), b"a=b", &["key"], 5, Signature::Wrong);
    check(Some(""), b"a=b", &["key"], 5, Signature::Wrong);
    check(None, b"a=b", &["key"], 5, Signature::Wrong);
}
