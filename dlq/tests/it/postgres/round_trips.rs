//! What admission costs.

use mainstay_inbox::{Admission, Inbox as _, store::WorkerStore as _};
use mainstay_messaging::Group;
use mainstay_testkit::Wire;

use super::{Queue, delivery, fixture};

/// Round trips of the admission of two messages, and what becomes of them.
async fn cost(wire: &Wire, queue: &Queue, offset: i64) -> (usize, Vec<Admission>) {
    cost_for(wire, queue, "billing", offset).await
}

async fn cost_for(
    wire: &Wire,
    queue: &Queue,
    group: &'static str,
    offset: i64,
) -> (usize, Vec<Admission>) {
    let deliveries = [delivery(offset), delivery(offset + 1)];
    let mut tx = queue.database().begin().await.unwrap();
    let before = wire.round_trips();
    let (group, deliveries) = (Group::from_static(group), [&deliveries[0], &deliveries[1]]);
    let admissions = queue.admit_batch(&mut tx, &group, &deliveries).await;
    let round_trips = wire.round_trips() - before;
    queue.database().commit(tx).await.unwrap();
    (round_trips, admissions.unwrap())
}

#[tokio::test]
async fn a_blocked_key_costs_the_messages_of_other_keys_no_round_trip() {
    let Some(f) = fixture().await else { return };
    let (wire, queue) = f.over_a_wire().await;
    let fresh = || vec![Admission::Fresh; 2];
    cost(&wire, &queue, 0).await; // prepares
    assert_eq!(cost(&wire, &queue, 10).await, (2, fresh()));

    let block = "INSERT INTO shop.billing_dlq_blocked_keys (consumer, topic, key, draining)
        VALUES ('billing', 'orders', 'key-41', false)";
    sqlx::query(block).execute(&f.owner).await.unwrap();
    // The first look finds out that a key is blocked, and prepares.
    cost(&wire, &queue, 20).await;
    assert_eq!(cost(&wire, &queue, 30).await, (2, fresh()));
    // Another consumer, for which nothing is kept, changes nothing of that.
    cost_for(&wire, &queue, "mailing", 30).await;
    assert_eq!(cost(&wire, &queue, 34).await, (2, fresh()));
    // Two statements keep what is held, with its body.
    cost(&wire, &queue, 40).await;
    let unblock = "DELETE FROM shop.billing_dlq_blocked_keys WHERE key = 'key-41'";
    sqlx::query(unblock).execute(&f.owner).await.unwrap();
    assert_eq!(cost(&wire, &queue, 50).await, (2, fresh()));
}
