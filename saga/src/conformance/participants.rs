//! The participant's side.

use std::time::Duration;

use mainstay_database::Transactions as _;
use mainstay_inbox::Received;
use mainstay_messaging::{Message, Partition, Position, Topic};
use mainstay_outbox::RecordingOutbox;

use super::{
    Connection, Fixture,
    harness::{
        Authorized, Paid, Release, Released, Reserve, Reserved, Scene, begun_before, held,
        place_order, until,
    },
};
use crate::{
    Participant, Task,
    store::{Begun, ParticipantStore as _, SagaStore as _, Unbegun},
};

fn received<E: mainstay_messaging::Event>(event: E, id: &str) -> Received<E> {
    let message = Message::builder()
        .source("/saga")
        .event(&event)
        .id(id)
        .key("o-1");
    let mut message = message.build().unwrap();
    message.correlation_id = Some("c".to_owned());
    let partition = Partition {
        topic: Topic::from_static("stock-commands"),
        number: 0,
    };
    let offset = 0;
    Received::new(event, message, Position { partition, offset })
}

fn reserve(id: &str) -> Received<Reserve> {
    let order = "o-1".to_owned();
    received(Reserve { order }, id)
}

fn release(id: &str) -> Received<Release> {
    let order = "o-1".to_owned();
    received(Release { order, hold: None }, id)
}

pub async fn a_step_is_begun_and_undone_once<F: Fixture>(fixture: F) {
    let store = fixture.sagas();
    let mut tx = store.database().begin().await.unwrap();
    assert_eq!(store.begin(&mut tx, "r:s").await.unwrap(), Begun::First);
    assert_eq!(store.begin(&mut tx, "r:s").await.unwrap(), Begun::Again);
    store.database().commit(tx).await.unwrap();
    let mut tx = store.database().begin().await.unwrap();
    assert_eq!(store.begin(&mut tx, "r:s").await.unwrap(), Begun::Again);
    assert_eq!(store.undo(&mut tx, "r:s").await.unwrap(), Unbegun::Begun);
    assert_eq!(store.undo(&mut tx, "r:s").await.unwrap(), Unbegun::Again);
    assert_eq!(store.begin(&mut tx, "r:s").await.unwrap(), Begun::Undone);
    drop(tx);
    let rolled_back = async || {
        let mut tx = store.database().begin().await.unwrap();
        store.begin(&mut tx, "r:s").await.unwrap() == Begun::Again
    };
    until(rolled_back).await;
}

pub async fn steps_that_begin_at_once_are_answered_in_their_order<F: Fixture>(fixture: F) {
    use Begun::{Again, First, Undone};
    let store = fixture.sagas();
    let mut tx = store.database().begin().await.unwrap();
    assert_eq!(store.undo(&mut tx, "r:b").await.unwrap(), Unbegun::Never);
    assert_eq!(store.begin(&mut tx, "r:a").await.unwrap(), First);
    let steps = ["r:c", "r:b", "r:a", "r:d"];
    let begun = store.begin_batch(&mut tx, &steps).await.unwrap();
    assert_eq!(begun, [First, Undone, Again, First]);
    let begun = store.begin_batch(&mut tx, &steps).await.unwrap();
    assert_eq!(begun, [Again, Undone, Again, Again]);
    assert_eq!(store.undo(&mut tx, "r:d").await.unwrap(), Unbegun::Begun);
}

pub async fn a_batch_of_begins_waits_for_the_undo_of_one_of_its_steps<F: Fixture>(fixture: F) {
    let store = fixture.sagas();
    let mut undoing = store.database().begin().await.unwrap();
    assert_eq!(
        store.undo(&mut undoing, "r:s").await.unwrap(),
        Unbegun::Never
    );
    let beginning = async {
        let mut tx = store.database().begin().await.unwrap();
        store.begin_batch(&mut tx, &["r:t", "r:s"]).await.unwrap()
    };
    let commit = async { store.database().commit(undoing).await.unwrap() };
    let begun = begun_before(beginning, commit).await;
    assert_eq!(begun, [Begun::First, Begun::Undone]);
}

pub async fn a_begin_waits_for_the_undo_of_its_step<F: Fixture>(fixture: F) {
    let store = fixture.sagas();
    let mut undoing = store.database().begin().await.unwrap();
    assert_eq!(
        store.undo(&mut undoing, "r:s").await.unwrap(),
        Unbegun::Never
    );
    let beginning = async {
        let mut tx = store.database().begin().await.unwrap();
        store.begin(&mut tx, "r:s").await.unwrap()
    };
    let commit = async { store.database().commit(undoing).await.unwrap() };
    let begun = begun_before(beginning, commit).await;
    assert_eq!(begun, Begun::Undone);
}

pub async fn a_late_answer_asks_whether_it_is_still_wanted<F: Fixture>(fixture: F) {
    let store = fixture.sagas();
    let outbox = RecordingOutbox::<Connection<F>>::new();
    let kit = Participant::new(store.clone(), outbox.clone());
    let database = store.database();
    let mut tx = database.begin().await.unwrap();
    let task = kit
        .begin(&mut tx, &reserve("r:Reserve:1"))
        .await
        .unwrap()
        .unwrap();
    let kept = serde_json::to_string(&task).unwrap();
    database.commit(tx).await.unwrap();

    // Another process answers later.
    let task: Task<Reserve> = serde_json::from_str(&kept).unwrap();
    let mut tx = database.begin().await.unwrap();
    assert!(kit.is_wanted(&mut tx, &task).await.unwrap());
    kit.done(&mut tx, &task, &held()).await.unwrap();
    let answer = outbox.messages().pop().unwrap();
    assert_eq!(answer.causation_id.as_deref(), Some("r:Reserve:1"));
    assert_eq!(answer.key.as_ref().unwrap().as_str(), "o-1");
    assert_eq!(answer.correlation_id.as_deref(), Some("c"));
    assert_eq!(outbox.events::<Reserved>().unwrap(), [held()]);
    drop(tx);

    let mut tx = database.begin().await.unwrap();
    let undo = release("r:Reserve:undo");
    let (unbegun, undone) = kit.undo::<Reserve>(&mut tx, &undo).await.unwrap();
    assert_eq!(unbegun, Unbegun::Begun);
    kit.undone(&mut tx, &undone, &Released {}).await.unwrap();
    assert!(!kit.is_wanted(&mut tx, &task).await.unwrap());
    let again = kit.begin(&mut tx, &reserve("r:Reserve:2")).await.unwrap();
    assert!(again.is_none(), "a do behind its undo");
    let other = kit.begin(&mut tx, &reserve("r2:Reserve:1")).await.unwrap();
    assert!(other.is_some(), "of another run");
    database.commit(tx).await.unwrap();
}

pub async fn only_steps_with_an_undo_are_recorded<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let _run = scene.start("o-1").await;
    let mut sent = vec![scene.sent_one()];
    scene.reply(&sent[0], &held()).await;
    sent.push(scene.sent_one());
    scene.reply(&sent[1], &Authorized {}).await;
    sent.push(scene.sent_one());
    scene.reply(&sent[2], &Paid {}).await;
    sent.push(scene.sent_one());

    let store = scene.fixture.sagas();
    let kit = Participant::new(store.clone(), RecordingOutbox::<Connection<F>>::new());
    let database = store.database();
    for (message, is_recorded) in sent.into_iter().zip([true, true, false, false]) {
        let mut tx = database.begin().await.unwrap();
        let mut command = reserve(message.id.as_str());
        command.message = message;
        let task = kit.begin(&mut tx, &command).await.unwrap().unwrap();
        let kept = serde_json::to_string(&task).unwrap();
        let step = command.message.id.as_str().rsplit_once(':').unwrap().0;
        let begun = store.begin(&mut tx, step).await.unwrap();
        assert_eq!(begun == Begun::Again, is_recorded, "{step}");
        let _undone = store.undo(&mut tx, step).await.unwrap();
        // Another process answers later. No undo comes for a step without one.
        let task: Task<Reserve> = serde_json::from_str(&kept).unwrap();
        let wanted = kit.is_wanted(&mut tx, &task).await.unwrap();
        assert_eq!(wanted, !is_recorded, "{step}");
    }
}

pub async fn records_of_steps_are_pruned<F: Fixture>(fixture: F) {
    let store = fixture.sagas();
    let mut tx = store.database().begin().await.unwrap();
    for step in 0..3 {
        let _first = store.begin(&mut tx, &format!("r:{step}")).await.unwrap();
    }
    store.database().commit(tx).await.unwrap();
    let prune = async |retention, limit| {
        let mut tx = store.database().begin().await.unwrap();
        let pruned = store.prune_steps(&mut tx, retention, limit).await.unwrap();
        store.database().commit(tx).await.unwrap();
        pruned
    };
    assert_eq!(prune(Duration::from_secs(3600), 10).await, 0);
    until(async || prune(Duration::ZERO, 2).await == 2).await;
    until(async || prune(Duration::ZERO, 2).await == 1).await;
}
