//! Runs from their start to their end.

use std::time::Duration;

use mainstay_database::Transactions as _;

use super::{
    Fixture,
    harness::{
        Authorized, Declined, Order, OutOfStock, Paid, Quick, Released, Reserve, Scene, Shipped,
        Voided, begun_before, held, place_order, renamed, reply, until,
    },
};
use crate::{
    Query, Saga, Started, Status,
    journal::Entry,
    state::Progress,
    store::{DeskStore as _, SagaStore as _},
};

pub async fn a_run_ends_all_done<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let (run, pay) = scene.at_the_pivot("o-1").await;
    scene.reply(&pay, &Paid {}).await;
    scene.reply(&scene.sent_one(), &Shipped {}).await;
    let details = scene.show(&run).await;
    assert_eq!(details.summary.status, Status::Completed);
    assert_eq!(details.summary.wake_at, None);
    let is_done = |progress: Progress| progress == Progress::Done;
    assert!(
        details
            .state
            .steps
            .iter()
            .all(|step| is_done(step.progress))
    );
    let numbers: Vec<i64> = details.journal.iter().map(|entry| entry.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(details.journal.first().unwrap().entry, Entry::Started);
    assert_eq!(details.journal.last().unwrap().entry, Entry::Completed);
    assert_eq!(details.journal.len(), 10);
    assert_eq!(details.input, r#"{"id":"o-1"}"#);
}

pub async fn a_run_ends_all_undone_in_reverse_order<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let (run, pay) = scene.at_the_pivot("o-1").await;
    let is_retryable = false;
    scene.reply(&pay, &Declined { is_retryable }).await;
    let void = scene.sent_one();
    assert_eq!(void.kind.as_str(), "Void");
    scene.reply(&void, &Voided {}).await;
    let release = scene.sent_one();
    assert_eq!(release.kind.as_str(), "Release");
    scene.reply(&release, &Released {}).await;
    assert_eq!(scene.status(&run).await, Status::Undone);
    assert_eq!(scene.kinds(), [""; 0]);
}

pub async fn a_start_waits_for_another_one_of_its_key<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let order = Order {
        id: "o-1".to_owned(),
    };
    let database = scene.database();
    let mut first = database.begin().await.unwrap();
    let started = scene.sagas.start(&mut first, "o-1", &order).await.unwrap();
    let second = async {
        let mut tx = database.begin().await.unwrap();
        let started = scene.sagas.start(&mut tx, "o-1", &order).await.unwrap();
        database.commit(tx).await.unwrap();
        started
    };
    let commit = async { database.commit(first).await.unwrap() };
    let again = begun_before(second, commit).await;
    assert_eq!(again, Started::Exists(started.run().clone()));
}

pub async fn a_start_that_is_rolled_back_leaves_nothing<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let order = Order {
        id: "o-1".to_owned(),
    };
    let mut tx = scene.database().begin().await.unwrap();
    let started = scene.sagas.start(&mut tx, "o-1", &order).await.unwrap();
    drop(tx);
    let store = scene.sagas.store();
    let gone = async || store.show(started.run()).await.unwrap().is_none();
    until(gone).await;
    let run = scene.start("o-1").await;
    assert_ne!(run, *started.run());
}

pub async fn a_batch_of_replies_advances_each_run_once<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let mut replies = Vec::new();
    for key in 0..30 {
        scene.start(&format!("o-{key}")).await;
        let reserve = scene.sent_one();
        let id = reserve.id.as_str().replace("Reserve", "Authorize");
        let authorize = renamed(&reserve, id);
        // The next reply of the run, and a duplicate of the first, in the same batch.
        replies.push(reply(&reserve, &held()));
        replies.push(reply(&authorize, &Authorized {}));
        replies.push(reply(&reserve, &held()));
    }
    scene
        .take(&replies.iter().collect::<Vec<_>>())
        .await
        .unwrap();
    let mut kinds = scene.kinds();
    kinds.sort();
    assert_eq!(kinds[..30], ["Authorize"; 30]);
    assert_eq!(kinds[30..], ["Pay"; 30]);
    let at_pay = Query::all().step("Pay");
    assert_eq!(scene.desk().count(&at_pay).await.unwrap(), 30);
}

pub async fn replies_to_one_run_at_once_are_taken_one_by_one<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    let reserve = scene.sent_one();
    let good = reply(&reserve, &held());
    let bad = [&reply(&reserve, &OutOfStock {})];
    let mut tx = scene.database().begin().await.unwrap();
    scene.sagas.take(&mut tx, &[&good]).await.unwrap();
    let second = async { scene.take(&bad).await.unwrap() };
    let commit = async { scene.database().commit(tx).await.unwrap() };
    begun_before(second, commit).await;
    let details = scene.show(&run).await;
    assert_eq!(details.state.steps[0].progress, Progress::Done);
    assert_eq!(details.summary.status, Status::Running);
    assert_eq!(scene.kinds(), ["Authorize"]);
}

pub async fn a_deadline_undoes_the_run<F: Fixture>(fixture: F) {
    let mut saga = Saga::new("deadline", 1).deadline(Duration::from_millis(20));
    saga.step((), |order: &Order, ()| Reserve {
        order: order.id.clone(),
    });
    let scene = Scene::new(fixture, saga.build());
    let run = scene.start("o-1").await;
    scene.sent_one();
    scene
        .fire_until(async || scene.status(&run).await == Status::Undoing)
        .await;
    scene.reply(&scene.sent_one(), &Released {}).await;
    assert_eq!(scene.status(&run).await, Status::Undone);
}

pub async fn due_runs_are_taken_in_order_and_in_parts<F: Fixture>(fixture: F) {
    let mut saga = Saga::new("quick", 1);
    saga.step((), |order: &Order, ()| Quick {
        order: order.id.clone(),
    });
    let scene = Scene::new(fixture, saga.build());
    let mut runs = Vec::new();
    for key in 0..7 {
        runs.push(scene.start(&format!("o-{key}")).await);
    }
    let definitions = [scene.sagas.newest().shape().fingerprint()];
    let store = scene.sagas.store();
    let due = async |limit| {
        let mut tx = scene.database().begin().await.unwrap();
        let due = store.lock_due(&mut tx, "quick", &definitions, limit).await;
        // The end of a transaction that is dropped may come later.
        scene.database().commit(tx).await.unwrap();
        due.unwrap()
    };
    until(async || due(10).await.len() == 7).await;
    let first: Vec<_> = due(3).await.into_iter().map(|stored| stored.run).collect();
    assert_eq!(first, runs[..3], "those that are due longest");
    let mut tx = scene.database().begin().await.unwrap();
    let other = store
        .lock_due(&mut tx, "other", &definitions, 10)
        .await
        .unwrap();
    assert_eq!(other, [], "of another saga");
    let unknown = store.lock_due(&mut tx, "quick", &[], 10).await.unwrap();
    assert_eq!(unknown, [], "of no definition that this build has");
    drop(tx);
    scene
        .fire_until(async || {
            let undoing = Query::all().status(Status::Undoing);
            scene.desk().count(&undoing).await.unwrap() == 7
        })
        .await;
}

pub async fn ended_runs_are_pruned_with_their_journals<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let ended = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &OutOfStock {}).await;
    let live = scene.start("o-2").await;
    let store = scene.sagas.store();
    let prune = async |saga, retention| {
        let mut tx = scene.database().begin().await.unwrap();
        let pruned = store.prune(&mut tx, saga, retention, 10).await.unwrap();
        scene.database().commit(tx).await.unwrap();
        pruned
    };
    assert_eq!(prune("place-order", Duration::from_secs(3600)).await, 0);
    assert_eq!(prune("other", Duration::ZERO).await, 0);
    until(async || prune("place-order", Duration::ZERO).await == 1).await;
    assert!(store.show(&ended).await.unwrap().is_none());
    assert!(store.show(&live).await.unwrap().is_some());
}
