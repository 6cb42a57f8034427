//! Models of mainstay's protocols, explored breadth first with stateright.
//!
//! A test of an implementation tries some interleavings of some failures. A model tries all of them
//! within small bounds: two or three messages, two owners, one or two of each mishap. It shows that
//! the *protocol* holds. That the crates follow it is checked by their conformance suites, the
//! simulation and the chaos tests.
//!
//! | model | protocol | state |
//! |---|---|---|
//! | `queue-table` | outbox: shard lease, fencing token, rounds, deferred table | built |
//! | `append-only` | outbox: watermark and published ranges over an append-only log | to be built |
//! | `inbox` | inbox: processed records, offsets, lanes, redelivery, retention | built |
//! | `lock` | dlock: leases, fencing tokens, guarded writes | built |
//! | `records` | idempotency: answers in the transaction of the effect | built |
//! | `leases` | idempotency: leases, fencing tokens, answers in a store of their own | built |
//! | `dead-letters` | dead letter queue: blocked keys, replay, draining | built |
//!
//! Each model states the guarantees of its crate's documentation, and *reachable* properties that
//! show that a run is not vacuous. Each protective rule is a variant of the model's `Rule`. One case
//! goes without it and must break a guarantee. [`cases`] lists all cases, the binary `models` runs
//! and explains them. The README says what is modelled, and how to read a trace.

mod append_only;
mod case;
mod dead_letters;
mod inbox;
mod leases;
mod lock;
mod message;
mod model;
mod outbox;
mod queue_table;
mod records;
mod report;
mod set;

pub use case::{Case, Size};
pub use report::{Broken, Report};

/// What every protocol is written in.
mod prelude {
    pub(crate) use enum_map::{Enum, EnumMap};

    pub(crate) use crate::{
        case::{Case, Cases},
        message::{Each, KK, KKK, KKL, Key, Message, Messages, Name, Pair, Queue},
        model::Mishap::{
            Act, Crash, Expiry, FailedDeadLetter, Failure, Freeze, LostAnswer, LostCommit,
            OperatorCrash, Rebalance, Refusal, Release, Rollback, ServerCrash, Stall, Takeover,
        },
        model::{Bounded, Budget, Guarantees, Log, Protocol, Run, Steps},
        outbox::{Outbox, Outcomes, Stage},
        set::{Offsets, Set},
    };
}

/// Every case of every model.
#[must_use]
pub fn cases() -> Vec<Case> {
    let outbox = [queue_table::cases(), append_only::cases()];
    let consumer = [inbox::cases(), dead_letters::cases()];
    let others = [lock::cases(), records::cases(), leases::cases()];
    let all = outbox.into_iter().chain(consumer).chain(others);
    all.flatten().collect()
}
