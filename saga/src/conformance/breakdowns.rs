//! What cannot go on stands still, visibly, and stops nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_database::Transactions as _;
use mainstay_inbox::HandlerError;

use super::{
    Connection, Fixture,
    harness::{
        Authorize, Authorized, Building, Note, Noted, Order, Pay, Quick, Reserved, Scene, Ship,
        Unnote, ada, held, moved, place_order, reply, until,
    },
};
use crate::{
    Answer, Definition, Error, Observer, Query, Saga, Status, Transition,
    journal::Entry,
    store::{DeskStore as _, Face, SagaStore as _, SavedRun},
};

pub async fn a_broken_run_goes_on_after_a_retry<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    let reserve = scene.sent_one();
    let mut unreadable = reply(&reserve, &held());
    unreadable.payload = Some("{".into());
    scene.take(&[&unreadable]).await.unwrap();
    assert_eq!(scene.status(&run).await, Status::Broken);
    // Replies that come meanwhile are kept, too; a duplicate once.
    scene.reply(&reserve, &held()).await;
    scene.take(&[&unreadable]).await.unwrap();
    let kept = scene.show(&run).await.state.broken.unwrap();
    assert_eq!(kept.replies.len(), 2);
    assert_eq!(scene.kinds(), [""; 0]);
    let desk = scene.desk();
    // The first reply is as unreadable as before.
    desk.retry(&run, &ada()).await.unwrap();
    assert_eq!(scene.status(&run).await, Status::Broken);
    assert_eq!(scene.kinds(), [""; 0]);
    let kept = scene.show(&run).await.state.broken.unwrap();
    assert_eq!(kept.replies.len(), 2, "nothing is lost");
    let mended = Entry::Mended { by: ada() };
    let journal = scene.show(&run).await.journal;
    assert!(journal.iter().any(|entry| entry.entry == mended));
    // A corrected reply comes, and the unreadable one is skipped.
    let by = ada();
    let skipped = desk.skip(&run, "Reserve", r#"{"hold":"h-2"}"#, &by).await;
    skipped.unwrap();
    assert_eq!(scene.kinds(), ["Authorize"]);
    assert_eq!(scene.status(&run).await, Status::Running);
}

/// The first step of `place_order`, as a later build reads its replies.
mod corrected {
    use super::super::harness::{OutOfStock, Release, Released};
    use crate::{Command, Compensable, Outcome};

    crate::messages! {
        "stock-commands" { Reserve { order: String } }
        "stock" { Reserved { hold: u32 } }
    }

    impl Command for Reserve {
        type Done = Reserved;
        type Refused = OutOfStock;
    }

    impl Compensable for Reserve {
        type Undo = Release;
        type Undone = Released;

        fn undo(&self, outcome: Outcome<'_, Reserved>) -> Release {
            Release {
                order: self.order.clone(),
                hold: outcome.known().map(|reserved| reserved.hold.to_string()),
            }
        }
    }
}

fn corrected() -> Definition<Order> {
    let mut saga = Saga::new("place-order", 1);
    let hold = saga.step((), |order: &Order, ()| corrected::Reserve {
        order: order.id.clone(),
    });
    saga.step(hold, |order, hold| Authorize {
        order: order.id.clone(),
        hold: hold.hold.to_string(),
    });
    let (mut saga, _) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
    });
    saga.then((), |order, ()| Ship {
        order: order.id.clone(),
    });
    saga.build()
}

pub async fn a_broken_run_that_takes_its_replies_sends_what_follows_once<F: Fixture>(fixture: F) {
    let fixture = Arc::new(fixture);
    let build = Scene::built(Arc::clone(&fixture), place_order(1), Building::<F>::build);
    let old = build.unwrap();
    let run = old.start("o-1").await;
    let answer = reply(&old.sent_one(), &corrected::Reserved { hold: 7 });
    old.take(&[&answer]).await.unwrap();
    assert_eq!(old.status(&run).await, Status::Broken);
    let new = Scene::built(fixture, corrected(), Building::<F>::build);
    let new = new.unwrap();
    new.desk().retry(&run, &ada()).await.unwrap();
    assert_eq!(new.status(&run).await, Status::Running);
    assert_eq!(new.kinds(), ["Authorize"]);
    let journal = new.show(&run).await.journal;
    let is_retried = |entry: &Entry| matches!(entry, Entry::Retried { .. });
    assert!(!journal.iter().any(|entry| is_retried(&entry.entry)));
}

pub async fn a_panic_in_a_step_breaks_its_run<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    let hold = "panic".to_owned();
    let other = scene.start("o-2").await;
    let commands = scene.sent();
    let replies = [
        reply(&commands[0], &Reserved { hold }),
        reply(&commands[1], &held()),
    ];
    scene.take(&[&replies[0], &replies[1]]).await.unwrap();
    assert_eq!(scene.kinds(), ["Authorize"]);
    assert_eq!(scene.status(&other).await, Status::Running);
    let details = scene.show(&run).await;
    assert_eq!(details.summary.status, Status::Broken);
    let why = details.state.broken.unwrap().why;
    assert!(why.contains("asked to panic"), "{why}");
    scene.desk().retry(&run, &ada()).await.unwrap();
    assert_eq!(scene.status(&run).await, Status::Broken, "it panics again");
}

pub async fn a_damaged_row_is_refused_and_stops_no_timer<F: Fixture>(fixture: F) {
    let mut saga = Saga::new("quick", 1);
    saga.step((), |order: &Order, ()| Quick {
        order: order.id.clone(),
    });
    let scene = Scene::new(fixture, saga.build());
    let damaged = scene.start("o-1").await;
    let good = scene.start("o-2").await;
    let store = scene.sagas.store();
    let mut tx = scene.database().begin().await.unwrap();
    let face = Face {
        status: Status::Running,
        is_overdue: false,
        step: None,
        wake_in: Some(Duration::ZERO),
    };
    let state = "{";
    let (run, journal) = (&damaged, &[][..]);
    let saved = SavedRun {
        run,
        state,
        face: &face,
        journal,
    };
    store.save(&mut tx, &[saved]).await.unwrap();
    scene.database().commit(tx).await.unwrap();
    let desk = scene.desk();
    let shown = desk.show(&damaged).await;
    assert!(matches!(shown, Err(Error::Damaged { .. })));
    scene
        .fire_until(async || scene.status(&good).await == Status::Undoing)
        .await;
    let listed = desk.list(&Query::broken(), None, 10).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].run, damaged);
    let timeline = desk.timeline(&damaged).await.unwrap();
    let last = &timeline.journal.last().unwrap().entry;
    assert!(matches!(last, Entry::Broken { .. }));
}

pub async fn a_run_of_a_newer_build_is_left_untouched_and_stops_no_timer<F: Fixture>(fixture: F) {
    let mut saga = Saga::new("quick", 1);
    saga.step((), |order: &Order, ()| Quick {
        order: order.id.clone(),
    });
    let scene = Scene::new(fixture, saga.build());
    let newer = scene.start("o-1").await;
    let quick = scene.sent_one();
    let good = scene.start("o-2").await;
    let (store, desk) = (scene.sagas.store(), scene.desk());
    let mut tx = scene.database().begin().await.unwrap();
    let face = Face {
        status: Status::Running,
        is_overdue: false,
        step: Some("Quick".to_owned()),
        wake_in: Some(Duration::ZERO),
    };
    let saved = SavedRun {
        run: &newer,
        state: r#"{"format":1000,"phase":"pausing"}"#,
        face: &face,
        journal: &[],
    };
    store.save(&mut tx, &[saved]).await.unwrap();
    scene.database().commit(tx).await.unwrap();
    let before = store.show(&newer).await.unwrap().unwrap();
    // It is due first, and looked at later.
    let wake_at = async || store.show(&newer).await.unwrap().unwrap().summary.wake_at;
    scene
        .fire_until(async || {
            scene.status(&good).await == Status::Undoing && wake_at().await > before.summary.wake_at
        })
        .await;
    for refused in [
        desk.show(&newer).await.unwrap_err(),
        desk.retry(&newer, &ada()).await.unwrap_err(),
        scene
            .take(&[&reply(&quick, &moved("there"))])
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(&refused, Error::NewerState { run, .. } if *run == newer));
    }
    // What is not due is not postponed.
    let postponed = wake_at().await;
    let mut tx = scene.database().begin().await.unwrap();
    let hour = Duration::from_secs(3600);
    store.postpone(&mut tx, &newer, hour).await.unwrap();
    scene.database().commit(tx).await.unwrap();
    let mut after = store.show(&newer).await.unwrap().unwrap();
    assert_eq!(after.summary.wake_at, postponed);
    after.summary.wake_at = before.summary.wake_at;
    assert_eq!(after.summary, before.summary);
    assert_eq!(after.stored.state, before.stored.state);
    assert_eq!(after.journal, before.journal);
}

/// A local step that fails while the switch is on.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

async fn note<F: Fixture>(
    connection: &mut Connection<F>,
    note: Note,
    switch: Switch,
) -> Result<Answer<Note>, HandlerError> {
    F::write(connection, &note.order).await?;
    if switch.0.load(Ordering::SeqCst) {
        return Err(HandlerError::retryable("asked to fail"));
    }
    Ok(Answer::Done(Noted { number: 1 }))
}

async fn unnote<F: Fixture>(_: &mut Connection<F>, _: Unnote) -> Result<(), HandlerError> {
    Ok(())
}

pub async fn a_failing_local_step_rolls_the_transition_back_and_stops_no_timer<F: Fixture>(
    fixture: F,
) {
    let mut saga = Saga::new("noted", 1);
    saga.step((), |order: &Order, ()| Authorize {
        order: order.id.clone(),
        hold: String::new(),
    });
    saga.local((), |order, ()| Note {
        order: order.id.clone(),
    });
    saga.step((), |order, ()| Quick {
        order: order.id.clone(),
    });
    let switch = Switch::default();
    let state = switch.clone();
    let scene = Scene::built(Arc::new(fixture), saga.build(), |builder| {
        builder
            .with_state(state)
            .local(note::<F>)
            .local_undo(unnote::<F>)
            .build()
    });
    let scene = scene.unwrap();
    let run = scene.start("o-1").await;
    let authorize = scene.sent_one();
    switch.0.store(true, Ordering::SeqCst);
    let answer = reply(&authorize, &Authorized {});
    let failed = scene.take(&[&answer]).await;
    assert!(matches!(failed, Err(Error::Handler { .. })));
    assert_eq!(scene.fixture.effects().await, [""; 0]);
    assert_eq!(scene.show(&run).await.state.steps[0].result, None);
    switch.0.store(false, Ordering::SeqCst);
    scene.take(&[&answer]).await.unwrap();
    assert_eq!(scene.fixture.effects().await, ["o-1"]);
    until(async || scene.status(&run).await == Status::Running).await;
}

/// Fails on each transition of one run behind its start.
struct Failing;

#[async_trait]
impl<C: Send + 'static> Observer<Order, C> for Failing {
    async fn observe(
        &self,
        _: &mut C,
        transition: &Transition<'_, Order>,
    ) -> Result<(), HandlerError> {
        let is_later = transition.before.is_some();
        match transition.key {
            "fails" if is_later => Err(HandlerError::permanent("asked to fail")),
            "panics" if is_later => panic!("asked to panic"),
            _ => Ok(()),
        }
    }
}

pub async fn a_failing_observer_stops_no_timer_of_another_run<F: Fixture>(fixture: F) {
    let mut saga = Saga::new("quick", 1);
    saga.step((), |order: &Order, ()| Quick {
        order: order.id.clone(),
    });
    let scene = Scene::built(Arc::new(fixture), saga.build(), |builder| {
        builder.observe(Failing).build()
    });
    let scene = scene.unwrap();
    let fails = scene.start("fails").await;
    let panics = scene.start("panics").await;
    let mut others = Vec::new();
    for key in ["o-1", "o-2", "o-3"] {
        others.push(scene.start(key).await);
    }
    for run in &others {
        scene
            .fire_until(async || scene.status(run).await == Status::Undoing)
            .await;
    }
    for run in [fails, panics] {
        assert_eq!(scene.status(&run).await, Status::Running, "rolled back");
    }
}
