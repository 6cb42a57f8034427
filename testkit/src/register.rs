//! Linearizability of a register that is read and written in one step, as under a lock.
//!
//! Each write carries a value that no other write has, and says which value it found. So there is one order at most in which the
//! writes can have happened: from value to value. The history is linearizable if every write that committed is part of it,
//! and no write comes before one that had ended when it began.

use std::{collections::HashMap, time::Duration};

/// A write, as its client saw it. Times are of one clock, which all clients share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// Whose it is, in words.
    pub client: String,
    /// When it began.
    pub began: Duration,
    /// When its client heard that it committed. None: its client never heard, so it may have happened at any time, or never.
    pub ended: Option<Duration>,
    /// The value that it found.
    pub found: u64,
    /// The value that it left: not 0, and no other write's.
    pub left: u64,
}

/// What is against the history of a register that was 0 at first and is `last` now; nothing if it is linearizable.
pub fn violations(writes: &[Write], last: u64) -> Vec<String> {
    let by_value: HashMap<u64, &Write> = writes.iter().map(|write| (write.left, write)).collect();
    let mut told = Vec::new();
    let mut order = Vec::new();
    let mut value = last;
    while value != 0 {
        let Some(write) = by_value.get(&value) else {
            told.push(format!("nobody wrote {value}"));
            break;
        };
        if order.len() > writes.len() {
            told.push(format!("{value} comes before itself"));
            break;
        }
        order.push(*write);
        value = write.found;
    }
    order.reverse();
    let happened = |write: &Write| order.iter().any(|other| other.left == write.left);
    for write in writes {
        if write.ended.is_some() && !happened(write) {
            let Write {
                client,
                found,
                left,
                ..
            } = write;
            told.push(format!(
                "{client} wrote {left} over {found}, and it was lost"
            ));
        }
    }
    let mut latest = Duration::ZERO;
    for write in &order {
        if write.ended.is_some_and(|ended| ended < latest) {
            let Write { client, left, .. } = write;
            told.push(format!(
                "{client} had written {left} before a write began that it comes after"
            ));
        }
        latest = latest.max(write.began);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(began: u64, ended: u64, found: u64, left: u64) -> Write {
        Write {
            client: "somebody".to_owned(),
            began: Duration::from_secs(began),
            ended: Some(Duration::from_secs(ended)),
            found,
            left,
        }
    }

    fn unheard(began: u64, found: u64, left: u64) -> Write {
        Write {
            ended: None,
            ..write(began, 0, found, left)
        }
    }

    fn holds(writes: &[Write], last: u64) -> bool {
        violations(writes, last).is_empty()
    }

    #[test]
    fn writes_one_after_another_and_at_once_are_linearizable() {
        assert!(holds(&[], 0));
        assert!(holds(&[write(1, 2, 0, 7), write(3, 4, 7, 5)], 5));
        // Both at once: the second took effect first.
        assert!(holds(&[write(1, 9, 5, 7), write(2, 8, 0, 5)], 7));
    }

    #[test]
    fn a_write_that_was_lost_is_told_of() {
        let both_found_nothing = [write(1, 2, 0, 7), write(1, 2, 0, 5)];
        assert!(!holds(&both_found_nothing, 5));
        assert!(!holds(&[write(1, 2, 0, 7)], 0));
        assert!(!holds(&[write(1, 2, 9, 7)], 7));
    }

    #[test]
    fn a_write_that_took_effect_after_it_ended_is_told_of() {
        assert!(!holds(&[write(5, 6, 0, 7), write(1, 2, 7, 5)], 5));
    }

    #[test]
    fn a_write_that_nobody_heard_of_may_have_happened_or_not() {
        assert!(holds(&[unheard(1, 0, 7)], 0));
        assert!(holds(&[unheard(1, 0, 7)], 7));
        // Applied much later.
        assert!(holds(&[unheard(1, 5, 7), write(2, 3, 0, 5)], 7));
        // Not before it began.
        assert!(!holds(&[unheard(4, 0, 7), write(2, 3, 7, 5)], 5));
    }
}
