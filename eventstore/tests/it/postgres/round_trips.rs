//! What each operation costs: statements, and no commit.

use std::future::pending;

use mainstay_eventstore::{Error, EventStore as _, Loaded};
use mainstay_testkit::Wire;

use super::{
    fixture,
    projections::{OrderList, create_table},
};
use crate::orders::{Kept, Order, OrderEvent, noted};

/// Round trips and commits of `work`, once it has been done before: statements are prepared then.
async fn cost(wire: &Wire, mut work: impl AsyncFnMut(usize)) -> (usize, usize) {
    work(0).await;
    let before = (wire.round_trips(), wire.commits());
    work(1).await;
    (wire.round_trips() - before.0, wire.commits() - before.1)
}

fn notes(count: usize) -> Vec<OrderEvent> {
    (0..count).map(|nth| noted(&nth.to_string())).collect()
}

#[tokio::test]
async fn each_operation_is_one_statement_and_no_commit() {
    let Some(f) = fixture().await else { return };
    let (wire, database, store) = f.over_a_wire().await;
    let mut tx = database.begin().await.unwrap();
    let id = |nth: usize| nth.to_string();
    for count in [1, 2, 100] {
        let creating = cost(&wire, async |nth| {
            let id = format!("{nth} of {count}");
            let order = store.create::<Order>(&mut tx, &id, notes(count)).await;
            assert_eq!(order.unwrap().version(), count as u64);
        });
        assert_eq!(creating.await, (1, 0), "create {count}");
    }
    let loading = cost(&wire, async |nth| {
        let id = format!("{nth} of 100");
        let order: Loaded<Order> = store.load(&mut tx, &id).await.unwrap();
        assert_eq!(order.version(), 100);
    });
    assert_eq!(loading.await, (1, 0), "load");
    for count in [1, 10] {
        let mut orders = Vec::new();
        for nth in 0..2 {
            orders.push(store.load::<Order>(&mut tx, &id(nth)).await.unwrap());
        }
        let appending = cost(&wire, async |nth| {
            let order = &mut orders[nth];
            store
                .append(&mut tx, &id(nth), order, notes(count))
                .await
                .unwrap();
        });
        assert_eq!(appending.await, (1, 0), "append {count}");
    }
    let nothing = cost(&wire, async |nth| {
        let id = format!("nothing {nth}");
        let order = store.create::<Order>(&mut tx, &id, notes(0)).await;
        assert_eq!(order.unwrap().version(), 0);
    });
    assert_eq!(nothing.await, (0, 0), "append nothing");
    let refused = cost(&wire, async |_| {
        let refused = store.create::<Order>(&mut tx, "0", notes(3)).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })));
    });
    assert_eq!(refused.await, (2, 0), "the second one asks for the version");
    let reading = cost(&wire, async |_| {
        let history = store.history::<Order>(&mut tx, "0", 0, 5).await.unwrap();
        assert_eq!(history.len(), 5);
    });
    assert_eq!(reading.await, (1, 0), "history");
}

#[tokio::test]
async fn a_batch_costs_as_much_as_one_aggregate() {
    let Some(f) = fixture().await else { return };
    let (wire, database, store) = f.over_a_wire().await;
    let mut tx = database.begin().await.unwrap();
    for count in [1, 30] {
        let ids: Vec<String> = (0..count).map(|nth| format!("{nth} of {count}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let appending = cost(&wire, async |_| {
            let all = store.load_batch::<Order>(&mut tx, &ids).await.unwrap();
            let mut changes: Vec<_> = all.into_iter().map(|order| (order, notes(3))).collect();
            let appending = store.append_batch(&mut tx, &mut changes);
            appending.await.unwrap();
        });
        assert_eq!(appending.await, (2, 0), "load and append {count}");
        let kept = cost(&wire, async |_| {
            let all = store.load_batch::<Kept>(&mut tx, &ids).await.unwrap();
            let mut changes: Vec<_> = all.into_iter().map(|order| (order, notes(2))).collect();
            let appending = store.append_batch(&mut tx, &mut changes);
            appending.await.unwrap();
        });
        assert_eq!(kept.await, (3, 0), "load, append and snapshot {count}");
    }
}

#[tokio::test]
async fn a_snapshot_costs_one_statement_when_it_is_due() {
    let Some(f) = fixture().await else { return };
    let (wire, database, store) = f.over_a_wire().await;
    let mut tx = database.begin().await.unwrap();
    for (count, statements) in [(1, 1), (2, 2)] {
        let creating = cost(&wire, async |nth| {
            let id = format!("{nth} of {count}");
            let order = store.create::<Kept>(&mut tx, &id, notes(count)).await;
            assert_eq!(order.unwrap().version(), count as u64);
        });
        assert_eq!(creating.await, (statements, 0), "create {count}");
        let loading = cost(&wire, async |nth| {
            let id = format!("{nth} of {count}");
            let order: Loaded<Kept> = store.load(&mut tx, &id).await.unwrap();
            assert_eq!(order.version(), count as u64);
        });
        assert_eq!(loading.await, (1, 0), "load {count}, with its snapshot");
    }
}

#[tokio::test]
async fn a_step_of_a_rebuild_is_three_statements_and_those_of_the_projection() {
    let Some(f) = fixture().await else { return };
    create_table(&f).await;
    let (wire, database, store) = f.over_a_wire().await;
    let mut tx = database.begin().await.unwrap();
    for id in 0..4 {
        let order = store
            .create::<Order>(&mut tx, &id.to_string(), notes(5))
            .await;
        assert_eq!(order.unwrap().version(), 5);
    }
    database.commit(tx).await.unwrap();
    // Begin, and the check and COMMIT of a commit.
    let transaction = cost(&wire, async |_| {
        let tx = database.begin().await.unwrap();
        database.commit(tx).await.unwrap();
    });
    let (transaction, _) = transaction.await;
    let rebuilding = cost(&wire, async |nth| {
        let shape = [
            OrderList::<1>::rebuild(&store),
            OrderList::<1>::rebuild(&store),
        ];
        let rebuild = &shape[nth];
        rebuild.restart().await.unwrap();
        let progress = rebuild.run_until(pending()).await.unwrap();
        assert_eq!(progress.events, 20);
    });
    // Restart: lock and save. 20 events in steps of ten, and a last step that finds none; emptying
    // and counting in the first one; one statement of the projection in each of two.
    let statements = (transaction + 2) + 3 * (transaction + 3) + 2 + 2;
    assert_eq!(rebuilding.await, (statements, 4));
}
