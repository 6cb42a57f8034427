//! Tables of the writers, of the participants, and of those who look at them.

use std::time::SystemTime;

use mainstay_database::memory::Record;

use super::messages::Fate;
use crate::shop::table;

/// What a participant did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    Done,
    Refused { is_retryable: bool },
    Undone,
}

table! {
    /// An order of the business, with the run that its transaction started.
    Placed { nth: usize, run: String, } in "placed" by usize: |row| row.nth
}
table! {
    /// What a participant did for a step, in order. `step` is the id of the command without its attempt.
    Act { step: String, number: i64, command: String, deed: Deed, } in "acts" by (String, i64): |row| (row.step.clone(), row.number)
}
table! {
    /// A command that is carried out later.
    Late { command: String, kind: &'static str, task: String, fate: Fate, due: SystemTime, } in "late" by String: |row| row.command.clone()
}
table! {
    /// How many live runs a key has.
    Live { key: String, runs: i32, } in "live" by String: |row| row.key.clone()
}
table! {
    /// What an observer saw that may not be.
    Complaint { number: i64, text: String, } in "complaints" by i64: |row| row.number
}
