//! For code that is generic over handlers and workers.

pub use crate::orchestrator::{LocalFn, Replies, WithState, WithoutState};
