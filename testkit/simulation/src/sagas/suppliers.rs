//! The participants: each step's effect, its refusal and its undo is a row, written with its answer.

use std::time::Duration;

use mainstay_database::memory::{Connection, Database, Inserted};
use mainstay_inbox::{HandlerError, MemoryInbox, Received, Worker};
use mainstay_messaging::{Event as _, StartAt};
use mainstay_outbox::MemoryOutbox;
use mainstay_saga::{
    Answer, Attempt, CommandId, Error, MemorySagas, Participant, Task as Answering,
};

use super::{
    Failure, Sagas,
    messages::{
        Authorize, COMMANDS, Pay, Refusal as _, Release, Released, Reserve, Ship, Task, Void,
        Voided,
    },
    rows::{Act, Deed, Late},
    topics,
};
use crate::{
    Process, Rng,
    shop::engines::{Settings, as_planned, block_key, tuned},
};

/// How often commands are looked for that are to be carried out late.
const LATE: Duration = Duration::from_millis(500);

#[derive(Clone)]
struct Supplier {
    kit: Participant<MemorySagas, MemoryOutbox>,
    database: Database,
    process: Process,
}

/// A participant on a host.
pub(super) async fn run(sagas: Sagas, process: Process) -> Result<(), Failure> {
    let database = process.database();
    let outbox = sagas.outbox_of(&database, &process).await?;
    let supplier = Supplier {
        kit: Participant::new(MemorySagas::new(&database), outbox),
        database,
        process: process.clone(),
    };
    let consumer = process
        .consumer(&super::suppliers(), &topics(COMMANDS), StartAt::Earliest)
        .await?;
    let handlers = (supplier.kit.handlers().with_state(supplier.clone()))
        .on_undoable(carry_out::<Reserve>, release)
        .on_undoable(carry_out::<Authorize>, void)
        .on(carry_out::<Pay>)
        .on(carry_out::<Ship>);
    let worker = Worker::new(MemoryInbox::new(&supplier.database), consumer);
    let worker = worker.handlers(handlers.build());
    let rng = Rng::new(sagas.seed, process.name());
    let settings = Settings::draw(&rng, 1 + rng.below(40), super::RETENTION);
    let worker = tuned(worker, &settings, &process).failure_policy(block_key());
    let shutdown = process.shutdown();
    let working = worker.run_until(shutdown.clone().cancelled_owned());
    let (ended, answered) = tokio::join!(working, supplier.answer_late());
    ended?;
    Ok(answered?)
}

async fn carry_out<C: Task>(
    tx: &mut Connection,
    command: Received<C>,
    supplier: Supplier,
) -> Result<Answer<C>, HandlerError> {
    as_planned(&supplier.process, &command.message).await?;
    let (id, fate) = (command.message.id.as_str(), command.event.fate());
    let Ok(Attempt::Do(attempt)) = id.parse().map(|id: CommandId| id.attempt) else {
        return Err(HandlerError::permanent("a do has a number"));
    };
    if let Some(is_retryable) = fate.refuses(attempt)
        && let Some(refused) = C::Refused::of(is_retryable)
    {
        act(tx, id, Deed::Refused { is_retryable }).await?;
        return Ok(Answer::Refused(refused));
    }
    let Some(delay) = fate.delay() else {
        act(tx, id, Deed::Done).await?;
        return Ok(Answer::Done(C::done(fate)));
    };
    let mut statement = tx.statement().await?;
    let late = Late {
        command: id.to_owned(),
        kind: C::KIND,
        task: serde_json::to_string(&Answering::of(&command)).map_err(Error::from)?,
        fate,
        due: statement.now() + delay,
    };
    let _: Inserted = statement.insert(late).await?;
    Ok(Answer::Neither)
}

async fn release(
    tx: &mut Connection,
    undo: Received<Release>,
    supplier: Supplier,
) -> Result<Released, HandlerError> {
    as_planned(&supplier.process, &undo.message).await?;
    act(tx, undo.message.id.as_str(), Deed::Undone).await?;
    Ok(Released {})
}

async fn void(
    tx: &mut Connection,
    undo: Received<Void>,
    supplier: Supplier,
) -> Result<Voided, HandlerError> {
    as_planned(&supplier.process, &undo.message).await?;
    act(tx, undo.message.id.as_str(), Deed::Undone).await?;
    Ok(Voided {})
}

impl Supplier {
    async fn answer_late(&self) -> Result<(), Error> {
        let shutdown = self.process.shutdown();
        while !shutdown.is_cancelled() {
            tokio::time::sleep(LATE).await;
            match self.answer_one().await {
                Err(error) if !error.is_retryable() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    async fn answer_one(&self) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let mut statement = tx.statement().await?;
        let now = statement.now();
        let due = statement.select::<Late>(.., 1, |late| late.due <= now);
        let Some(late) = due.into_iter().next() else {
            return Ok(());
        };
        // Another host may be about to do it.
        let is_mine = statement.delete::<Late>(&late.command, |_| true).await?;
        drop(statement);
        if !is_mine {
            return Ok(());
        }
        match late.kind {
            Reserve::KIND => self.answer::<Reserve>(&mut tx, &late).await?,
            Authorize::KIND => self.answer::<Authorize>(&mut tx, &late).await?,
            Pay::KIND => self.answer::<Pay>(&mut tx, &late).await?,
            _ => self.answer::<Ship>(&mut tx, &late).await?,
        }
        Ok(self.database.commit(tx).await?)
    }

    async fn answer<C: Task>(&self, tx: &mut Connection, late: &Late) -> Result<(), Error> {
        let task: Answering<C> = serde_json::from_str(&late.task)?;
        if self.kit.is_wanted(tx, &task).await? {
            act(tx, &late.command, Deed::Done).await?;
            self.kit.done(tx, &task, &C::done(late.fate)).await?;
        }
        Ok(())
    }
}

async fn act(
    tx: &mut Connection,
    command: &str,
    deed: Deed,
) -> Result<(), mainstay_database::Error> {
    let mut statement = tx.statement().await?;
    let act = Act {
        step: step_of(command).to_owned(),
        number: statement.next_value("acts"),
        command: command.to_owned(),
        deed,
    };
    let _: Inserted = statement.insert(act).await?;
    Ok(())
}

/// The id of a command without its attempt.
fn step_of(command: &str) -> &str {
    command.rsplit_once(':').map_or(command, |(step, _)| step)
}
