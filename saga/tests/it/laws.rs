//! The laws of a step, kept and broken.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record};
use mainstay_inbox::{HandlerError, Handlers, Inbox as _, MemoryInbox, Received};
use mainstay_messaging::{Delivery, Event, Group, Message, Partition, Position, broker::Content};
use mainstay_outbox::RecordingOutbox;
use mainstay_saga::{
    Command, Compensable, MemorySagas, Outcome, Participant,
    laws::{self, Subject, Violation},
};
use proptest::prelude::*;

use crate::orders::{OutOfStock, ReleaseStock, ReserveStock, StockReleased, StockReserved};

proptest! {
    #[test]
    fn a_step_keeps_its_laws(order in "[a-z]{1,8}", hold in ".*") {
        let (command, done) = (ReserveStock { order }, StockReserved { hold });
        laws::compensable(&command, &done, Some(&OutOfStock {}), &StockReleased {})?;
    }
}

mainstay_saga::messages! {
    "t" { Endless {}, Yes {}, No {}, Undo {}, Undid {} }
}

impl Command for Endless {
    type Done = Yes;
    type Refused = No;

    fn retry(_: &No, _: u32) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Astray {
    order: String,
}

impl Event for Astray {
    const TOPIC: &'static str = "t";
    const KIND: &'static str = "Astray";

    fn key(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some((&*self.order).into())
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Lost {}

impl Event for Lost {
    const TOPIC: &'static str = "t";
    const KIND: &'static str = "Lost";

    fn key(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("elsewhere".into())
    }
}

impl Command for Astray {
    type Done = Yes;
    type Refused = No;
}

impl Compensable for Astray {
    type Undo = Lost;
    type Undone = Undid;

    fn undo(&self, _: Outcome<'_, Yes>) -> Lost {
        Lost {}
    }
}

#[test]
fn a_step_that_breaks_a_law_is_named() {
    let found = laws::command(&Endless {}, &Yes {}, Some(&No {})).unwrap_err();
    assert_eq!(
        found.to_string(),
        "Endless: its retries end, but attempt 10000 is still retried"
    );
    let order = "o".to_owned();
    let found = laws::compensable(&Astray { order }, &Yes {}, None, &Undid {}).unwrap_err();
    let text = found.to_string();
    assert!(
        text.contains("its undo goes to the key of the command"),
        "{text}"
    );
}

/// The stock of one service: a row per order that holds some.
#[derive(Clone, Debug)]
struct Hold(String);

impl Record for Hold {
    const TABLE: &'static str = "holds";
    type Key = String;

    fn key(&self) -> String {
        self.0.clone()
    }
}

type Outbox = RecordingOutbox<Connection>;
type Kit = Participant<MemorySagas, Outbox>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    Forgets,
    KeepsIt,
    AnswersNothing,
    RefusesWithEffect,
}

async fn reserve(
    tx: &mut Connection,
    command: Received<ReserveStock>,
    (kit, flaw): (Kit, Flaw),
) -> Result<(), HandlerError> {
    let begun = kit.begin(tx, &command).await?;
    let task = match (begun, flaw) {
        (Some(task), _) => task,
        (None, Flaw::Forgets) => serde_json::from_value(serde_json::json!({ "to": {
            "command": command.message.id.as_str(), "key": null, "correlation": null, "traceparent": null,
        }}))?,
        (None, _) => return Ok(()),
    };
    let hold = Hold(command.event.order.clone());
    if tx.statement().await?.insert(hold).await? == Inserted::Exists {
        return Err(HandlerError::permanent("the order holds some"));
    }
    match flaw {
        Flaw::AnswersNothing => Ok(()),
        Flaw::RefusesWithEffect => Ok(kit.refused(tx, &task, &OutOfStock {}).await?),
        _ => {
            let hold = command.event.order;
            Ok(kit.done(tx, &task, &StockReserved { hold }).await?)
        }
    }
}

async fn release(
    tx: &mut Connection,
    undo: Received<ReleaseStock>,
    (kit, flaw): (Kit, Flaw),
) -> Result<(), HandlerError> {
    let (_, task) = kit.undo::<ReserveStock>(tx, &undo).await?;
    if flaw != Flaw::KeepsIt {
        let mut statement = tx.statement().await?;
        let _held = statement
            .delete::<Hold>(&undo.event.order, |_| true)
            .await?;
    }
    Ok(kit.undone(tx, &task, &StockReleased {}).await?)
}

struct Stock {
    database: Database,
    inbox: MemoryInbox,
    outbox: Outbox,
    handlers: Handlers<Connection, (Kit, Flaw)>,
}

impl Stock {
    fn new(flaw: Flaw) -> Self {
        let (database, outbox) = (Database::new(), Outbox::new());
        let kit = Participant::new(MemorySagas::new(&database), outbox.clone());
        let handlers = Handlers::new().with_state((kit, flaw));
        Self {
            inbox: MemoryInbox::new(&database),
            handlers: handlers.on(reserve).on(release),
            database,
            outbox,
        }
    }
}

#[async_trait]
impl Subject for Stock {
    async fn handle(&mut self, message: &Message) -> Result<Vec<Message>, String> {
        let partition = Partition {
            topic: message.topic.clone(),
            number: 0,
        };
        let delivery = Delivery {
            position: Position {
                partition,
                offset: 0,
            },
            content: Content::Message(message.clone()),
        };
        let before = self.outbox.messages().len();
        let mut tx = self.database.begin().await.map_err(|e| e.to_string())?;
        let group = Group::from_static("stock");
        let admission = self.inbox.admit(&mut tx, &group, &delivery).await;
        if admission.map_err(|e| e.to_string())?.is_fresh() {
            let handled = self.handlers.run(&mut tx, &delivery).await;
            handled.map_err(|e| e.to_string())?;
        }
        self.database.commit(tx).await.map_err(|e| e.to_string())?;
        Ok(self.outbox.messages().split_off(before))
    }

    async fn effect(&mut self) -> Result<String, String> {
        let holds = self.database.committed::<Hold>();
        Ok(format!("{holds:?}"))
    }
}

async fn check(flaw: Flaw) -> Result<(), Violation> {
    let order = "o-1".to_owned();
    laws::participant(async || Stock::new(flaw), &ReserveStock { order }).await
}

#[tokio::test]
async fn a_participant_with_the_kit_keeps_the_laws() {
    check(Flaw::None).await.unwrap();
}

#[tokio::test]
async fn a_participant_that_breaks_a_law_is_named() {
    for (flaw, law) in [
        (
            Flaw::Forgets,
            "a do behind its undo has no effect and is not answered as done",
        ),
        (Flaw::KeepsIt, "an undo takes the effect of the do back"),
        (
            Flaw::AnswersNothing,
            "a do is answered once, with done or refused",
        ),
        (Flaw::RefusesWithEffect, "a refusal has no effect"),
    ] {
        assert_eq!(check(flaw).await.unwrap_err().law, law);
    }
}
