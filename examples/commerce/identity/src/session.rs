//! What a refresh token is worth.
//!
//! A refresh token is used once: its use replaces it by its successor. A client whose answer was lost
//! sends the used token again and, within the [`GRACE`], gets the same successor. After it, somebody
//! else has a copy: the session ends, with all tokens that descend from its login.
//!
//! No table holds a token. The successor is computed from the used token and a nonce, so that a reader
//! of the tables cannot compute it, while the sender of the used token can get it again.

use std::time::Duration;

use crate::secret::Secret;

/// How long a used token brings its successor again.
pub(crate) const GRACE: Duration = Duration::from_secs(20);
/// How long an unused token is valid.
pub(crate) const IDLE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// How long a login lasts at most.
pub(crate) const LONGEST: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// A stored token with its session. Times are microseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stored {
    pub(crate) session_id: String,
    pub(crate) user_id: String,
    pub(crate) expires_at: i64,
    /// When it was used, and the nonce of its successor.
    pub(crate) used: Option<(i64, Vec<u8>)>,
    pub(crate) session_ends_at: i64,
    pub(crate) session_revoked: bool,
}

/// What is done about a token that is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Replace it by its successor.
    Rotate,
    /// Its successor exists; this is its nonce.
    Again(Vec<u8>),
    /// Somebody has a copy: end the session.
    Reused,
    /// It is not valid any more.
    Ended,
}

/// What is done about `token`, if it is sent at `now`.
pub(crate) fn judge(token: &Stored, now: i64) -> Verdict {
    if token.session_revoked {
        return Verdict::Ended;
    }
    match &token.used {
        Some((at, nonce)) if now <= after(*at, GRACE) => Verdict::Again(nonce.clone()),
        // Even after its end: a thief may have been slow.
        Some(_) => Verdict::Reused,
        None if now < token.expires_at.min(token.session_ends_at) => Verdict::Rotate,
        None => Verdict::Ended,
    }
}

/// A new token from random bytes.
pub(crate) fn token(random: [u8; 32]) -> Secret {
    Secret(hex::encode(random))
}

/// What the table holds of a token. Tokens are random, so a fast hash is enough.
pub(crate) fn hash(token: &Secret) -> String {
    blake3::hash(token.0.as_bytes()).to_hex().to_string()
}

/// The successor of a token.
pub(crate) fn successor(token: &Secret, nonce: &[u8]) -> Secret {
    let mut hasher = blake3::Hasher::new_derive_key("commerce identity 2026 successor of a token");
    hasher.update(nonce);
    hasher.update(token.0.as_bytes());
    Secret(hasher.finalize().to_hex().to_string())
}

/// `duration` after `at`.
pub(crate) fn after(at: i64, duration: Duration) -> i64 {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    at.saturating_add(micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_used_token_brings_its_successor_only_within_the_grace(
            used_at in 0_i64..1 << 50, later in 0_i64..1 << 40, ends in 0_i64..1 << 51, revoked: bool,
        ) {
            let token = Stored {
                session_id: "s".to_owned(),
                user_id: "u".to_owned(),
                expires_at: ends,
                used: Some((used_at, vec![1])),
                session_ends_at: ends,
                session_revoked: revoked,
            };
            let in_time = later <= after(0, GRACE);
            let expected = match (revoked, in_time) {
                (true, _) => Verdict::Ended,
                (false, true) => Verdict::Again(vec![1]),
                (false, false) => Verdict::Reused,
            };
            prop_assert_eq!(judge(&token, used_at + later), expected);
        }

        #[test]
        fn an_unused_token_is_worth_a_successor_until_the_first_of_its_ends(
            ends in 1_i64..1 << 50, session_ends in 1_i64..1 << 50, now in 0_i64..1 << 50,
        ) {
            let token = Stored {
                session_id: "s".to_owned(),
                user_id: "u".to_owned(),
                expires_at: ends,
                used: None,
                session_ends_at: session_ends,
                session_revoked: false,
            };
            let valid = now < ends && now < session_ends;
            let expected = if valid { Verdict::Rotate } else { Verdict::Ended };
            prop_assert_eq!(judge(&token, now), expected);
        }

        #[test]
        fn a_successor_depends_on_the_token_and_on_the_nonce(a: [u8; 32], b: [u8; 32], nonce: [u8; 32]) {
            let (first, second) = (token(a), token(b));
            prop_assert_eq!(successor(&first, &nonce), successor(&first, &nonce));
            prop_assert_ne!(successor(&first, &nonce), successor(&first, &[&nonce[..], &[0]].concat()));
            prop_assert_eq!(a == b, successor(&first, &nonce) == successor(&second, &nonce));
            prop_assert_ne!(hash(&first), first.0);
        }
    }
}
