#![expect(clippy::unwrap_used, reason = "tests")]

use mainstay_database::memory::{Connection, Database, Transaction};
use mainstay_messaging::{Event, Partition};
use mainstay_outbox::RecordingOutbox;

use super::*;
use crate::{MemorySagas, Outcome, messages};

messages! {
    "commands" { Reserve { pieces: i64 }, Release {}, Ship {} }
    "replies" { Reserved { pieces: i64 }, OutOfStock {}, Released {}, Shipped {} }
}

impl Command for Reserve {
    type Done = Reserved;
    type Refused = OutOfStock;
}

impl Compensable for Reserve {
    type Undo = Release;
    type Undone = Released;

    fn undo(&self, _: Outcome<'_, Reserved>) -> Release {
        Release {}
    }
}

impl Command for Ship {
    type Done = Shipped;
    type Refused = crate::Never;
}

async fn reserve(
    _: &mut Connection,
    command: Received<Reserve>,
) -> Result<Answer<Reserve>, HandlerError> {
    match command.event.pieces {
        0 => Ok(Answer::Refused(OutOfStock {})),
        1.. => Ok(Answer::Done(Reserved {
            pieces: command.event.pieces,
        })),
        _ => Err(HandlerError::permanent("less than nothing")),
    }
}

async fn release(_: &mut Connection, _: Received<Release>) -> Result<Released, HandlerError> {
    Ok(Released {})
}

async fn ship(_: &mut Connection, _: Received<Ship>) -> Result<Answer<Ship>, HandlerError> {
    Ok(Answer::Neither)
}

type Outbox = RecordingOutbox<Connection>;

/// A participant, and a transaction of its worker.
struct Scene {
    database: Database,
    outbox: Outbox,
    commands: Commands<MemorySagas, Outbox>,
    tx: Transaction,
}

impl Scene {
    async fn new() -> Self {
        let database = Database::new();
        let outbox = Outbox::new();
        let participant = Participant::new(MemorySagas::new(&database), outbox.clone());
        let handlers = participant.handlers().on_undoable(reserve, release);
        let commands = handlers.on(ship).commands();
        let tx = database.begin().await.unwrap();
        Self {
            database,
            outbox,
            commands,
            tx,
        }
    }

    async fn handle(&mut self, batch: Vec<Received<()>>) -> Result<(), HandlerError> {
        on_commands::<MemorySagas, Outbox>(&mut self.tx, batch, self.commands.clone()).await
    }

    /// The replies: what they answer, and their kinds.
    fn replies(&self) -> Vec<String> {
        let of = |reply: Message| {
            let command = reply.causation_id.unwrap();
            format!("{command} {}", reply.kind)
        };
        self.outbox.messages().into_iter().map(of).collect()
    }
}

fn received<E: Event>(id: &str, event: &E) -> Received<()> {
    let message = Message::builder().source("/saga").event(event).id(id);
    let message = message.key("o-1").build().unwrap();
    let partition = Partition {
        topic: message.topic.clone(),
        number: 0,
    };
    let offset = 0;
    Received::new((), message, Position { partition, offset })
}

fn reserving(id: &str, pieces: i64) -> Received<()> {
    received(id, &Reserve { pieces })
}

#[tokio::test]
async fn each_command_of_a_batch_is_answered_in_its_order() {
    let mut scene = Scene::new().await;
    let batch = vec![
        reserving("a:Reserve:1", 2),
        reserving("b:Reserve:1", 0),
        received("c:Ship:1", &Ship {}),
        received("a:Reserve:undo", &Release {}),
        reserving("d:Reserve:1", 1),
    ];
    scene.handle(batch).await.unwrap();
    let replies = [
        "a:Reserve:1 Reserved",
        "b:Reserve:1 OutOfStock",
        "a:Reserve:undo Released",
        "d:Reserve:1 Reserved",
    ];
    assert_eq!(scene.replies(), replies);
    scene.database.commit(scene.tx).await.unwrap();
}

#[tokio::test]
async fn a_command_behind_its_undo_has_no_effect_in_the_same_batch_nor_later() {
    let mut scene = Scene::new().await;
    let batch = vec![
        received("a:Reserve:undo", &Release {}),
        reserving("a:Reserve:1", 2),
        reserving("b:Reserve:1", 2),
    ];
    scene.handle(batch).await.unwrap();
    scene
        .handle(vec![reserving("a:Reserve:2", 2)])
        .await
        .unwrap();
    assert_eq!(
        scene.replies(),
        ["a:Reserve:undo Released", "b:Reserve:1 Reserved"]
    );
}

#[tokio::test]
async fn a_failure_names_its_command_and_nothing_is_answered() {
    let mut scene = Scene::new().await;
    let fine = || reserving("a:Reserve:1", 2);
    let failed = vec![
        fine(),
        reserving("b:Reserve:1", -1),
        reserving("c:Reserve:1", 1),
    ];
    let failure = scene.handle(failed).await.unwrap_err();
    assert!(
        format!("{failure:?}").contains("at: Some(1)"),
        "{failure:?}"
    );
    assert!(failure.is_permanent());

    let mut unreadable = reserving("b:Reserve:1", 1);
    unreadable.message.payload = Some("no JSON".into());
    let failure = scene.handle(vec![fine(), unreadable]).await.unwrap_err();
    assert!(
        format!("{failure:?}").contains("at: Some(1)"),
        "{failure:?}"
    );
    assert!(failure.is_permanent());
    assert_eq!(scene.replies(), [""; 0]);
}

#[test]
fn two_handlers_of_one_kind_are_found() {
    let sagas = MemorySagas::new(Database::new());
    let participant = Participant::new(sagas, Outbox::new());
    let handlers = participant
        .handlers()
        .on(reserve)
        .on_undoable(reserve, release);
    let error = handlers.build().check().unwrap_err();
    assert!(error.to_string().contains("Reserve"), "{error}");
}
