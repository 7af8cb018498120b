//! Secrets that callers show, and those that Mailchimp signs with.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::aside::aside;
use crate::mailchimp::refusal::chain;
use crate::state::signing_secrets;
use crate::telemetry::seldom::Seldom;
use crate::web::Web;

/// Kept secrets are read again after this long: `provision` may have been told one.
const READ_AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// Whether a caller shows the secret; takes the same time wherever they differ, and whatever their lengths.
pub(super) fn are_equal(ours: &SecretString, shown: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text);
    digest(ours.expose_secret()).as_slice().ct_eq(digest(shown).as_slice()).into()
}

/// The token of an `Authorization: Bearer …` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What Mailchimp may have signed with, as last read.
#[derive(Debug, Default)]
pub struct Signing {
    kept: Mutex<Option<Kept>>,
    untold: Seldom,
}

#[derive(Clone, Debug)]
struct Kept {
    read_at: Timestamp,
    secrets: Arc<[SecretString]>,
}

impl Signing {
    /// All that are known.
    pub(super) async fn known(&self, web: &Web) -> Result<Arc<[SecretString]>, StatusCode> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = web.clock.now();
        // That there is none is never remembered: from the moment on that one is known, it counts.
        let is_fresh =
            |kept: &Kept| !kept.secrets.is_empty() && now.duration_since(kept.read_at).abs() < READ_AGAIN;
        match kept.filter(is_fresh) {
            Some(kept) => Ok(kept.secrets),
            None => self.known_afresh(web).await,
        }
    }

    /// All that are known, read again. Where they cannot be read nothing can be checked, and nothing is taken on trust.
    pub(super) async fn known_afresh(&self, web: &Web) -> Result<Arc<[SecretString]>, StatusCode> {
        let (state, now) = (web.state.path().to_owned(), web.clock.now());
        let configured = web.terms.borrow().webhook_signing_secret.clone();
        let error = match aside(move || signing_secrets(&state, configured.as_ref(), now)).await {
            Ok(Ok(known)) => {
                let secrets: Arc<[SecretString]> = known.into();
                let kept = Kept { read_at: now, secrets: secrets.clone() };
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
                return Ok(secrets);
            }
            Ok(Err(error)) => chain(&error),
            Err(error) => chain(&error),
        };
        if let Some(events) = self.untold.add(1, now) {
            tracing::error!(events, error, "events are refused: what Mailchimp signs with cannot be read");
        }
        Err(StatusCode::SERVICE_UNAVAILABLE)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_secret_equals_itself_alone() {
        let ours = SecretString::from("0123456789abcdef");
        assert!(are_equal(&ours, "0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!are_equal(&ours, other), "{other}");
        }
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        let cases = [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
            ("Bearer", None),
        ];
        for (value, expected) in cases {
            let headers = [(header::AUTHORIZATION, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(bearer(&headers), expected, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
