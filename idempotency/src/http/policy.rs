//! Which requests need a key.

use axum::http::{Method, request::Parts};

/// Whether a request needs an `Idempotency-Key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "these are all there are")]
pub enum Policy {
    /// Without one it is 400.
    Required,
    /// Without one it is processed without protection.
    Optional,
    /// A key is ignored.
    Off,
}

impl Policy {
    /// For `POST` and `PATCH` this policy; others are idempotent by themselves, or safe.
    pub(super) fn of(self, parts: &Parts) -> Self {
        match parts.method {
            Method::POST | Method::PATCH => self,
            _ => Self::Off,
        }
    }
}
