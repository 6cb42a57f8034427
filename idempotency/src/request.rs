//! A request with its key and its fingerprint.

use std::fmt;

use crate::{Key, Scope};

/// The context of the hash. Another text would make every stored fingerprint a mismatch.
const CONTEXT: &str = "mainstay-idempotency 0.1 fingerprint of a request";

/// What a request asks for, as a BLAKE3 hash over its scope and its body. The same key with another
/// fingerprint is a mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a request whose content has these parts. Where one part ends and the next
    /// one begins makes a difference.
    #[must_use]
    pub fn of(scope: &Scope, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        let scope = [scope.tenant().as_bytes(), scope.operation().as_bytes()];
        for part in scope.iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// As it is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex::encode(self.0))
    }
}

/// A key, and the fingerprint of the request that carries it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores and callers take it apart"
)]
pub struct KeyedRequest {
    /// Names the request.
    pub key: Key,
    /// Tells what it asks for.
    pub fingerprint: Fingerprint,
}

impl KeyedRequest {
    /// A request with this key and this content.
    #[must_use]
    pub fn new(key: Key, content: impl AsRef<[u8]>) -> Self {
        let fingerprint = Fingerprint::of(key.scope(), &[content.as_ref()]);
        Self { key, fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tenant: &str, operation: &str, parts: &[&[u8]]) -> Fingerprint {
        Fingerprint::of(&Scope::new(tenant, operation).unwrap(), parts)
    }

    #[test]
    fn a_fingerprint_covers_scope_and_content_and_their_borders() {
        let base = of("a", "b", &[b"c", b"d"]);
        assert_eq!(base, of("a", "b", &[b"c", b"d"]));
        for other in [
            of("ab", "b", &[b"c", b"d"]),
            of("a", "bb", &[b"c", b"d"]),
            of("a", "b", &[b"cd", b""]),
            of("a", "b", &[b"c", b"d", b""]),
            of("a", "bc", &[b"", b"d"]),
        ] {
            assert_ne!(base, other);
        }
    }

    /// Old and new builds run side by side.
    #[test]
    fn a_fingerprint_stays_the_same_in_every_build() {
        let stored = "f090ca52d92c88368e7a8efc581d285521224dc459b1ee3ed218fcd2278184b1";
        assert_eq!(
            hex::encode(of("acme", "POST /orders", &[b"{}"]).as_bytes()),
            stored
        );
    }
}
