//! Requests of parties outside that sign what they send, as the Standard Webhooks specification says:
//! an HMAC-SHA256 of `ID.TIMESTAMP.BODY`, in three headers.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRef, FromRequest, Request},
    http::{HeaderMap, StatusCode},
    response::IntoResponse as _,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use mainstay_clock::Clock;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::{Access, Error, Problem, Result};

/// The header with the id of what is told: the same if it is told again.
const ID: &str = "webhook-id";
/// The header with the time of sending, in seconds since 1970.
const TIMESTAMP: &str = "webhook-timestamp";
/// The header with signatures: `v1,BASE64`, several separated by spaces.
const SIGNATURE: &str = "webhook-signature";

/// A captured request is refused after this time, and so is a sender whose clock is further off.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Bytes of an id at most.
const LONGEST_ID: usize = 200;
/// Signatures of one webhook that are looked at: a sender that changes its secret sends two.
const MOST_SIGNATURES: usize = 8;
/// Bytes of a random secret.
const LENGTH: usize = 32;

/// The secret that a party outside shares with us.
#[derive(Clone)]
pub struct WebhookSecret(Hmac<Sha256>);

impl WebhookSecret {
    /// Reads `whsec_BASE64`.
    ///
    /// # Errors
    /// [`Error::Setting`]: it is something else, or not of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self> {
        let secret = text.strip_prefix("whsec_");
        let secret = secret.and_then(|secret| BASE64_STANDARD.decode(secret).ok());
        let secret = secret.filter(|bytes| (24..=64).contains(&bytes.len()));
        let hmac = secret.and_then(|bytes| Hmac::new_from_slice(&bytes).ok());
        hmac.map(Self).ok_or(Error::Setting {
            what: "a webhook secret is invalid: expected whsec_ and 24 to 64 bytes in base64",
        })
    }

    /// A new secret.
    ///
    /// # Errors
    /// [`Error::Setting`]: the system has no random numbers.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; LENGTH];
        let filled = getrandom::fill(&mut bytes).ok();
        let hmac = filled.and_then(|()| Hmac::new_from_slice(&bytes).ok());
        hmac.map(Self).ok_or(Error::Setting {
            what: "the system gives no random numbers for a webhook secret",
        })
    }

    /// The headers of a webhook that is sent at `at`. Send `id` again if you send the same again.
    #[must_use]
    pub fn sign(&self, id: &str, at: SystemTime, body: &[u8]) -> HeaderMap {
        let timestamp = seconds(at).to_string();
        let tag = self.mac(id, &timestamp, body).finalize().into_bytes();
        let signature = format!("v1,{}", BASE64_STANDARD.encode(tag));
        let headers = [(ID, id), (TIMESTAMP, &timestamp), (SIGNATURE, &signature)];
        // An id that no header takes is left out, and refused as a missing one.
        let readable = headers.into_iter().filter_map(|(name, value)| {
            let name = axum::http::HeaderName::from_static(name);
            Some((name, value.parse().ok()?))
        });
        readable.collect()
    }

    /// The id of a webhook whose signature is right.
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<String, Problem> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signatures)) =
            (text(ID), text(TIMESTAMP), text(SIGNATURE))
        else {
            return Err(refused(
                "send the headers webhook-id, webhook-timestamp and webhook-signature",
            ));
        };
        // What costs nothing comes first; then the body is hashed once, however many signatures there are.
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(refused("send an id of 1 to 200 bytes"));
        }
        let sent: u64 = timestamp.parse().unwrap_or(0);
        if sent.abs_diff(seconds(now)) > TOLERANCE.as_secs() {
            return Err(refused(
                "it was signed more than five minutes ago, or the clocks differ by as much",
            ));
        }
        let mac = self.mac(id, timestamp, body);
        let is_right = signatures
            .split(' ')
            .take(MOST_SIGNATURES)
            .any(|signature| {
                let tag = signature.strip_prefix("v1,");
                let tag = tag.and_then(|tag| BASE64_STANDARD.decode(tag).ok());
                tag.is_some_and(|tag| mac.clone().verify_slice(&tag).is_ok())
            });
        if !is_right {
            return Err(refused(
                "sign ID.TIMESTAMP.BODY with the secret of this endpoint",
            ));
        }
        Ok(id.to_owned())
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

fn seconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn refused(detail: &str) -> Problem {
    let title = "The webhook needs a valid signature";
    Problem::new(StatusCode::UNAUTHORIZED, "signature-invalid", title, detail)
}

/// The secrets of the parties outside, one each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebhookSecrets {
    /// The carrier, which tells where parcels are.
    pub carrier: WebhookSecret,
    /// The payment provider, which tells what came of a payment.
    pub psp: WebhookSecret,
}

impl WebhookSecrets {
    /// The carrier's secret in a deployment that is open, for trying out: nobody else reaches it.
    pub const DEVELOPMENT_CARRIER: &str = "whsec_Y29tbWVyY2UgY2FycmllciBkZXZlbG9wbWVudA==";
    /// The payment provider's, likewise.
    pub const DEVELOPMENT_PSP: &str = "whsec_Y29tbWVyY2UgcHJvdmlkZXIgZGV2ZWxvcG1lbnQ=";

    /// The secrets as they are set. One that is not set is the development secret in an open
    /// deployment; otherwise it is random, so that only this process can sign.
    ///
    /// # Errors
    /// [`Error::Setting`]: one cannot be read.
    pub fn new(carrier: Option<&str>, psp: Option<&str>, access: Access) -> Result<Self> {
        let of = |set: Option<&str>, development: &str| match (set, access) {
            (Some(set), _) => WebhookSecret::parse(set),
            (None, Access::Open) => WebhookSecret::parse(development),
            (None, Access::Required) => WebhookSecret::random(),
        };
        Ok(Self {
            carrier: of(carrier, Self::DEVELOPMENT_CARRIER)?,
            psp: of(psp, Self::DEVELOPMENT_PSP)?,
        })
    }
}

/// Checks the webhooks of one party: a part of the state of the routes that take [`Signed`].
#[derive(Clone, Debug)]
pub struct Signatures {
    secret: WebhookSecret,
    clock: Arc<dyn Clock>,
}

impl Signatures {
    /// Of the party with this secret.
    #[must_use]
    pub const fn new(secret: WebhookSecret, clock: Arc<dyn Clock>) -> Self {
        Self { secret, clock }
    }
}

/// A webhook whose signature is right: the last argument of a handler. A wrong one is a 401.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    /// The sender's id of what is told. A webhook may come more than once.
    pub id: String,
    /// What is told.
    pub body: T,
}

impl<T, S> FromRequest<S> for Signed<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
    Signatures: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Signatures { secret, clock } = Signatures::from_ref(state);
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| {
            let status = rejection.into_response().status();
            let title = "The body could not be read";
            Problem::new(
                status,
                "unreadable-body",
                title,
                "send a smaller body, and all of it",
            )
        })?;
        let id = secret.verify(&headers, &body, clock.now())?;
        let Json(body) = Json::from_bytes(&body)?;
        Ok(Self { id, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: <https://github.com/standard-webhooks/standard-webhooks>.
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(1_614_265_330);
        let headers = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            headers[SIGNATURE],
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_webhook_is_taken_only_as_it_was_signed() {
        let secret = WebhookSecret::random().unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let signed = secret.sign("scan-1", at, b"{}");
        let verify = |headers: &HeaderMap, body: &[u8], now| secret.verify(headers, body, now);
        assert_eq!(verify(&signed, b"{}", at).unwrap(), "scan-1");
        assert!(verify(&signed, b"{ }", at).is_err(), "another body");
        let other = WebhookSecret::random().unwrap().sign("scan-1", at, b"{}");
        assert!(verify(&other, b"{}", at).is_err(), "another secret");
        for (name, value) in [
            (ID, "scan-2"),
            (TIMESTAMP, "1000001"),
            (SIGNATURE, "v1,"),
            (SIGNATURE, "v1a,AAAA"),
        ] {
            let mut forged = signed.clone();
            forged.insert(name, value.parse().unwrap());
            let refused = verify(&forged, b"{}", at).unwrap_err();
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{name}");
            forged.remove(name);
            assert!(verify(&forged, b"{}", at).is_err(), "without {name}");
        }
        let mut two = signed.clone();
        let both = format!("{} {}", "v1,AAAA", signed[SIGNATURE].to_str().unwrap());
        two.insert(SIGNATURE, both.parse().unwrap());
        assert!(
            verify(&two, b"{}", at).is_ok(),
            "one of two signatures is right"
        );
    }

    #[test]
    fn a_webhook_has_eight_signatures_at_most_and_an_id_of_200_bytes() {
        let secret = WebhookSecret::random().unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (wrong_ones, is_taken) in [(MOST_SIGNATURES - 1, true), (MOST_SIGNATURES, false)] {
            let mut signed = secret.sign("scan-1", at, b"{}");
            let right = signed[SIGNATURE].to_str().unwrap();
            let all = format!("{}{right}", "v1,AAAA ".repeat(wrong_ones));
            signed.insert(SIGNATURE, all.parse().unwrap());
            assert_eq!(secret.verify(&signed, b"{}", at).is_ok(), is_taken);
        }
        for (length, is_taken) in [(0, false), (LONGEST_ID, true), (LONGEST_ID + 1, false)] {
            let signed = secret.sign(&"x".repeat(length), at, b"{}");
            assert_eq!(secret.verify(&signed, b"{}", at).is_ok(), is_taken);
        }
    }

    #[test]
    fn a_webhook_is_taken_within_five_minutes() {
        let secret = WebhookSecret::parse(WebhookSecrets::DEVELOPMENT_CARRIER).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let signed = secret.sign("scan-1", at, b"{}");
        for (now, is_taken) in [
            (at + TOLERANCE, true),
            (at - TOLERANCE, true),
            (at + TOLERANCE + Duration::from_secs(1), false),
            (at - TOLERANCE - Duration::from_secs(1), false),
        ] {
            assert_eq!(secret.verify(&signed, b"{}", now).is_ok(), is_taken);
        }
    }

    #[test]
    fn what_is_not_set_is_known_only_in_an_open_deployment() {
        let signs = |secrets: &WebhookSecrets, text: &str| {
            let known = WebhookSecret::parse(text).unwrap();
            let sign = |secret: &WebhookSecret| secret.sign("scan-1", UNIX_EPOCH, b"{}");
            sign(&known) == sign(&secrets.carrier)
        };
        let open = WebhookSecrets::new(None, None, Access::Open).unwrap();
        assert!(signs(&open, WebhookSecrets::DEVELOPMENT_CARRIER));
        let closed = WebhookSecrets::new(None, None, Access::Required).unwrap();
        assert!(!signs(&closed, WebhookSecrets::DEVELOPMENT_CARRIER));
        let set = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let closed = WebhookSecrets::new(Some(set), None, Access::Required).unwrap();
        assert!(signs(&closed, set));
        for wrong in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert!(WebhookSecrets::new(Some(wrong), None, Access::Open).is_err());
        }
        assert_eq!(format!("{:?}", open.carrier), "WebhookSecret");
    }
}
