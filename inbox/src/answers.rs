//! Answers of a batch's admission, from the processed records that the store has just added.

use std::collections::HashSet;

use mainstay_messaging::Delivery;

use crate::{Admission, store::Identity};

/// The first delivery of a message whose record was `added` is fresh; every other delivery is a
/// duplicate.
pub(crate) fn answers(deliveries: &[&Delivery], added: &[(String, String)]) -> Vec<Admission> {
    let identities: Vec<_> = deliveries.iter().copied().map(Identity::of).collect();
    let mut added: HashSet<Identity<'_>> = added
        .iter()
        .map(|(source, id)| Identity {
            source,
            id: id.into(),
        })
        .collect();
    let answer = |identity| {
        if added.remove(&identity) {
            Admission::Fresh
        } else {
            Admission::Duplicate
        }
    };
    identities.into_iter().map(answer).collect()
}
