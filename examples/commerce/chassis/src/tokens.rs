//! Access tokens: JWTs signed with Ed25519. The only file that names `jsonwebtoken`.

mod ed25519;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use commerce_contracts::Role;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{Error, Result};

/// Who issues the tokens, and for whom.
const ISSUER: &str = "commerce";
/// Clocks of two processes differ by at most this much.
const LEEWAY: Duration = Duration::from_secs(5);

/// What an access token says. Times are seconds since 1970.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The user.
    pub sub: String,
    /// What the user may do.
    pub roles: Vec<Role>,
    /// The session that the token belongs to.
    pub sid: String,
    /// When it was issued.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
}

impl Claims {
    /// The claims of a token that `user` gets at `now` for `lifetime`.
    #[must_use]
    pub fn new(
        user: &str,
        roles: Vec<Role>,
        session: &str,
        now: Duration,
        lifetime: Duration,
    ) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user.to_owned(),
            roles,
            sid: session.to_owned(),
            iat: now.as_secs(),
            exp: (now + lifetime).as_secs(),
        }
    }
}

/// A private key that signs tokens.
pub struct SigningKey {
    kid: String,
    key: EncodingKey,
}

impl SigningKey {
    /// The Ed25519 key of a secret seed of 32 random bytes.
    #[must_use]
    pub fn new(kid: impl Into<String>, seed: &[u8; 32]) -> Self {
        ed25519::install();
        Self {
            kid: kid.into(),
            key: EncodingKey::from_ed_der(&ed25519::pkcs8(seed)),
        }
    }

    /// The key's name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// A signed token.
    ///
    /// # Errors
    /// [`Error::Damaged`]: the claims cannot be written.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
            .map_err(|error| Error::damaged("the claims of a token", error))
    }

    fn public(&self) -> Result<Jwk> {
        let jwk = Jwk::from_encoding_key(&self.key, Algorithm::EdDSA);
        let mut jwk = jwk.map_err(|error| Error::damaged("a signing key", error))?;
        jwk.common.key_id = Some(self.kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(jwk)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It was valid once.
    Expired,
    /// It is no token, or signed by nobody that is trusted.
    Invalid,
    /// The public keys are not known yet.
    NoKeys,
}

/// The public keys that tokens are verified with. Clones are the same set: in one process, identity
/// publishes its keys in it; elsewhere, they are fetched from identity's JWKS.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Arc<RwLock<Arc<Vec<Known>>>>,
    wanted: Arc<Notify>,
}

struct Known {
    jwk: Jwk,
    kid: String,
    key: DecodingKey,
}

impl KeySet {
    /// Replaces the keys by the public halves of these.
    ///
    /// # Errors
    /// [`Error::Damaged`]: a key cannot be read.
    pub fn publish<'a>(&self, keys: impl IntoIterator<Item = &'a SigningKey>) -> Result<()> {
        let keys: Result<Vec<_>> = keys.into_iter().map(SigningKey::public).collect();
        self.replace(keys?)
    }

    /// Replaces the keys by those of a JSON Web Key Set.
    ///
    /// # Errors
    /// [`Error::Damaged`]: it is none.
    pub fn publish_json(&self, jwks: &[u8]) -> Result<()> {
        let set: JwkSet = serde_json::from_slice(jwks)
            .map_err(|error| Error::damaged("a JSON Web Key Set", error))?;
        self.replace(set.keys)
    }

    /// The keys as a JSON Web Key Set.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let keys: Vec<_> = self.known().iter().map(|known| known.jwk.clone()).collect();
        serde_json::json!({ "keys": keys })
    }

    /// Verifies a token at `now`, since 1970.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &str, now: Duration) -> Result<Claims, Refusal> {
        let keys = self.known();
        if keys.is_empty() {
            self.wanted.notify_one();
            return Err(Refusal::NoKeys);
        }
        let kid = jsonwebtoken::decode_header(token)
            .ok()
            .and_then(|it| it.kid);
        let Some(known) = keys.iter().find(|known| Some(&known.kid) == kid.as_ref()) else {
            // Identity may have begun to sign with a key that is not fetched yet.
            self.wanted.notify_one();
            return Err(Refusal::Invalid);
        };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[ISSUER]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_exp = false; // below, by the clock of the deployment
        let claims = jsonwebtoken::decode::<Claims>(token, &known.key, &validation);
        let claims = claims.map_err(|_| Refusal::Invalid)?;
        if Duration::from_secs(claims.claims.exp) + LEEWAY <= now {
            return Err(Refusal::Expired);
        }
        Ok(claims.claims)
    }

    /// Completes when a token names a key that is not known.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    fn replace(&self, keys: Vec<Jwk>) -> Result<()> {
        ed25519::install();
        let known = |jwk: Jwk| {
            let key = DecodingKey::from_jwk(&jwk);
            Ok(Known {
                kid: jwk.common.key_id.clone().unwrap_or_default(),
                key: key.map_err(|error| Error::damaged("a JSON Web Key", error))?,
                jwk,
            })
        };
        let keys: Result<Vec<_>> = keys.into_iter().map(known).collect();
        let keys = Arc::new(keys?);
        // Nothing panics while the lock is held.
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn known(&self) -> Arc<Vec<Known>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.known();
        f.debug_list()
            .entries(keys.iter().map(|known| &known.kid))
            .finish()
    }
}

#[cfg(test)]
mod tests;
