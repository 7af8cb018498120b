//! What anybody may post as an event, and what they may claim of its signature. The bytes: one line of a header, then the
//! body.

use jiff::Timestamp;
use rosterd::mailchimp::webhook::{NotAnEvent, Signature, check_signature, read, split};
use secrecy::SecretString;

/// No event names more: one in each place where an address can stand.
const MOST_ADDRESSES: usize = 4;
/// So many events are taken at once.
const MOST_EVENTS: usize = 1_000;

/// Whatever is posted is taken apart or refused as a whole; what is taken can be read by itself, and says nothing of itself
/// that could do harm.
pub fn check(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (header, body) = bytes.split_at(end);
    of_a_body(body);
    of_a_body(bytes);
    of_a_signature(&String::from_utf8_lossy(header), body);
}

fn of_a_body(posted: &[u8]) {
    let bodies = match split(posted) {
        Ok(bodies) => bodies,
        Err(error) => {
            // The body names people: what is said of it holds no part of it but numbers.
            let said = error.to_string();
            assert!(said.len() < 100 && !said.contains('@'), "{said}");
            assert!(
                error != NotAnEvent::Empty || String::from_utf8_lossy(posted).trim().is_empty(),
                "{posted:?}"
            );
            return;
        }
    };
    assert!(bodies.len() <= MOST_EVENTS);
    for body in bodies {
        let event = read(&body).expect("what was taken can be read");
        assert!(!event.kind.is_empty() && event.kind.len() <= 40 && event.kind.is_ascii(), "{}", event.kind);
        assert!(!event.kind.contains(char::is_control));
        assert!(event.addresses.len() <= MOST_ADDRESSES);
        for (at, address) in event.addresses.iter().enumerate() {
            assert!(!address.is_forgotten() && !event.addresses[..at].contains(address));
        }
        // Taken alone, it is the same event.
        assert_eq!(split(body.as_bytes()).map(|alone| alone.len()), Ok(1));
        let again = split(body.as_bytes()).unwrap_or_default().remove(0);
        assert_eq!(read(&again).as_ref(), Ok(&event));
    }
}

/// Nobody signs by chance.
fn of_a_signature(header: &str, body: &[u8]) {
    let secrets = [SecretString::from("0123456789abcdef0123456789abcdef"), SecretString::from("before")];
    for now in [Timestamp::UNIX_EPOCH, Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(check_signature(Some(header), body, &secrets, now), Signature::Wrong);
        assert_eq!(check_signature(Some(header), body, &[], now), Signature::Wrong);
    }
}
