//! What a store of records found, as an answer to the caller.

use std::collections::HashMap;

use crate::{Begun, Claim, Key, KeyedRequest, Settled, records::SOON};

/// What there is under a request's key.
pub(crate) enum Found {
    /// Nothing that has not expired.
    Nothing {
        /// Whether there is a record, which has expired; only where completion asks for it.
        is_expired: bool,
    },
    /// A record that has not expired, or another open transaction that has the key.
    Settled(Settled),
}

impl Found {
    pub(crate) fn begin(self, request: &KeyedRequest) -> Begun<Claim> {
        match self {
            Self::Nothing { is_expired: false } => Begun::Fresh(Claim::new(request.clone())),
            Self::Nothing { is_expired: true } => Begun::Fresh(Claim::replacing(request.clone())),
            Self::Settled(settled) => Begun::Settled(settled),
        }
    }
}

/// How to go on with several requests: of two with one key, the later one waits for the first.
pub(crate) fn begun_batch(
    requests: &[&KeyedRequest],
    found: impl IntoIterator<Item = Found>,
) -> Vec<Begun<Claim>> {
    let mut first: HashMap<&Key, &KeyedRequest> = HashMap::new();
    let mut answers = Vec::with_capacity(requests.len());
    for (&request, found) in requests.iter().zip(found) {
        let earlier = *first.entry(&request.key).or_insert(request);
        let is_repeated = !std::ptr::eq(earlier, request);
        answers.push(match found {
            found if is_repeated && !matches!(found, Found::Settled(_)) => {
                let same = earlier.fingerprint == request.fingerprint;
                Begun::Settled(if same { running() } else { Settled::Mismatch })
            }
            found => found.begin(request),
        });
    }
    answers
}

/// Another one has the key, and nobody knows for how long.
pub(crate) const fn running() -> Settled {
    Settled::Running { retry_after: SOON }
}
