//! Local steps, groups, answers and observers.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_database::Transactions as _;
use mainstay_inbox::HandlerError;
use mainstay_messaging::{Cause, Message};

use super::{
    Connection, Fixture,
    harness::{
        Authorize, Authorized, Building, Declined, NotNoted, Note, Noted, Order, Paid, Pay, Quick,
        Released, Reserve, Scene, Shipped, Unnote, held, moved, place_order, reply,
    },
};
use crate::{
    Answer, Definition, Error, Observer, Saga, Status, Transition, definition::StepShape,
    state::Progress,
};

async fn note<F: Fixture>(
    connection: &mut Connection<F>,
    note: Note,
) -> Result<Answer<Note>, HandlerError> {
    if note.order == "refuse" {
        return Ok(Answer::Refused(NotNoted {}));
    }
    F::write(connection, &format!("noted {}", note.order)).await?;
    Ok(Answer::Done(Noted { number: 7 }))
}

async fn unnote<F: Fixture>(
    connection: &mut Connection<F>,
    unnote: Unnote,
) -> Result<(), HandlerError> {
    F::write(connection, &format!("undone {}", unnote.order)).await?;
    Ok(())
}

/// Reserve, note (local), pay with the number of the note.
fn noted() -> Definition<Order> {
    let mut saga = Saga::new("noted", 1);
    saga.step((), |order: &Order, ()| Reserve {
        order: order.id.clone(),
    });
    let note = saga.local((), |order, ()| Note {
        order: order.id.clone(),
    });
    let (saga, _) = saga.pivot(note, |order, note| Pay {
        order: format!("{}/{}", order.id, note.number),
    });
    saga.build()
}

fn scene<F: Fixture>(fixture: F) -> Scene<F> {
    let scene = Scene::built(Arc::new(fixture), noted(), |builder| {
        builder.local(note::<F>).local_undo(unnote::<F>).build()
    });
    scene.unwrap()
}

pub async fn a_local_step_commits_with_its_transition<F: Fixture>(fixture: F) {
    let scene = scene(fixture);
    let run = scene.start("o-1").await;
    let answer = reply(&scene.sent_one(), &held());
    let mut tx = scene.database().begin().await.unwrap();
    scene.sagas.take(&mut tx, &[&answer]).await.unwrap();
    drop(tx);
    scene.sent();
    assert_eq!(scene.fixture.effects().await, [""; 0]);
    scene.take(&[&answer]).await.unwrap();
    assert_eq!(scene.fixture.effects().await, ["noted o-1"]);
    let pay: Pay = mainstay_messaging::event::decode(&scene.sent_one()).unwrap();
    assert_eq!(pay.order, "o-1/7", "its result");
    assert_eq!(
        scene.show(&run).await.state.steps[1].progress,
        Progress::Done
    );
}

pub async fn a_local_step_is_undone_in_its_own_transaction<F: Fixture>(fixture: F) {
    let scene = scene(fixture);
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &held()).await;
    let is_retryable = false;
    scene
        .reply(&scene.sent_one(), &Declined { is_retryable })
        .await;
    assert_eq!(scene.fixture.effects().await, ["noted o-1", "undone o-1"]);
    scene.reply(&scene.sent_one(), &Released {}).await;
    assert_eq!(scene.status(&run).await, Status::Undone);
    // A refusal of a local step undoes what was before it.
    scene.start("refuse").await;
    scene.reply(&scene.sent_one(), &held()).await;
    assert_eq!(scene.kinds(), ["Release"]);
}

pub async fn a_local_step_without_a_handler_is_refused_at_the_start<F: Fixture>(fixture: F) {
    let fixture = Arc::new(fixture);
    let none = Scene::built(Arc::clone(&fixture), noted(), Building::<F>::build);
    let error = none.err().unwrap();
    assert_eq!(fixture.effects().await, [""; 0]);
    assert!(matches!(error, Error::NoLocalHandler { kind: "Note", .. }));
    let half = Scene::built(fixture, noted(), |builder| builder.local(note::<F>).build());
    let error = half.err().unwrap();
    assert!(matches!(
        error,
        Error::NoLocalHandler { kind: "Unnote", .. }
    ));
}

/// Reserve and authorize at once, then pay.
fn grouped() -> Definition<Order> {
    let mut saga = Saga::new("grouped", 1);
    let (hold, _) = saga.parallel(|group| {
        let hold = group.step((), |order: &Order, ()| Reserve {
            order: order.id.clone(),
        });
        let auth = group.step((), |order, ()| Authorize {
            order: order.id.clone(),
            hold: String::new(),
        });
        (hold, auth)
    });
    let (saga, _) = saga.pivot(hold, |_, hold| Pay { order: hold.hold });
    saga.build()
}

pub async fn a_group_waits_for_all_of_its_steps<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, grouped());
    let run = scene.start("o-1").await;
    let commands = scene.sent();
    assert_eq!(commands.len(), 2);
    scene.reply(&commands[1], &Authorized {}).await;
    assert_eq!(scene.kinds(), [""; 0]);
    scene.reply(&commands[0], &held()).await;
    scene.reply(&scene.sent_one(), &Paid {}).await;
    assert_eq!(scene.status(&run).await, Status::Completed);
}

pub async fn a_group_is_undone_with_what_is_in_flight<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, grouped());
    let run = scene.start("o-1").await;
    let commands = scene.sent();
    let is_retryable = false;
    scene.reply(&commands[1], &Declined { is_retryable }).await;
    let release = scene.sent_one();
    assert_eq!(release.kind.as_str(), "Release", "its outcome is unknown");
    scene.reply(&commands[0], &held()).await;
    scene.reply(&release, &Released {}).await;
    assert_eq!(scene.status(&run).await, Status::Undone);
}

pub async fn one_kind_of_event_may_be_done_and_refused<F: Fixture>(fixture: F) {
    let mut saga = Saga::new("moving", 1);
    saga.step((), |order: &Order, ()| Quick {
        order: order.id.clone(),
    });
    let scene = Scene::new(fixture, saga.build());
    for (to, status) in [("there", Status::Completed), ("nowhere", Status::Undone)] {
        let run = scene.start(to).await;
        let quick = scene.sent_one();
        scene.reply(&quick, &moved("halfway")).await;
        assert_eq!(scene.status(&run).await, Status::Running, "neither");
        scene.reply(&quick, &Shipped {}).await;
        assert_eq!(scene.status(&run).await, Status::Running, "another kind");
        scene.reply(&quick, &moved(to)).await;
        assert_eq!(scene.status(&run).await, status);
    }
}

/// Writes each transition as an effect; fails on the word.
struct History<F>(std::marker::PhantomData<fn() -> F>, StepShape);

#[async_trait]
impl<F: Fixture> Observer<Order, Connection<F>> for History<F> {
    async fn observe(
        &self,
        connection: &mut Connection<F>,
        transition: &Transition<'_, Order>,
    ) -> Result<(), HandlerError> {
        let before = transition.before.map_or("-", Status::as_str);
        let Transition { after, input, .. } = transition;
        F::write(connection, &format!("{} {before} {after}", input.id)).await?;
        if transition.key == "fail" {
            return Err(HandlerError::permanent("asked to fail"));
        }
        assert_eq!(self.1.name, "Reserve");
        Ok(())
    }
}

/// Writes the trace of each transition as an effect.
struct Traces<F>(std::marker::PhantomData<fn() -> F>);

#[async_trait]
impl<F: Fixture> Observer<Order, Connection<F>> for Traces<F> {
    async fn observe(
        &self,
        connection: &mut Connection<F>,
        _: &Transition<'_, Order>,
    ) -> Result<(), HandlerError> {
        let cause = Cause::current();
        Ok(F::write(connection, cause.traceparent().unwrap_or("none")).await?)
    }
}

pub async fn an_observer_has_the_trace_of_the_reply<F: Fixture>(fixture: F) {
    let scene = Scene::built(Arc::new(fixture), place_order(1), |builder| {
        builder
            .observe(Traces::<F>(std::marker::PhantomData))
            .build()
    });
    let scene = scene.unwrap();
    scene.start("o-1").await;
    let mut answer = reply(&scene.sent_one(), &held());
    answer.traceparent = Some("trace".to_owned());
    scene.take(&[&answer]).await.unwrap();
    assert_eq!(scene.fixture.effects().await, ["none", "trace"]);
}

/// Writes the keys and the traces of all transitions of a transaction as one effect.
struct Batches<F>(std::marker::PhantomData<fn() -> F>);

#[async_trait]
impl<F: Fixture> Observer<Order, Connection<F>> for Batches<F> {
    async fn observe(
        &self,
        _: &mut Connection<F>,
        _: &Transition<'_, Order>,
    ) -> Result<(), HandlerError> {
        Err(HandlerError::permanent("one by one"))
    }

    async fn observe_batch(
        &self,
        connection: &mut Connection<F>,
        transitions: &[Transition<'_, Order>],
    ) -> Result<(), HandlerError> {
        let told = transitions.iter().map(|transition| {
            let trace = transition.cause.traceparent().unwrap_or("none");
            format!("{} {trace}", transition.key)
        });
        let mut told: Vec<String> = told.collect();
        told.sort();
        Ok(F::write(connection, &told.join(", ")).await?)
    }
}

pub async fn an_observer_may_take_all_transitions_of_a_transaction_at_once<F: Fixture>(fixture: F) {
    let scene = Scene::built(Arc::new(fixture), place_order(1), |builder| {
        builder
            .observe(Batches::<F>(std::marker::PhantomData))
            .build()
    });
    let scene = scene.unwrap();
    let mut answers = Vec::new();
    for key in ["o-1", "o-2", "o-3"] {
        scene.start(key).await;
        let mut answer = reply(&scene.sent_one(), &held());
        answer.traceparent = Some(format!("of-{key}"));
        answers.push(answer);
    }
    let answers: Vec<&Message> = answers.iter().chain(answers.first()).collect();
    scene.take(&answers).await.unwrap();
    scene.take(&answers).await.unwrap();
    let wanted = [
        "o-1 none",
        "o-2 none",
        "o-3 none",
        "o-1 of-o-1, o-2 of-o-2, o-3 of-o-3",
    ];
    assert_eq!(
        scene.fixture.effects().await,
        wanted,
        "once for all of them"
    );
}

pub async fn an_observer_writes_in_the_transitions_transaction<F: Fixture>(fixture: F) {
    let definition = place_order(1);
    let first = definition.shape().steps[0].clone();
    let history = History::<F>(std::marker::PhantomData, first);
    let scene = Scene::built(Arc::new(fixture), definition, |builder| {
        builder.observe(history).build()
    });
    let scene = scene.unwrap();
    let (_, pay) = scene.at_the_pivot("o-1").await;
    let is_retryable = false;
    let declined = reply(&pay, &Declined { is_retryable });
    let mut tx = scene.database().begin().await.unwrap();
    scene.sagas.take(&mut tx, &[&declined]).await.unwrap();
    drop(tx);
    let three = [
        "o-1 - running",
        "o-1 running running",
        "o-1 running running",
    ];
    assert_eq!(
        scene.fixture.effects().await,
        three,
        "rolled back with the transition"
    );
    scene.take(&[&declined, &declined]).await.unwrap();
    let effects = scene.fixture.effects().await;
    assert_eq!(
        effects[3..],
        ["o-1 running undoing"],
        "once for each transition"
    );
    let mut tx = scene.database().begin().await.unwrap();
    let input = Order {
        id: "fail".to_owned(),
    };
    let failed = scene.sagas.start(&mut tx, "fail", &input).await;
    assert!(matches!(failed, Err(Error::Handler { .. })));
}
