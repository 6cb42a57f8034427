//! Texts and bytes that no log shows.

use std::fmt;

use commerce_chassis::utoipa;
use serde::{Deserialize, Serialize};

/// A password or a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(format = Password)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// 32 bytes of the system's randomness.
pub(crate) fn random() -> commerce_chassis::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| commerce_chassis::Error::damaged("the system's randomness", error))?;
    Ok(bytes)
}
