//! How the outbox works inside, and what to know in operation.
//!
//! # Finding rows
//!
//! A store never reads "after the last position seen". Where transactions run concurrently, a position is
//! drawn before its row is committed, so a gap in the positions may fill later. A relay therefore reads
//! all visible rows of its shards and deletes those it has published.
//!
//! Three signals make a relay look for rows:
//!
//! | signal | when |
//! |---|---|
//! | a commit | A commit through the `Database` handle that the outbox was opened with, or a clone of it, within 30 s after an enqueue of this process. [`Outbox::notify`](crate::Outbox::notify) does the same after a foreign commit. |
//! | an enqueue | An enqueue of this process starts early polls after 1, 2, 4 … 50 ms, which end when rows are found, or after 30 s. They find a foreign commit without `notify`. If the last rows came with a notification, they are every 50 ms. |
//! | the poll interval | Every [`poll_interval`](crate::Relay::poll_interval), default 500 ms. This finds rows of other processes. |
//!
//! # Reading ahead
//!
//! While rows are left, the relay reads the next batch when it begins to publish one; otherwise when all of it
//! is acknowledged, while it deletes it. If a commit woke the relay, all that was committed by then is found, so it
//! reads again only once it is told of another commit, and after 50 to 100 ms where it is not told. The read leaves out exactly the rows in flight. Where one of them is not
//! acknowledged, what was read behind it is dropped and read again. A batch is deleted before the next one is
//! published, so a relay that is killed repeats one batch at most.
//!
//! # Owning shards
//!
//! (topic, key) hashes to a shard; a message without a key hashes by its id. Every relay renews its lease
//! after a third of its duration, and computes from the living relays how many shards are its fair share.
//! It gives up shards above its share and takes free ones up to it. Taking a shard increments its fencing
//! token. Every transaction that records an outcome checks the tokens, so a relay that was suspended past
//! its lease changes nothing.
//!
//! The number of shards is the largest number of relays that can share the work. It is 1 by default, so a
//! second relay only stands by. The first open writes it into the schema for good, because the hash depends
//! on it. A process with another number refuses to open the outbox.
//!
//! # Blocked keys
//!
//! A message that the broker refuses for good moves to the deferred table, together with all later
//! messages of its key. The relay retries it with
//! [`refusal_backoff`](crate::Relay::refusal_backoff). Once the broker accepts it, the messages held
//! behind it follow in order. [`Operator`](crate::operator::Operator) lists such messages, has one retried
//! at once, or discards it, and records who did so and why.
//!
//! Deleting a row of `outbox_deferred` by hand skips its message as well, and leaves no trace. On PostgreSQL,
//! delete in READ COMMITTED, the server's default. A transaction in REPEATABLE READ does not see the rows
//! that were held after its snapshot, so it may leave a key without a marked head, and the relay never
//! retries such a key. To repair it:
//! `UPDATE outbox_deferred SET blocked = blocked WHERE topic = … AND key = …`.
//!
//! Other keys do not notice, however many messages wait. A round reads the *heads* of the keys that are
//! due, which are the first row of each, by an index. Triggers of the table keep the column `head`. Keys
//! that are due at the same time share a round.
//!
//! # PostgreSQL
//!
//! | topic | what to know |
//! |---|---|
//! | Wake-ups across processes | Run `PostgresOutbox::announce` in processes that write and `PostgresOutbox::listen` in those that relay. NOTIFY uses a connection of its own and never your transaction. If it fails, relays still poll. |
//! | Combined statements | `PostgresOutbox::enqueue_with` performs a business write and enqueues its message in one round trip. |
//! | Roles | `postgres::roles` is the SQL for least privileges: one role for writers, one for relays, one for operators. |
//! | Poolers | Everything but `listen` works behind a pooler in transaction mode. Set `transaction_pooler(true)` on the `Database`, since such a pooler keeps no prepared statements. Give `listen_at` the server's own address. |
//! | Connections | A relay needs two at once: one reads the next batch while the other deletes the one before. With a pool of one, the two wait for each other's end. |
//! | Old snapshots | A long transaction elsewhere delays no message. Rows that were deleted meanwhile stay in the table until it ends, and slow down every round. |
//! | Suspended relays | The server ends a relay's transaction after 5 s of idling, because the next owner waits for its locks. |
//! | Durability | Leases are on disk when they are granted. Acknowledgements use `synchronous_commit = off`: if a crash of the server loses one, the message is published again. |
//!
//! # Your own migration tool
//!
//! `open` runs the migrations. To run them with another tool, write the steps of `postgres::MIGRATIONS` or
//! `sqlite::MIGRATIONS` to files, and open the outbox with `open_without_migrating`. It checks the schema
//! and names the first table or column that is missing.
//!
//! ```
//! # #[cfg(feature = "postgres")] {
//! use mainstay_outbox::{database::Namespace, postgres::MIGRATIONS};
//!
//! for (name, sql) in MIGRATIONS.sql(&Namespace::plain()) {
//!     println!("-- {name}.sql\n{sql}");
//! }
//! # }
//! ```
//!
//! The first open writes the number of shards into `outbox_layout` and `outbox_shards`, so let the owner
//! of the tables open the outbox first.
//!
//! # Tests of a service
//!
//! | to test | use |
//! |---|---|
//! | that code emits the right events | [`RecordingOutbox`](crate::RecordingOutbox): no database |
//! | that event and business write commit together | `SqliteOutbox` in a temporary file, or `MemoryOutbox` |
//! | a store of your own | the [conformance suite](crate::store) |
