//! What a batch's admission is answered with, once the store has said which marks are new.

use std::collections::HashSet;

use mainstay_messaging::Delivery;

use crate::{Admission, Identity};

/// The first delivery of a newly marked message is fresh; every other one is a duplicate.
pub(crate) fn answers(deliveries: &[&Delivery], marked: &[(String, String)]) -> Vec<Admission> {
    let identities: Vec<_> = deliveries.iter().copied().map(Identity::of).collect();
    let mut marked: HashSet<Identity<'_>> = marked
        .iter()
        .map(|(source, id)| Identity {
            source,
            id: id.into(),
        })
        .collect();
    let answer = |identity| {
        if marked.remove(&identity) {
            Admission::Fresh
        } else {
            Admission::Duplicate
        }
    };
    identities.into_iter().map(answer).collect()
}
