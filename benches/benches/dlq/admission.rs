//! Admission through the queue beside the plain inbox, while nothing is kept.

use std::sync::LazyLock;

use mainstay_benches::{Bench, Comparison, Keys, Side, Took, Workload, timed};
use mainstay_database::Transactions as _;
use mainstay_inbox::store::WorkerStore;
use mainstay_messaging::{Delivery, Group, Partition, Position, broker::Content};

pub(crate) static CONSUMER: LazyLock<Group> = LazyLock::new(|| Group::from_static("billing"));

/// Writes the effects of a batch in one statement.
pub(crate) trait Effects<C> {
    fn write(connection: &mut C, bodies: &[&str]) -> impl Future<Output = ()> + Send;
}

/// Messages that were never seen, as a broker hands them over.
pub(crate) fn deliveries(count: usize) -> Vec<Delivery> {
    let messages = Workload::new(Keys::Uniform).messages(count);
    let partition = Partition {
        topic: Workload::topic(),
        number: 0,
    };
    (0..)
        .zip(messages)
        .map(|(offset, message)| Delivery {
            position: Position {
                partition: partition.clone(),
                offset,
            },
            content: Content::Message(message),
        })
        .collect()
}

fn body(delivery: &Delivery) -> &str {
    let payload = delivery
        .content
        .message()
        .and_then(|m| m.payload.as_deref());
    std::str::from_utf8(payload.unwrap_or_default()).unwrap()
}

/// One transaction per batch: admission and effects.
fn round<I: WorkerStore, E: Effects<I::Connection>>(
    bench: &Bench,
    inbox: &I,
    count: usize,
    size: usize,
) -> Took {
    let fresh = deliveries(count);
    timed(|| {
        bench.runtime.block_on(async {
            for batch in fresh.chunks(size) {
                let set: Vec<_> = batch.iter().collect();
                let bodies: Vec<_> = batch.iter().map(body).collect();
                let mut tx = inbox.database().begin().await.unwrap();
                let answers = inbox.admit_batch(&mut tx, &CONSUMER, &set).await.unwrap();
                assert!(answers.iter().all(|answer| answer.is_fresh()));
                E::write(&mut tx, &bodies).await;
                inbox.database().commit(tx).await.unwrap();
            }
        });
    })
}

pub(crate) fn compare<I, Q, E>(bench: &Bench, on: &str, open: impl Fn(&str) -> (I, Q))
where
    I: WorkerStore,
    Q: WorkerStore<Connection = I::Connection>,
    E: Effects<I::Connection>,
{
    for (size, full) in [(1, 100), (100, 4_000)] {
        let name = format!("dlq: admission in transactions of {size} with effects, {on}");
        if !bench.wants(&name) {
            continue;
        }
        let ((inbox, _), (_, queue)) = (open("plain"), open("queue"));
        let count = bench.scaled(full).max(size);
        let mut sides = [
            Side::new("queue", || round::<_, E>(bench, &queue, count, size)),
            Side::new("plain inbox", || round::<_, E>(bench, &inbox, count, size)),
        ];
        let comparison = Comparison::new(name, count).target("plain inbox", 0.9);
        bench.compare(&comparison, &mut sides);
    }
}
