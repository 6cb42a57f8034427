//! Which functions are handlers, for code that is generic over them.

pub use crate::handlers::{BatchFn, HandlerFn, WithState, WithoutState};
