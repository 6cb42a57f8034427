//! What a batch meets at its admission.

use std::collections::HashSet;

use crate::Error;

/// The answer of the statement `look`.
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
}

/// At a higher level, admission would not see what another transaction has just kept.
pub(crate) fn check_isolation(level: String) -> Result<(), Error> {
    if level.starts_with("read ") {
        return Ok(());
    }
    Err(Error::Isolation { level })
}
