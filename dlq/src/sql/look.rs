//! What a batch meets at its admission.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mainstay_inbox::store::Identity;
use mainstay_messaging::{Delivery, Group};

use crate::{BlockedKey, Error};

/// What a batch meets: the answer of the statement `look`, or of `look_at_one`.
pub(crate) struct Look {
    pub(crate) is_any_kept: bool,
    /// Topic and key.
    pub(crate) blocked: HashSet<(String, String)>,
    /// Source and id of the messages that are kept already.
    pub(crate) known: HashSet<(String, String)>,
}

impl Look {
    pub(crate) fn of(rows: Vec<(i32, String, String)>) -> Result<Self, Error> {
        let (mut blocked, mut known) = (HashSet::new(), HashSet::new());
        let mut is_any_kept = false;
        for (what, one, other) in rows {
            match what {
                0 => {
                    check_isolation(one)?;
                    is_any_kept = other == "1";
                }
                1 => {
                    blocked.insert((one, other));
                }
                _ => {
                    known.insert((one, other));
                }
            }
        }
        Ok(Self {
            is_any_kept,
            blocked,
            known,
        })
    }

    /// For one message.
    pub(crate) fn of_one(
        (level, is_any_kept, is_blocked, is_known): (String, i32, i32, i32),
        consumer: &Group,
        delivery: &Delivery,
    ) -> Result<Self, Error> {
        check_isolation(level)?;
        let key = BlockedKey::of(consumer, delivery).filter(|_| is_blocked != 0);
        let Identity { source, id, .. } = Identity::of(delivery);
        let known = (is_known != 0).then(|| (source.to_owned(), id.into_owned()));
        Ok(Self {
            is_any_kept: is_any_kept != 0,
            blocked: key
                .map(|key| (key.topic.to_string(), key.key))
                .into_iter()
                .collect(),
            known: known.into_iter().collect(),
        })
    }
}

/// The consumers for which the last look found anything kept. It only decides which statement goes first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<HashSet<Group>>>);

impl Kept {
    pub(crate) fn is_likely_for(&self, consumer: &Group) -> bool {
        self.consumers().contains(consumer)
    }

    pub(crate) fn note(&self, consumer: &Group, is_any_kept: bool) {
        if is_any_kept {
            self.consumers().insert(consumer.clone());
        } else {
            self.consumers().remove(consumer);
        }
    }

    fn consumers(&self) -> MutexGuard<'_, HashSet<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At a higher level, admission would not see what another transaction has just kept.
pub(crate) fn check_isolation(level: String) -> Result<(), Error> {
    if level.starts_with("read ") {
        return Ok(());
    }
    Err(Error::Isolation { level })
}
