//! The lives of signing keys. The next key is published long before it signs, so that every cache
//! of the key set has it; a retired key is published until its last token has ended.

use std::time::Duration;

use crate::session::after;

/// How long a key signs.
pub(crate) const SIGNS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a key is published before it signs.
pub(crate) const ANNOUNCED: Duration = Duration::from_secs(60 * 60);
/// How long a retired key is still published.
pub(crate) const KEPT: Duration = Duration::from_secs(60 * 60);
/// How long an access token is valid. A user's new roles count from the next token on.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The state of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Next,
    Current,
    Retired,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Next, Self::Current, Self::Retired];
        all.into_iter().find(|state| state.name() == name)
    }
}

/// A key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Life {
    pub(crate) kid: String,
    pub(crate) state: State,
    /// When it entered the state; microseconds since 1970.
    pub(crate) since: i64,
}

/// A change, in the order of execution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Enter(String, State),
    Create(State),
    Delete(String),
}

/// What is due at `now`.
pub(crate) fn due(keys: &[Life], now: i64) -> Vec<Change> {
    let find = |state| keys.iter().find(|key| key.state == state);
    let mut changes = Vec::new();
    for key in keys {
        if key.state == State::Retired && after(key.since, KEPT) <= now {
            changes.push(Change::Delete(key.kid.clone()));
        }
    }
    let promote = |next: &Life| Change::Enter(next.kid.clone(), State::Current);
    match (find(State::Current), find(State::Next)) {
        (None, None) => changes.extend([State::Current, State::Next].map(Change::Create)),
        (None, Some(next)) => changes.extend([promote(next), Change::Create(State::Next)]),
        (Some(_), None) => changes.push(Change::Create(State::Next)),
        (Some(current), Some(next)) => {
            let is_old = after(current.since, SIGNS) <= now;
            if is_old && after(next.since, ANNOUNCED) <= now {
                changes.push(Change::Enter(current.kid.clone(), State::Retired));
                changes.extend([promote(next), Change::Create(State::Next)]);
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(keys: &mut Vec<Life>, changes: Vec<Change>, now: i64) {
        for change in changes {
            match change {
                Change::Enter(kid, state) => {
                    let key = keys.iter_mut().find(|key| key.kid == kid).unwrap();
                    (key.state, key.since) = (state, now);
                }
                Change::Create(state) => keys.push(Life {
                    kid: format!("{now}-{}", state.name()),
                    state,
                    since: now,
                }),
                Change::Delete(kid) => keys.retain(|key| key.kid != kid),
            }
        }
    }

    proptest! {
        /// Whenever the process happens to look: one key signs, it was published before (but for the
        /// first), and no key goes before the last token that it signed.
        #[test]
        fn every_token_finds_its_key_until_its_end(
            pauses in proptest::collection::vec(1_i64..3_000_000, 1..60),
        ) {
            let mut keys = Vec::new();
            let mut now = 0;
            let mut signed: Vec<(String, i64)> = Vec::new();
            let mut published = std::collections::BTreeMap::new();
            for pause in pauses {
                let changes = due(&keys, now);
                apply(&mut keys, changes, now);
                prop_assert!(due(&keys, now).is_empty());
                for key in &keys {
                    published.entry(key.kid.clone()).or_insert(now);
                }
                let current: Vec<_> = keys.iter().filter(|key| key.state == State::Current).collect();
                prop_assert_eq!(current.len(), 1);
                let kid = current[0].kid.clone();
                let since = published[&kid];
                prop_assert!(since == 0 || current[0].since - since >= after(0, ANNOUNCED));
                // It signs until somebody looks again.
                now += pause * 1_000_000;
                signed.push((kid, now + after(0, TOKEN_LIFETIME)));
                signed.retain(|(_, end)| *end > now);
                for (kid, _) in &signed {
                    prop_assert!(keys.iter().any(|key| key.kid == *kid), "{kid} {keys:?}");
                }
            }
        }
    }
}
