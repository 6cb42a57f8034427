//! Which processed records are pruned.

use std::time::{Duration, SystemTime};

use mainstay_clock::TokioClock;
use mainstay_messaging::{Delivery, Group, Position};

use super::{
    Fixture,
    harness::{
        Running, all_committed, begin, commit, delivery, effects, group, in_turns, message,
        partition, publish, topic, until, worker,
    },
    script::Script,
};
use crate::{Admission, Inbox as _, store::Retention as _};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn day(number: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * (20_000 + number)
}

/// Processes the messages `key-n` at the offsets `n`.
async fn process<F: Fixture>(f: &F, consumer: &Group, key: &str, numbers: std::ops::Range<usize>) {
    let deliveries: Vec<_> = numbers
        .map(|n| delivery(message(key, n), i64::try_from(n).unwrap()))
        .collect();
    let mut tx = begin(f).await;
    let set: Vec<_> = deliveries.iter().collect();
    for admission in f
        .inbox()
        .admit_batch(&mut tx, consumer, &set)
        .await
        .unwrap()
    {
        assert_eq!(admission, Admission::Fresh);
    }
    commit(f, tx).await;
}

async fn checkpoint<F: Fixture>(f: &F, consumer: &Group, below: i64, at: SystemTime) {
    let position = Position {
        partition: partition(0),
        offset: below,
    };
    f.inbox()
        .checkpoint(consumer, &[position], at, DAY / 2)
        .await
        .unwrap();
}

/// Prunes from beginning to end. Returns how many records were deleted, in how many steps.
async fn prune<F: Fixture>(
    f: &F,
    consumer: &Group,
    horizon: SystemTime,
    limit: u32,
) -> (u64, usize) {
    let (mut cursor, mut deleted, mut steps) = (Some(0), 0, 0);
    while let Some(from) = cursor {
        let pruned = f
            .inbox()
            .prune(consumer, horizon, from, limit)
            .await
            .unwrap();
        deleted += pruned.deleted;
        cursor = pruned.next;
        steps += 1;
    }
    (deleted, steps)
}

pub async fn no_record_is_pruned_while_its_message_may_come_again<F: Fixture>(f: &F) {
    let other = Group::from_static("shipping");
    process(f, &group(), "a", 0..10).await;
    process(f, &other, "a", 0..10).await;
    assert_eq!(prune(f, &group(), day(9), 100).await.0, 0, "no checkpoint");
    checkpoint(f, &group(), 4, day(1)).await;
    assert_eq!(
        prune(f, &group(), day(1) - DAY / 4, 100).await.0,
        0,
        "inside the window"
    );
    checkpoint(f, &group(), 8, day(3)).await;
    // Behind the window of the first checkpoint, before that of the second.
    assert_eq!(prune(f, &group(), day(2), 100).await.0, 4);
    assert_eq!(f.processed().await, 16);
    let mut tx = begin(f).await;
    for (number, expected) in [
        (3, Admission::Fresh),
        (4, Admission::Duplicate),
        (9, Admission::Duplicate),
    ] {
        let number_as_offset = i64::try_from(number).unwrap();
        let delivery = delivery(message("a", number), number_as_offset);
        assert_eq!(
            f.inbox().admit(&mut tx, &group(), &delivery).await.unwrap(),
            expected
        );
        assert_eq!(
            f.inbox().admit(&mut tx, &other, &delivery).await.unwrap(),
            Admission::Duplicate
        );
    }
    drop(tx);
    // Records at or above the committed offset stay, however old they are.
    assert_eq!(prune(f, &group(), day(1_000), 100).await.0, 4);
    assert_eq!(f.processed().await, 12);
}

pub async fn records_older_than_the_window_are_pruned_in_steps<F: Fixture>(f: &F) {
    process(f, &group(), "a", 0..50).await;
    checkpoint(f, &group(), 45, day(1)).await;
    // Too close to the first one, so it is not recorded.
    checkpoint(f, &group(), 50, day(1) + DAY / 4).await;
    let (deleted, steps) = prune(f, &group(), day(2), 10).await;
    assert_eq!((deleted, steps), (45, 6));
    assert_eq!(prune(f, &group(), day(2), 10).await, (0, 2));
}

pub async fn a_recreated_log_loses_no_records_to_an_old_checkpoint<F: Fixture>(f: &F) {
    process(f, &group(), "a", 0..10).await;
    checkpoint(f, &group(), 10, day(1)).await;
    // The topic was deleted and created again: offsets start at 0.
    process(f, &group(), "b", 0..5).await;
    // A checkpoint of another partition that knows the new records does not cover this partition.
    let elsewhere = Position {
        partition: partition(1),
        offset: 10,
    };
    f.inbox()
        .checkpoint(&group(), &[elsewhere], day(2), DAY / 2)
        .await
        .unwrap();
    assert_eq!(prune(f, &group(), day(2), 100).await.0, 10);
    assert_eq!(f.processed().await, 5);
}

pub async fn a_recreated_log_loses_no_records_after_all_old_ones_were_pruned<F: Fixture>(f: &F) {
    process(f, &group(), "a", 0..10).await;
    checkpoint(f, &group(), 10, day(1)).await;
    assert_eq!(prune(f, &group(), day(2), 100).await.0, 10);
    assert_eq!(f.processed().await, 0);
    // Offsets start at 0 again, and none is committed: the records are younger than the checkpoint.
    process(f, &group(), "b", 0..5).await;
    assert_eq!(prune(f, &group(), day(9), 100).await.0, 0);
}

/// Admits in a transaction of its own.
async fn admit<F: Fixture>(f: &F, deliveries: &[&Delivery]) -> Vec<Admission> {
    let mut tx = begin(f).await;
    let inbox = f.inbox();
    let admissions = match deliveries {
        [one] => vec![inbox.admit(&mut tx, &group(), one).await.unwrap()],
        many => inbox.admit_batch(&mut tx, &group(), many).await.unwrap(),
    };
    commit(f, tx).await;
    admissions
}

pub async fn a_record_stays_while_a_redelivery_of_its_message_may_come_again<F: Fixture>(f: &F) {
    use Admission::{Duplicate, Fresh};
    let at = |key, offset| delivery(message(key, 0), offset);
    let first = [at("a", 10), at("b", 11), at("c", 12)];
    let set: Vec<_> = first.iter().collect();
    assert_eq!(admit(f, &set).await, [Fresh; 3]);
    // Published twice: one redelivery comes alone, two in a batch, and one in another partition.
    assert_eq!(admit(f, &[&at("a", 30)]).await, [Duplicate]);
    let mut elsewhere = at("c", 5);
    elsewhere.position.partition = partition(1);
    let set = [&at("b", 31), &at("b", 32), &elsewhere, &at("d", 33)];
    let answers = [Duplicate, Duplicate, Duplicate, Fresh];
    assert_eq!(admit(f, &set).await, answers);
    // A key is blocked at 20 for longer than the window.
    checkpoint(f, &group(), 20, day(1)).await;
    assert_eq!(prune(f, &group(), day(9), 100).await.0, 0);
    assert_eq!(admit(f, &set).await, [Duplicate; 4]);
    // The same redeliveries come again from the committed offset, and are committed.
    assert_eq!(admit(f, &[&at("e", 39)]).await, [Fresh]);
    checkpoint(f, &group(), 32, day(10)).await;
    assert_eq!(prune(f, &group(), day(10), 100).await.0, 1, "only a's");
    checkpoint(f, &group(), 40, day(12)).await;
    assert_eq!(prune(f, &group(), day(12), 100).await.0, 3);
    // One redelivery of c is left, in a partition without a committed offset.
    assert_eq!(admit(f, &[&elsewhere]).await, [Duplicate]);
    let below = Position {
        partition: partition(1),
        offset: 6,
    };
    assert_eq!(admit(f, &[&at("f", 40)]).await, [Fresh]);
    f.inbox()
        .checkpoint(&group(), &[below], day(14), DAY / 2)
        .await
        .unwrap();
    assert_eq!(prune(f, &group(), day(14), 100).await.0, 1);
    assert_eq!(f.processed().await, 1);
    assert_eq!(admit(f, &[&at("c", 50)]).await, [Fresh]);
    // The redeliveries were deleted, too: the new record depends on its own position alone.
    checkpoint(f, &group(), 60, day(16)).await;
    assert_eq!(prune(f, &group(), day(16), 100).await.0, 2);
}

pub async fn a_committed_message_that_comes_again_counts_as_uncommitted<F: Fixture>(f: &F) {
    process(f, &group(), "a", 0..10).await;
    checkpoint(f, &group(), 10, day(1)).await;
    // The log was recreated from a backup of the producer: the same messages at the same offsets.
    let again = delivery(message("a", 3), 3);
    assert_eq!(admit(f, &[&again]).await, [Admission::Duplicate]);
    assert_eq!(prune(f, &group(), day(9), 100).await.0, 9);
    assert_eq!(admit(f, &[&again]).await, [Admission::Duplicate]);
}

pub async fn a_worker_prunes_by_itself<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 10)).await;
    let worker = worker(f, &script).await.retention(Duration::from_millis(1));
    let running = Running::start(worker);
    effects(f, 10).await;
    all_committed(f).await;
    until("the records to be pruned", async || {
        (f.processed().await == 0).then_some(())
    })
    .await;
    running.stop().await;
}

pub async fn a_worker_whose_clock_is_ahead_prunes_nothing_early<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let now = f.inbox().now().await.unwrap();
    // In a partition that this worker does not read, three records were committed two days ago, and
    // two just now.
    let elsewhere = |number: usize| {
        let mut delivery = delivery(message("a", number), i64::try_from(number).unwrap());
        delivery.position.partition = partition(1);
        delivery
    };
    let below = |offset| Position {
        partition: partition(1),
        offset,
    };
    for (numbers, at) in [(0..3, now - 2 * DAY), (3..5, now)] {
        let deliveries: Vec<_> = numbers.clone().map(elsewhere).collect();
        assert_eq!(
            admit(f, &deliveries.iter().collect::<Vec<_>>()).await,
            vec![Admission::Fresh; deliveries.len()]
        );
        let position = below(i64::try_from(numbers.end).unwrap());
        let inbox = f.inbox();
        inbox
            .checkpoint(&group(), &[position], at, Duration::ZERO)
            .await
            .unwrap();
    }
    let ahead = TokioClock::starting_at(now + 365 * DAY);
    let worker = worker(f, &Script::new()).await.clock(ahead).retention(DAY);
    let running = Running::start(worker);
    publish(f, &[message("b", 0)]).await;
    effects(f, 1).await;
    let left = until("old records to be pruned", async || {
        let left = f.processed().await;
        (left <= 3).then_some(left)
    })
    .await;
    running.stop().await;
    assert_eq!(left, 3, "those within the window, and the new one");
}
