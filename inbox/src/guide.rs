//! How the worker works.
//!
//! # Lanes and transactions
//!
//! Deliveries go into *lanes*, one per partition and key. A message without a key has a lane of its
//! own. A batch takes messages from lanes that are free. One transaction per batch admits them in
//! one statement, runs the handlers of the fresh ones in order, and commits with one sync of the
//! disk. Until it ends, nothing else of these lanes starts. [`Worker::concurrency`] limits how many
//! transactions run at once.
//!
//! # Failures
//!
//! A handler fails by an error, by a panic, or by exceeding its deadline. The failing message is
//! tried again after a backoff, and the later messages of its key wait behind it. The others go on
//! at once.
//!
//! While nothing fails, a batch has no savepoints. The first failure rolls its transaction back,
//! and the next transactions run in *chunks*: a savepoint, one admission, and the handlers of a few
//! messages. A failure then undoes only its chunk, and the transaction goes on without the failing
//! message. If a batch handler does not [name](HandlerError::at) the failing event, the worker
//! halves the chunk until it finds it. A message that has failed before is a chunk of its own.
//!
//! Each failure halves the size of chunks; each full chunk that succeeds makes it an eighth larger,
//! up to the whole batch. If one message in *n* fails, chunks settle near *n* / 6 messages. A
//! transaction sets at most 32 savepoints, so it takes fewer messages while chunks are small.
//!
//! Some failures take the transaction with them: a check that the database makes at commit, and a
//! handler whose last statement still runs when its deadline has passed. The worker then also
//! halves the size of batches, and the failing message runs alone from then on.
//!
//! Interruptions by the database count no attempt:
//!
//! | what was interrupted | what the worker does |
//! |---|---|
//! | admission, because another transaction holds the processed record of a message | runs the batch message by message, so that only that message waits |
//! | a handler, because it could not get a lock | sets its message apart; the others go on |
//! | a transaction, because its connection was lost | tries the batch in halves |
//! | a commit, whose answer was lost | tries the batch again; the processed records decide |
//!
//! When all attempts have failed or the failure is permanent, the [`FailurePolicy`] decides. So it
//! does about a message of an unknown kind, if the worker
//! [blocks](Worker::block_unknown_kinds) such kinds.
//! [`BlockKey`], the default, stores nothing: the message stays in the broker's log with its offset
//! uncommitted, its key is blocked, and [`Status::blocked_keys`] lists it. `mainstay-dlq` has a policy
//! that puts the message aside, so that the offset advances.
//!
//! # Offsets
//!
//! The *in-flight window* of a partition reaches from the lowest unfinished record to the newest
//! one read. The worker commits the offset below the window, at most once per
//! [`Worker::commit_interval`]. When the window is [full](Worker::max_in_flight), the partition
//! pauses; records that the consumer has fetched by then come on top. When [all windows
//! together](Worker::max_in_flight_total) are full, the fullest partitions pause.
//!
//! # Rebalance and shutdown
//!
//! When a partition is revoked, nothing new starts there. Running transactions may end until
//! shortly before the deadline; then they are abandoned. The worker commits the partition's offset
//! and releases it. A shutdown does the same with all partitions.
//!
//! # Retention
//!
//! The worker records a checkpoint of committed offsets every sixteenth of the retention window,
//! and prunes the processed records that a checkpoint older than the window covers. It uses the
//! store's clock, not the host's.
//!
//! On PostgreSQL a processed record may be kept for up to two checkpoints (an eighth of the window)
//! longer. Records draw their numbers before their transactions end, so a checkpoint covers only
//! numbers below which every transaction has ended. A transaction that has written processed
//! records and stays open, or was prepared and forgotten, stops all pruning.
//!
//! # Without the worker
//!
//! Call [`Inbox::admit`] in a transaction of your own, and make the effect only if the answer is
//! [`Fresh`](crate::Admission::Fresh).
//!
//! [`FailurePolicy`]: crate::failure::FailurePolicy

#[cfg(doc)]
use crate::{BlockKey, HandlerError, Inbox, Status, Worker};
