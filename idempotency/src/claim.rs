//! What beginning a request leads to.

use std::{fmt, time::Duration};

use crate::{Answer, KeyedRequest};

/// Whether a request's effect is still to be made.
#[derive(Debug)]
#[must_use = "the effect may be made only if the request is fresh"]
#[expect(clippy::exhaustive_enums, reason = "callers must handle both")]
pub enum Begun<C> {
    /// The effect is to be made, with this claim or lease.
    Fresh(C),
    /// Nothing is to be done; this is how to answer.
    Settled(Settled),
}

/// Why nothing is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Settled {
    /// The request was completed before with this answer.
    Done(Answer),
    /// The same key is being processed.
    Running {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// The key belongs to a request with another fingerprint.
    Mismatch,
}

/// The right to make a request's effect in the transaction that began it, and the duty to complete
/// it there. A rollback takes both back.
#[derive(Debug)]
#[must_use = "complete the claim in the same transaction; otherwise the key stays unused"]
pub struct Claim {
    request: KeyedRequest,
    /// Whether the key had a record, which has expired.
    replaces: bool,
}

impl Claim {
    /// For stores: a claim on this request.
    pub const fn new(request: KeyedRequest) -> Self {
        Self {
            request,
            replaces: false,
        }
    }

    /// For stores: a claim on a request whose key has a record that has expired.
    pub const fn replacing(request: KeyedRequest) -> Self {
        Self {
            request,
            replaces: true,
        }
    }

    /// For stores: whether the key has a record, which has expired.
    #[must_use]
    pub const fn replaces(&self) -> bool {
        self.replaces
    }

    /// What was claimed.
    #[must_use]
    pub const fn request(&self) -> &KeyedRequest {
        &self.request
    }
}

/// The right to make a request's effect for a while, and the duty to complete or release it.
#[derive(Clone, Debug)]
#[must_use = "complete or release the lease; otherwise the key is blocked until it ends"]
pub struct Lease {
    request: KeyedRequest,
    token: FencingToken,
}

impl Lease {
    /// For stores: a lease with this fencing token.
    pub const fn new(request: KeyedRequest, token: FencingToken) -> Self {
        Self { request, token }
    }

    /// What is leased.
    #[must_use]
    pub const fn request(&self) -> &KeyedRequest {
        &self.request
    }

    /// The token that every write under this lease carries.
    #[must_use]
    pub const fn token(&self) -> FencingToken {
        self.token
    }
}

/// A number that grows each time a key changes its holder. The store refuses a former holder by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FencingToken(u64);

impl FencingToken {
    /// For stores: the token with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
