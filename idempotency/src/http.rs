//! HTTP with axum: requests that carry an `Idempotency-Key`, after the IETF draft
//! `draft-ietf-httpapi-idempotency-key-header`.
//!
//! | effects | use | what holds the key |
//! |---|---|---|
//! | in your database | [`Keyed`] in a handler | a record in the handler's transaction |
//! | elsewhere, such as a payment provider | [`IdempotencyLayer`] around handlers | a lease in a store of its own |
//!
//! # What a client is answered
//!
//! | status | when | retry |
//! |---|---|---|
//! | the handler's | the request was processed; a repeated one has `Idempotent-Replayed: true` | |
//! | 400 | the key is missing, malformed or given twice; the body cannot be read | no, mend the request |
//! | 401 | the layer was told how to find the tenant, and there is none | with credentials |
//! | 409, `Retry-After` | the same key is being processed, or another request was first | yes |
//! | 410 | the request was processed, and its answer was too large to keep | no, it has had its effect |
//! | 413 | the body is larger than the limit | no |
//! | 422 | the key belongs to another request | no, use a new key |
//! | 500 | the handler panicked | yes |
//! | 503, `Retry-After` | the store does not answer; nothing was done, unless it went away in the middle | yes |
//!
//! Errors have a body of type `application/problem+json`. Those of this crate have a `type` that stays
//! the same: `urn:mainstay:problem:` and one of `idempotency-key-missing`, `idempotency-key-invalid`,
//! `malformed-body`, `request-in-progress`, `answer-not-kept`, `idempotency-key-reused`, `internal`,
//! `unavailable`.

mod capture;
mod header;
mod keyed;
mod layer;
mod policy;
mod problem;
mod respond;
mod run;
mod tenant;
mod work;

pub use keyed::{Keyed, OptionallyKeyed};
pub use layer::{Idempotency, IdempotencyLayer};
pub use policy::Policy;
pub use problem::Problem;
pub use tenant::{SingleTenant, Tenant};
pub use work::{WithState, WithoutState, Work};
