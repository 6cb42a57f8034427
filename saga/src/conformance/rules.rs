//! One case and more for each rule (a) to (g) of the protocol; (h) is among the races.

use mainstay_database::Transactions as _;
use mainstay_messaging::{Kind, Message};

use super::{
    Fixture,
    harness::{
        Authorized, Declined, Order, OutOfStock, Paid, Released, Scene, Shipped, Voided, ada, held,
        moved, place_order, quick, renamed, reply,
    },
};
use crate::{
    Cancellation, CommandId, Query, Started, Status,
    journal::Entry,
    state::{Progress, Reason},
    store::{Begun, ParticipantStore as _, SagaStore as _, Unbegun},
};

pub async fn rule_a_a_reply_counts_only_if_it_names_the_command_that_the_run_waits_for<
    F: Fixture,
>(
    fixture: F,
) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    let reserve = scene.sent_one();
    let good = reply(&reserve, &held());
    let other = |causation: Option<String>| {
        let mut other = good.clone();
        other.causation_id = causation;
        other
    };
    let id: CommandId = reserve.id.as_str().parse().unwrap();
    for causation in [
        None,
        Some(String::new()),
        Some("something-else".to_owned()),
        Some(format!("{run}:Reserve:2")),
        Some(format!("{run}:Reserve:undo")),
        Some(format!("{run}:Pay:1")),
        Some(reserve.id.as_str().replace(run.as_str(), "another-run")),
    ] {
        let foreign = other(causation.clone());
        scene.take(&[&foreign]).await.unwrap();
        let details = scene.show(&run).await;
        assert_eq!(
            details.state.steps[0].progress,
            Progress::Sent,
            "{causation:?}"
        );
    }
    assert_eq!(id.run, run);
    scene.take(&[&good]).await.unwrap();
    assert_eq!(scene.kinds(), ["Authorize"]);
    let before = scene.show(&run).await;
    scene.take(&[&good]).await.unwrap();
    assert_eq!(scene.kinds(), [""; 0], "a duplicate");
    assert_eq!(scene.show(&run).await.state, before.state);
}

pub async fn rule_a_a_reused_key_gets_new_command_ids<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let first = scene.start("o-1").await;
    let old = scene.sent_one();
    scene.reply(&old, &OutOfStock {}).await;
    assert_eq!(scene.status(&first).await, Status::Undone);
    let second = scene.start("o-1").await;
    let new = scene.sent_one();
    assert_ne!(first, second);
    assert_ne!(
        old.id, new.id,
        "the participant would take it as a duplicate"
    );
    scene.reply(&old, &held()).await;
    assert_eq!(scene.kinds(), [""; 0], "a late reply to the first run");
    for (command, next) in [
        ("Reserve", "Authorize"),
        ("Authorize", "Pay"),
        ("Pay", "Ship"),
    ] {
        let to = renamed(&new, format!("{second}:{command}:1"));
        match command {
            "Reserve" => scene.reply(&to, &held()).await,
            "Authorize" => scene.reply(&to, &Authorized {}).await,
            _ => scene.reply(&to, &Paid {}).await,
        }
        assert_eq!(scene.kinds(), [next]);
    }
    let ship = renamed(&new, format!("{second}:Ship:1"));
    scene.reply(&ship, &Shipped {}).await;
    assert_eq!(scene.status(&second).await, Status::Completed);
}

pub async fn rule_a_the_attempt_rises_only_after_a_known_refusal<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &held()).await;
    let first = scene.sent_one();
    assert_eq!(first.id.as_str(), format!("{run}:Authorize:1"));
    let desk = scene.desk();
    desk.retry(&run, &ada()).await.unwrap();
    assert_eq!(
        scene.sent_one().id,
        first.id,
        "its outcome is unknown: the same id"
    );
    let is_retryable = true;
    scene.reply(&first, &Declined { is_retryable }).await;
    let at = async || scene.show(&run).await.state.steps[1].progress;
    scene
        .fire_until(async || at().await == Progress::Sent)
        .await;
    let second = scene.sent_one();
    assert_eq!(second.id.as_str(), format!("{run}:Authorize:2"));
    scene.reply(&first, &Authorized {}).await;
    assert_eq!(at().await, Progress::Sent, "a reply to the refused attempt");
    scene.reply(&second, &Authorized {}).await;
    assert_eq!(at().await, Progress::Done);
}

pub async fn rule_b_before_the_pivot_a_timeout_undoes_the_step_in_flight_too<F: Fixture>(
    fixture: F,
) {
    let scene = Scene::new(fixture, quick());
    let run = scene.start("o-1").await;
    let reserve = scene.sent_one();
    scene.reply(&reserve, &held()).await;
    let quick = scene.sent_one();
    scene
        .fire_until(async || scene.status(&run).await == Status::Undoing)
        .await;
    let undo = scene.sent_one();
    assert_eq!(undo.kind.as_str(), "Unquick", "its outcome is unknown");
    scene.reply(&quick, &moved("there")).await;
    assert_eq!(scene.kinds(), [""; 0], "a late reply to the do");
    scene.reply(&undo, &moved("back")).await;
    let release = scene.sent_one();
    assert_eq!(release.kind.as_str(), "Release");
    scene.reply(&release, &Released {}).await;
    let details = scene.show(&run).await;
    assert_eq!(details.summary.status, Status::Undone);
    let step = "Quick".to_owned();
    assert_eq!(details.state.reason, Some(Reason::TimedOut { step }));
}

pub async fn rule_b_from_the_sending_of_the_pivot_on_a_timeout_only_reports<F: Fixture>(
    fixture: F,
) {
    let scene = Scene::new(fixture, quick());
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &held()).await;
    scene.reply(&scene.sent_one(), &moved("there")).await;
    let pay = scene.sent_one();
    let is_overdue = async || scene.show(&run).await.summary.is_overdue;
    scene.fire_until(is_overdue).await;
    assert_eq!(scene.kinds(), [""; 0], "nothing is undone");
    assert_eq!(scene.status(&run).await, Status::Running);
    let overdue = scene.desk().overdue(10).await.unwrap();
    assert_eq!(overdue.items[0].run, run);
    scene.reply(&pay, &Paid {}).await;
    assert!(!is_overdue().await);
    scene.reply(&scene.sent_one(), &Shipped {}).await;
    assert_eq!(scene.status(&run).await, Status::Completed);
}

pub async fn rule_c_a_command_and_its_undo_share_topic_and_key<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    scene.start("o-1").await;
    let reserve = scene.sent_one();
    scene.reply(&reserve, &held()).await;
    let authorize = scene.sent_one();
    let is_retryable = false;
    scene.reply(&authorize, &Declined { is_retryable }).await;
    let release = scene.sent_one();
    assert_eq!(release.kind, Kind::from_static("Release"));
    assert_eq!(
        (&release.topic, &release.key),
        (&reserve.topic, &reserve.key)
    );
    assert_eq!(reserve.key.as_ref().unwrap().as_str(), "o-1");
    let undo: super::harness::Release = mainstay_messaging::event::decode(&release).unwrap();
    assert_eq!(undo.hold.as_deref(), Some("h-1"), "the known result");
}

pub async fn rule_c_a_retry_waits_for_the_timer_of_its_run<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &held()).await;
    let is_retryable = true;
    let authorize = scene.sent_one();
    scene.reply(&authorize, &Declined { is_retryable }).await;
    assert_eq!(
        scene.kinds(),
        [""; 0],
        "a delayed message would leave the order of its key"
    );
    let details = scene.show(&run).await;
    assert_eq!(details.state.steps[1].progress, Progress::Waiting);
    assert!(details.summary.wake_at.is_some());
    scene
        .fire_until(async || scene.outbox.messages().len() > 2)
        .await;
    let again = scene.sent_one();
    assert_eq!(
        (&again.topic, &again.key),
        (&authorize.topic, &authorize.key)
    );
}

pub async fn rule_c_an_undo_without_a_do_is_undone_and_the_do_behind_it_refused<F: Fixture>(
    fixture: F,
) {
    let store = fixture.sagas();
    let mut tx = store.database().begin().await.unwrap();
    assert_eq!(store.undo(&mut tx, "r:s").await.unwrap(), Unbegun::Never);
    store.database().commit(tx).await.unwrap();
    let mut tx = store.database().begin().await.unwrap();
    assert_eq!(store.begin(&mut tx, "r:s").await.unwrap(), Begun::Undone);
    assert_eq!(store.begin(&mut tx, "r:t").await.unwrap(), Begun::First);
    store.database().commit(tx).await.unwrap();
}

pub async fn rule_d_an_undo_never_gives_up_and_is_reported_overdue<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, quick());
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &held()).await;
    scene.sent_one();
    let is_overdue = async || scene.show(&run).await.summary.is_overdue;
    scene.fire_until(is_overdue).await;
    let undo = scene.sent_one();
    assert_eq!(undo.kind.as_str(), "Unquick");
    assert_eq!(
        scene.status(&run).await,
        Status::Undoing,
        "it waits for as long as it takes"
    );
    let step = Some("Quick".to_owned());
    let journal = scene.show(&run).await.journal;
    assert!(
        journal
            .iter()
            .any(|entry| entry.entry == Entry::Overdue { step: step.clone() })
    );
    scene.reply(&undo, &moved("nowhere")).await;
    assert_eq!(
        scene.status(&run).await,
        Status::Undoing,
        "an undo is not refused"
    );
    scene.reply(&undo, &moved("back")).await;
    scene.reply(&scene.sent_one(), &Released {}).await;
    assert_eq!(scene.status(&run).await, Status::Undone);
    assert!(!is_overdue().await);
}

pub async fn rule_e_a_broken_run_keeps_its_reply_and_stops_no_other<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let mut commands = Vec::new();
    for key in 0..20 {
        scene.start(&format!("o-{key}")).await;
        commands.push(scene.sent_one());
    }
    let mut replies: Vec<Message> = commands.iter().map(|to| reply(to, &held())).collect();
    replies[7].payload = Some("{\"hold\":".into());
    let broken: CommandId = commands[7].id.as_str().parse().unwrap();
    scene
        .take(&replies.iter().collect::<Vec<_>>())
        .await
        .unwrap();
    assert_eq!(scene.kinds(), ["Authorize"; 19], "all others go on");
    let listed = scene
        .desk()
        .list(&Query::broken(), None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].run, broken.run);
    let state = scene.show(&broken.run).await.state;
    let kept = state.broken.unwrap();
    assert_eq!(kept.replies[0].read().unwrap(), replies[7], "as it came");
    assert!(kept.why.contains("Reserved"), "{}", kept.why);
}

pub async fn rule_f_a_start_is_idempotent_by_business_key_in_the_callers_transaction<F: Fixture>(
    fixture: F,
) {
    let scene = Scene::new(fixture, place_order(1));
    let order = Order {
        id: "o-1".to_owned(),
    };
    let mut tx = scene.database().begin().await.unwrap();
    let first = scene.sagas.start(&mut tx, "o-1", &order).await.unwrap();
    let again = scene.sagas.start(&mut tx, "o-1", &order).await.unwrap();
    assert!(first.is_new());
    assert_eq!(again, Started::Exists(first.run().clone()));
    F::write(&mut tx, "placed").await.unwrap();
    scene.database().commit(tx).await.unwrap();
    let mut tx = scene.database().begin().await.unwrap();
    let again = scene.sagas.start(&mut tx, "o-1", &order).await.unwrap();
    assert_eq!(again, Started::Exists(first.run().clone()));
    F::write(&mut tx, "placed again").await.unwrap();
    scene.database().commit(tx).await.unwrap();
    assert_eq!(scene.kinds(), ["Reserve"]);
    assert_eq!(scene.fixture.effects().await, ["placed", "placed again"]);
    assert_eq!(scene.desk().count(&Query::all()).await.unwrap(), 1);
}

pub async fn rule_g_a_cancel_is_a_refusal_at_the_next_safe_point<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &held()).await;
    scene.sent_one();
    let mut tx = scene.database().begin().await.unwrap();
    let cancelled = scene.sagas.cancel(&mut tx, "o-1", &ada()).await.unwrap();
    assert_eq!(cancelled, Some(Cancellation::Accepted));
    let unknown = scene.sagas.cancel(&mut tx, "o-2", &ada()).await.unwrap();
    assert_eq!(unknown, None);
    scene.database().commit(tx).await.unwrap();
    let void = scene.sent_one();
    scene.reply(&void, &Voided {}).await;
    let cancelled = scene.desk().cancel(&run, &ada()).await.unwrap();
    assert_eq!(cancelled, Cancellation::Undoing);
    scene.reply(&scene.sent_one(), &Released {}).await;
    let details = scene.show(&run).await;
    assert_eq!(details.summary.status, Status::Undone);
    let by = ada();
    assert_eq!(details.state.reason, Some(Reason::Cancelled { by }));
    let cancelled = scene.desk().cancel(&run, &ada()).await.unwrap();
    assert_eq!(cancelled, Cancellation::Not(Status::Undone));
}

pub async fn rule_g_a_cancel_behind_the_sending_of_the_pivot_is_undecided<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let (refused, pay) = scene.at_the_pivot("o-1").await;
    let cancelled = scene.desk().cancel(&refused, &ada()).await.unwrap();
    assert_eq!(cancelled, Cancellation::Undecided);
    assert_eq!(scene.kinds(), [""; 0], "nothing is undone");
    let is_retryable = true;
    scene.reply(&pay, &Declined { is_retryable }).await;
    assert_eq!(scene.kinds(), ["Void"], "no further attempt of the pivot");
    assert_eq!(scene.status(&refused).await, Status::Undoing);

    let (paid, pay) = scene.at_the_pivot("o-2").await;
    let cancelled = scene.desk().cancel(&paid, &ada()).await.unwrap();
    assert_eq!(cancelled, Cancellation::Undecided);
    scene.reply(&pay, &Paid {}).await;
    let cancelled = scene.desk().cancel(&paid, &ada()).await.unwrap();
    assert_eq!(cancelled, Cancellation::TooLate);
    scene.reply(&scene.sent_one(), &Shipped {}).await;
    assert_eq!(scene.status(&paid).await, Status::Completed);
}
