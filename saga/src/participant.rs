//! The other side: carries out commands, and answers them in the effect's transaction.

mod handlers;

use std::{fmt, marker::PhantomData};

use mainstay_inbox::Received;
use mainstay_messaging::{Event, Key, Message};
use mainstay_outbox::Outbox;
use serde::{Deserialize, Serialize};

use crate::{
    Command, Compensable, Error,
    command::WITHOUT_UNDO,
    store::{Begun, ParticipantStore, Unbegun},
};

pub use handlers::CommandHandlers;

/// Answers commands, and keeps the law of undo before do. Clones are cheap.
///
/// ```
/// # #[cfg(feature = "sqlite")] mod example {
/// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
/// # use orders::*;
/// use mainstay_saga::{Answer, Participant, SqliteSagas, sqlx::SqliteConnection};
/// use mainstay_saga::{inbox::{HandlerError, Handlers, Received}, outbox::SqliteOutbox};
///
/// type Tx = SqliteConnection;
///
/// async fn reserve(tx: &mut Tx, command: Received<ReserveStock>) -> Result<Answer<ReserveStock>, HandlerError> {
///     // … take the stock, through `tx` …
///     Ok(Answer::Done(StockReserved { hold: "h-1".into() })) // or Refused(OutOfStock {})
/// }
///
/// async fn release(tx: &mut Tx, undo: Received<ReleaseStock>) -> Result<StockReleased, HandlerError> {
///     // … give back what this order holds, if it holds anything, through `tx` …
///     Ok(StockReleased {})
/// }
///
/// fn handlers(stock: &Participant<SqliteSagas, SqliteOutbox>) -> Handlers<Tx> {
///     stock.handlers().on_undoable(reserve, release).build()
/// }
/// # }
/// ```
///
/// A worker of the inbox runs them: `Worker::new(inbox, commands).handlers(handlers(&stock))`.
///
/// # Answers that come later
///
/// A step that has to wait, for a provider or for a person, stores its [`Task`] in the transaction
/// of the command and returns [`Answer::Neither`](crate::Answer::Neither). Whoever ends it, in any
/// process, asks [`is_wanted`](Self::is_wanted) and calls [`done`](Self::done) or
/// [`refused`](Self::refused), in the transaction of the late effect.
///
/// A handler that has to do something before the command begins, such as to lock a row, is an
/// ordinary one of the inbox, and calls [`begin`](Self::begin) and [`done`](Self::done) itself.
///
/// # Laws of a participant
///
/// | law | kept by |
/// |---|---|
/// | Each command is answered: done, refused or undone. A failure is no answer: the worker tries again. | your handler |
/// | Effect and answer commit together. | the outbox in the handler's transaction |
/// | A command that comes twice has one effect. | the inbox of the worker |
/// | An undo without a do answers *undone*. | the undo, which sets a tombstone |
/// | A do behind its undo has no effect. | the begin, which finds the tombstone |
/// | Refused means that nothing happened, and nothing will. | your handler |
/// | A command and its undo are handled in their order. | one topic and key; a worker or dead letter queue that keeps the order of a key |
#[derive(Clone)]
pub struct Participant<P, O> {
    store: P,
    outbox: O,
}

/// A command that is to be answered. It serialises, so that the answer can be given later, by
/// another process.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Task<C> {
    to: ReplyTo,
    #[serde(skip)]
    command: PhantomData<fn() -> C>,
}

/// An undo that is to be answered; see [`Task`].
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct UndoTask<C> {
    to: ReplyTo,
    #[serde(skip)]
    command: PhantomData<fn() -> C>,
}

/// Where an answer goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ReplyTo {
    command: String,
    key: Option<String>,
    correlation: Option<String>,
    traceparent: Option<String>,
    #[serde(default)]
    is_without_undo: bool,
}

impl ReplyTo {
    fn of(message: &Message) -> Self {
        Self {
            command: message.id.to_string(),
            key: message.key.as_ref().map(ToString::to_string),
            correlation: message.correlation_id.clone(),
            traceparent: message.traceparent.clone(),
            is_without_undo: message.headers.get(WITHOUT_UNDO).is_some(),
        }
    }

    /// The step of the command: its id without the attempt.
    fn step(&self) -> &str {
        let id = &*self.command;
        id.rsplit_once(':').map_or(id, |(step, _)| step)
    }
}

impl<P, O> Participant<P, O>
where
    P: ParticipantStore,
    O: Outbox<Connection = P::Connection>,
{
    /// A participant whose steps are kept in `store`, and whose answers go through `outbox`.
    #[must_use]
    pub const fn new(store: P, outbox: O) -> Self {
        Self { store, outbox }
    }

    /// Begins a command in the handler's transaction. None if it was undone before: then nothing
    /// may happen, and no answer is due, since the saga waits for the undo's.
    ///
    /// A step without an undo, the pivot or one behind it, costs no statement: there is nothing to
    /// record.
    ///
    /// # Errors
    /// [`Error::Database`]; return it from the handler.
    pub async fn begin<C: Command>(
        &self,
        connection: &mut P::Connection,
        command: &Received<C>,
    ) -> Result<Option<Task<C>>, Error> {
        let task = Task::of(command);
        let wanted = self.is_wanted(connection, &task).await?;
        Ok(wanted.then_some(task))
    }

    /// Whether a task that was begun in an earlier transaction is still wanted. Ask before its
    /// late effect, in the effect's transaction: false if it was undone meanwhile.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn is_wanted<C: Command>(
        &self,
        connection: &mut P::Connection,
        task: &Task<C>,
    ) -> Result<bool, Error> {
        if task.to.is_without_undo {
            return Ok(true);
        }
        let begun = self.store.begin(connection, task.to.step()).await?;
        Ok(begun != Begun::Undone)
    }

    /// Begins the undo of `C` in the handler's transaction, and says whether its do had begun.
    /// Undo what it has done, if anything, and answer [`undone`](Self::undone).
    ///
    /// # Errors
    /// [`Error::Database`]; return it from the handler.
    pub async fn undo<C: Compensable>(
        &self,
        connection: &mut P::Connection,
        undo: &Received<C::Undo>,
    ) -> Result<(Unbegun, UndoTask<C>), Error> {
        let task = UndoTask {
            to: ReplyTo::of(&undo.message),
            command: PhantomData,
        };
        let unbegun = self.store.undo(connection, task.to.step()).await?;
        Ok((unbegun, task))
    }

    /// Answers that the step is done.
    ///
    /// # Errors
    /// [`Error::Outbox`]; return it from the handler.
    pub async fn done<C: Command>(
        &self,
        connection: &mut P::Connection,
        task: &Task<C>,
        done: &C::Done,
    ) -> Result<(), Error> {
        self.answer(connection, &task.to, done).await
    }

    /// Answers that the step is refused: nothing happened, and nothing will.
    ///
    /// # Errors
    /// [`Error::Outbox`]; return it from the handler.
    pub async fn refused<C: Command>(
        &self,
        connection: &mut P::Connection,
        task: &Task<C>,
        refused: &C::Refused,
    ) -> Result<(), Error> {
        self.answer(connection, &task.to, refused).await
    }

    /// Answers that the step is undone.
    ///
    /// # Errors
    /// [`Error::Outbox`]; return it from the handler.
    pub async fn undone<C: Compensable>(
        &self,
        connection: &mut P::Connection,
        task: &UndoTask<C>,
        undone: &C::Undone,
    ) -> Result<(), Error> {
        self.answer(connection, &task.to, undone).await
    }

    /// Deletes up to `limit` records of steps that have not changed for `retention`. Keep it above
    /// the longest time that a command, its undo or its answer may take. Answers how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn prune(
        &self,
        connection: &mut P::Connection,
        retention: std::time::Duration,
        limit: u32,
    ) -> Result<u64, Error> {
        self.store.prune_steps(connection, retention, limit).await
    }

    async fn answer<E: Event>(
        &self,
        connection: &mut P::Connection,
        to: &ReplyTo,
        event: &E,
    ) -> Result<(), Error> {
        let reply = self.reply(to, event)?;
        Ok(self.outbox.enqueue(connection, &reply).await?)
    }

    fn reply<E: Event>(&self, to: &ReplyTo, event: &E) -> Result<Message, Error> {
        let mut message = self.outbox.message(event)?;
        if message.key.is_none() {
            message.key = to.key.as_deref().map(Key::new).transpose()?;
        }
        message.causation_id = Some(to.command.clone());
        message.correlation_id.clone_from(&to.correlation);
        message.traceparent.clone_from(&to.traceparent);
        Ok(message)
    }
}

impl<C: Command> Task<C> {
    /// The task of a command that is answered later, by a handler that returns
    /// [`Answer::Neither`](crate::Answer::Neither).
    #[must_use]
    pub fn of(command: &Received<C>) -> Self {
        Self {
            to: ReplyTo::of(&command.message),
            command: PhantomData,
        }
    }
}

impl<C> Clone for Task<C> {
    fn clone(&self) -> Self {
        Self {
            to: self.to.clone(),
            command: PhantomData,
        }
    }
}

impl<C> Clone for UndoTask<C> {
    fn clone(&self) -> Self {
        Self {
            to: self.to.clone(),
            command: PhantomData,
        }
    }
}

impl<C> fmt::Debug for Task<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.to.command).finish()
    }
}

impl<C> fmt::Debug for UndoTask<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UndoTask").field(&self.to.command).finish()
    }
}

impl<P, O> fmt::Debug for Participant<P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant").finish_non_exhaustive()
    }
}
