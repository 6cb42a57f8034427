//! All cases.

use crate::{Case, first_form, inbox, parked, second_form};

/// Every case of every model.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = first_form::cases();
    cases.extend(second_form::cases());
    cases.extend(inbox::cases());
    cases.extend(parked::cases());
    cases
}
