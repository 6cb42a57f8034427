//! All cases.

use crate::{Case, first_form};

/// Every case of every model.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = first_form::cases();
    cases.shrink_to_fit();
    cases
}
