//! Timer and reply come to one run at once.

use mainstay_database::Transactions as _;

use super::{
    Fixture,
    harness::{Scene, begun_before, held, moved, quick, reply, until},
};
use crate::{
    RunId, Status,
    engine::Input,
    journal::Entry,
    state::Reason,
    store::{SagaStore as _, StoredRun},
};

/// What is due, locked in a transaction of its own.
async fn due<F: Fixture>(scene: &Scene<F>) -> Vec<StoredRun> {
    let store = scene.sagas.store();
    let definitions = scene.sagas.fingerprints();
    let mut tx = scene.database().begin().await.unwrap();
    let due = store.lock_due(&mut tx, "quick", definitions, 10).await;
    // The end of a transaction that is dropped may come later.
    scene.database().commit(tx).await.unwrap();
    due.unwrap()
}

/// A run that waits for the reply to this command, whose time has passed.
async fn overdue<F: Fixture>(scene: &Scene<F>, key: &str) -> (RunId, mainstay_messaging::Message) {
    scene.sent();
    let run = scene.start(key).await;
    scene.reply(&scene.sent_one(), &held()).await;
    let quick = scene.sent_one();
    until(async || due(scene).await.iter().any(|due| due.run == run)).await;
    (run, quick)
}

/// Why it is undone, each time that this was decided.
async fn decisions<F: Fixture>(scene: &Scene<F>, run: &RunId) -> Vec<&'static str> {
    let journal = scene.show(run).await.journal.into_iter();
    let decisions = journal.filter_map(|entry| match entry.entry {
        Entry::Undoing { reason } => Some(match reason {
            Reason::Refused { .. } => "refused",
            Reason::TimedOut { .. } => "timed out",
            Reason::DeadlineExceeded | Reason::Cancelled { .. } => "something else",
        }),
        _ => None,
    });
    decisions.collect()
}

pub async fn rule_h_timer_and_reply_lock_the_run_and_look_again<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, quick());
    let (sagas, database) = (&scene.sagas, scene.database());
    let refusal = moved("nowhere");

    // The reply holds its run, and has not changed it yet: the timer skips it, or waits.
    let (run, quick) = overdue(&scene, "o-1").await;
    let command = quick.id.as_str().parse().unwrap();
    let message = reply(&quick, &refusal);
    let mut tx = database.begin().await.unwrap();
    let mut running = sagas.locked(&mut tx, &run).await.unwrap();
    let going_on = async {
        let taken = sagas.take_one(&mut tx, &mut running, &command, &message);
        taken.await.unwrap();
        sagas.finish(&mut tx, vec![running]).await.unwrap();
        database.commit(tx).await.unwrap();
    };
    assert_eq!(begun_before(due(&scene), going_on).await, []);
    assert_eq!(decisions(&scene, &run).await, ["refused"]);

    // The reply has changed its run, and has not committed yet.
    let (run, quick) = overdue(&scene, "o-2").await;
    let mut tx = database.begin().await.unwrap();
    sagas
        .take(&mut tx, &[&reply(&quick, &refusal)])
        .await
        .unwrap();
    let commit = async { database.commit(tx).await.unwrap() };
    assert_eq!(begun_before(due(&scene), commit).await, []);
    assert_eq!(decisions(&scene, &run).await, ["refused"]);

    // The timer holds its run, and has not changed it yet: the reply waits, and looks again.
    let (run, quick) = overdue(&scene, "o-3").await;
    let mut tx = database.begin().await.unwrap();
    let found = sagas
        .store()
        .lock_due(&mut tx, "quick", sagas.fingerprints(), 10);
    let found = found.await.unwrap().pop().unwrap();
    let going_on = async {
        let mut running = sagas.resume(found).unwrap();
        let acted = sagas.give(&mut tx, &mut running, Input::Timer);
        acted.await.unwrap();
        sagas.finish(&mut tx, vec![running]).await.unwrap();
        database.commit(tx).await.unwrap();
    };
    begun_before(scene.reply(&quick, &refusal), going_on).await;
    assert_eq!(decisions(&scene, &run).await, ["timed out"]);

    // The timer was first: the late reply finds another expectation.
    let (run, quick) = overdue(&scene, "o-4").await;
    scene
        .fire_until(async || scene.status(&run).await == Status::Undoing)
        .await;
    scene.reply(&quick, &moved("there")).await;
    assert_eq!(scene.status(&run).await, Status::Undoing);
    assert_eq!(decisions(&scene, &run).await, ["timed out"]);
}
