//! A webhook's body into an event, and the signature of its calls.
//!
//! An event says that something about an address changed, and nothing more: what it claims is read and shown, never
//! believed. Bodies come form-encoded from Mailchimp, and form-encoded or as JSON from whoever forwards them.
//! <https://mailchimp.com/developer/marketing/docs/webhooks/>

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;

use crate::model::EmailAddress;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-mailchimp-signature";
/// What was signed longer ago is not acted on. <https://mailchimp.com/developer/marketing/docs/webhooks/>
const STALE: SignedDuration = SignedDuration::from_secs(300);
/// Events in one body: more come in several.
const MANY: usize = 1_000;
/// A kind is a word of Mailchimp's; the longest known one has 25 letters. So is whatever else is kept of an event.
const LONGEST_WORD: usize = 40;
/// What else is kept of an event, for staff to read: when it happened by Mailchimp's word, and how somebody left.
const DETAILS: [(&str, &[&str]); 3] =
    [("fired_at", &["fired_at"]), ("action", &["data", "action"]), ("reason", &["data", "reason"])];
/// What an event names an address by. `upemail` names two; the fields of a profile may be newer than its address.
const ADDRESSES: [&[&str]; 4] =
    [&["data", "email"], &["data", "new_email"], &["data", "old_email"], &["data", "merges", "EMAIL"]];

/// What a body says, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Its kind in Mailchimp's word: `subscribe`, `unsubscribe`, `profile`, `upemail`, `cleaned`, `campaign` …
    pub kind: String,
    /// The audience that it happened in, where it says so.
    pub audience: Option<String>,
    /// The addresses that it names, each once: to be looked at.
    pub addresses: Vec<EmailAddress>,
    /// `fired_at`, `action` (`unsub`, `delete`) and `reason` (`manual`, `abuse`, `hard`), where they look like it: none of
    /// them can name anybody.
    pub details: BTreeMap<String, String>,
}

impl WebhookEvent {
    /// One that says nothing else.
    pub fn of_kind(kind: &str) -> Self {
        Self { kind: kind.to_owned(), audience: None, addresses: Vec::new(), details: BTreeMap::new() }
    }
}

/// Why a body is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// There is nothing in it.
    #[error("the body is empty")]
    Empty,
    /// It is neither a form nor JSON.
    #[error("the body is no text in UTF-8")]
    NotText,
    /// It begins like JSON and is not.
    #[error("the body is no JSON: it goes wrong at line {line}, column {column}")]
    NotJson {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// A member of the list is neither an object nor a form.
    #[error("event {at} is neither an object nor a form-encoded text")]
    NotAnObject {
        /// Which one, counted from 1.
        at: usize,
    },
    /// Nothing says what happened.
    #[error("event {at} has no `type`")]
    NoType {
        /// Which one, counted from 1.
        at: usize,
    },
    /// More than are taken at once.
    #[error("the body holds more than {MANY} events: send several")]
    TooMany,
}

/// Splits what was posted, one event or many, into bodies of one event each.
///
/// JSON is an object, a list, or an object with a list of `events`; its members are objects, or form-encoded texts as
/// Mailchimp sent them.
///
/// # Errors
///
/// Any of it is no event: then none of it is taken.
pub fn split(posted: &[u8]) -> Result<Vec<String>, NotAnEvent> {
    let text = str::from_utf8(posted).map_err(|_| NotAnEvent::NotText)?.trim();
    if text.is_empty() {
        return Err(NotAnEvent::Empty);
    }
    if !looks_like_json(text) {
        read(text)?;
        return Ok(vec![text.to_owned()]);
    }
    let members = match json(text)? {
        Value::Array(members) => members,
        // What has a type is an event, whatever else is in it.
        Value::Object(object) if object.contains_key("type") => {
            read(text)?;
            return Ok(vec![text.to_owned()]);
        }
        Value::Object(mut object) => match object.remove("events") {
            Some(Value::Array(members)) => members,
            Some(_) | None => return Err(NotAnEvent::NoType { at: 1 }),
        },
        _ => return Err(NotAnEvent::NotAnObject { at: 1 }),
    };
    if members.len() > MANY {
        return Err(NotAnEvent::TooMany);
    }
    let bodies = members.into_iter().enumerate().map(|(at, member)| {
        let body = match member {
            Value::String(form) if !looks_like_json(&form) => form,
            Value::Object(object) => Value::Object(object).to_string(),
            _ => return Err(NotAnEvent::NotAnObject { at: at + 1 }),
        };
        read(&body).map_err(|error| error.at(at + 1))?;
        Ok(body)
    });
    bodies.collect()
}

/// Reads the body of one event.
///
/// # Errors
///
/// It is none.
pub fn read(body: &str) -> Result<WebhookEvent, NotAnEvent> {
    let body = Body::parse(body)?;
    let kind = body.first(&["type"]).map(|kind| kind.trim().to_owned());
    let kind = kind.filter(|kind| is_word(kind)).ok_or(NotAnEvent::NoType { at: 1 })?;
    let mut addresses: Vec<EmailAddress> = Vec::new();
    for name in ADDRESSES {
        let named = body.first(name).and_then(|text| EmailAddress::parse(&text).ok());
        addresses.extend(named.filter(|address| !address.is_forgotten() && !addresses.contains(address)));
    }
    let audience = body.first(&["data", "list_id"]).filter(|id| !id.is_empty());
    let detail = |(name, place): (&str, &[&str])| {
        let said = body.first(place)?.trim().to_owned();
        is_word(&said.replace([' ', ':', '+'], "-")).then(|| (name.to_owned(), said))
    };
    let details = DETAILS.into_iter().filter_map(detail).collect();
    Ok(WebhookEvent { kind, audience, addresses, details })
}

impl NotAnEvent {
    fn at(self, at: usize) -> Self {
        match self {
            Self::NoType { .. } | Self::Empty => Self::NoType { at },
            Self::NotAnObject { .. } | Self::NotText | Self::NotJson { .. } | Self::TooMany => self,
        }
    }
}

/// A body of one event, for looking things up in it.
enum Body {
    Form(Vec<(String, String)>),
    Json(Value),
}

impl Body {
    fn parse(text: &str) -> Result<Self, NotAnEvent> {
        if looks_like_json(text) {
            return json(text).map(Self::Json);
        }
        let decoded = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.trim().split('&').filter_map(|pair| pair.split_once('='));
        Ok(Self::Form(pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()))
    }

    /// The first value of this name: `data[email]` in a form; in JSON nested, or under the form's name.
    fn first(&self, name: &[&str]) -> Option<String> {
        match self {
            Self::Form(pairs) => {
                let name = in_brackets(name);
                pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone())
            }
            Self::Json(value) => {
                let nested = name.iter().try_fold(value, |value, part| value.get(part));
                let found = nested.or_else(|| value.get(in_brackets(name)))?;
                found.as_str().map(str::to_owned)
            }
        }
    }
}

fn in_brackets(name: &[&str]) -> String {
    let (first, rest) = name.split_first().unwrap_or((&"", &[]));
    rest.iter().fold((*first).to_owned(), |name, part| format!("{name}[{part}]"))
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// The error's own words may quote the text: only the place is kept.
fn json(text: &str) -> Result<Value, NotAnEvent> {
    serde_json::from_str(text)
        .map_err(|error| NotAnEvent::NotJson { line: error.line(), column: error.column() })
}

fn is_word(kind: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    !kind.is_empty() && kind.len() <= LONGEST_WORD && kind.chars().all(is_letter)
}

/// What the signature of a call shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Mailchimp sent it, just now.
    Right,
    /// Mailchimp sent it, but another time: it may have been kept and sent again by somebody else.
    Stale,
    /// It is missing, or made with another secret or for another body.
    Wrong,
}

/// So many signatures of one call are looked at: one for each secret while it changes, and as many again.
const SIGNATURES: usize = 4;

/// Checks the signature of a call against every secret that it may have been made with.
///
/// `header` is `t=…,v1=…`: the time in seconds since 1970, and the HMAC-SHA256 of `{t}.{body}` in hexadecimal digits.
pub fn check_signature(
    header: Option<&str>,
    body: &[u8],
    secrets: &[SecretString],
    now: Timestamp,
) -> Signature {
    let parts = || header.into_iter().flat_map(|header| header.split(',')).map(str::trim);
    let Some(time) = parts().find_map(|part| part.strip_prefix("t=")) else { return Signature::Wrong };
    let given: Vec<Vec<u8>> =
        parts().filter_map(|part| part.strip_prefix("v1=")).take(SIGNATURES).filter_map(bytes).collect();
    // Each secret is tried once, however many signatures a stranger gives.
    let right = !given.is_empty()
        && secrets.iter().any(|secret| {
            Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).is_ok_and(|mut mac| {
                mac.update(time.as_bytes());
                mac.update(b".");
                mac.update(body);
                // Takes the same time wherever the two differ.
                given.iter().any(|given| mac.clone().verify_slice(given).is_ok())
            })
        });
    if !right {
        return Signature::Wrong;
    }
    let signed_at = time.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
    match signed_at {
        Some(signed_at) if now.duration_since(signed_at).abs() <= STALE => Signature::Right,
        Some(_) | None => Signature::Stale,
    }
}

/// The 32 bytes of 64 hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests;
