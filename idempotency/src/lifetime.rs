//! How long answers are kept.

use std::time::Duration;

/// How long an answer is kept by default.
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
