//! Handlers that answer with what they return.

#[cfg(all(test, feature = "memory"))]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    marker::PhantomData,
    sync::Arc,
};

use futures_util::future::BoxFuture;
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::{Cause, Event, Message, Position, event::decode};
use mainstay_outbox::{Entry, Outbox};

use super::{Participant, ReplyTo};
use crate::{
    Answer, Command, Compensable, Error,
    handler::StepFn,
    store::{Begun, ParticipantStore},
};

/// Handlers of commands that answer with what they return; see [`Participant::handlers`].
#[must_use = "call build(), and give the handlers to a worker"]
pub struct CommandHandlers<P: ParticipantStore, O, T = ()> {
    participant: Participant<P, O>,
    state: T,
    table: Table<P::Connection>,
}

/// Kinds with what handles them: in order, so that a worker finds a kind that has two.
type Table<C> = Vec<(&'static str, Registered<C>)>;

struct Registered<C> {
    is_undo: bool,
    handler: Arc<dyn Answering<C>>,
}

/// A handler whose types are erased.
trait Answering<C>: Send + Sync {
    /// Answers the reply, if there is one already.
    fn answer<'a>(
        &'a self,
        connection: &'a mut C,
        to: &'a ReplyTo,
        message: Message,
        position: Position,
    ) -> BoxFuture<'a, Result<Option<Message>, HandlerError>>;
}

/// A handler before it is known what it returns.
struct Typed<P, O, T, H> {
    participant: Participant<P, O>,
    state: T,
    handler: H,
}

struct OnCommand<P, O, T, H, K, M> {
    typed: Typed<P, O, T, H>,
    types: PhantomData<fn(K, M)>,
}

struct OnUndo<P, O, T, H, K, M> {
    typed: Typed<P, O, T, H>,
    types: PhantomData<fn(K, M)>,
}

impl<P, O> Participant<P, O>
where
    P: ParticipantStore + Clone,
    O: Outbox<Connection = P::Connection> + Clone,
{
    /// Handlers that answer with what they return, in the transaction of their effect.
    ///
    /// All commands of a transaction are begun at once, before the first handler runs, and all
    /// answers are written at once, behind the last one: two statements, however many there are.
    pub fn handlers(&self) -> CommandHandlers<P, O> {
        CommandHandlers {
            participant: self.clone(),
            state: (),
            table: Table::new(),
        }
    }
}

impl<P, O, T> CommandHandlers<P, O, T>
where
    P: ParticipantStore + Clone,
    O: Outbox<Connection = P::Connection> + Clone,
    T: Clone + Send + Sync + 'static,
{
    /// Gives the state that handlers registered after this call may take as third argument. Each
    /// call of a handler gets a clone.
    pub fn with_state<U>(self, state: U) -> CommandHandlers<P, O, U> {
        CommandHandlers {
            participant: self.participant,
            state,
            table: self.table,
        }
    }

    /// Runs `handler` for each command `K` that was not undone before: `async fn(connection: &mut
    /// Connection, command: Received<K>) -> Result<Answer<K>, HandlerError>`, with the
    /// [state](Self::with_state) as third argument if it takes one.
    ///
    /// [`Answer::Neither`] sends nothing: keep the [`Task::of`](crate::Task::of) the command, and
    /// answer later.
    pub fn on<K, M, H>(mut self, handler: H) -> Self
    where
        K: Command,
        M: 'static,
        H: for<'a> StepFn<'a, P::Connection, T, Received<K>, Answer<K>, M> + 'static,
    {
        let handler = OnCommand {
            typed: self.typed(handler),
            types: PhantomData::<fn(K, M)>,
        };
        let registered = Registered {
            is_undo: false,
            handler: Arc::new(handler),
        };
        self.table.push((K::KIND, registered));
        self
    }

    /// As [`on`](Self::on), for a command and its undo: `async fn(connection: &mut Connection, undo:
    /// Received<K::Undo>) -> Result<K::Undone, HandlerError>`.
    ///
    /// The undo may come first, or again: it undoes what it finds, and answers even if that is
    /// nothing.
    pub fn on_undoable<K, M, N, H, U>(mut self, handler: H, undo: U) -> Self
    where
        K: Compensable,
        M: 'static,
        N: 'static,
        H: for<'a> StepFn<'a, P::Connection, T, Received<K>, Answer<K>, M> + 'static,
        U: for<'a> StepFn<'a, P::Connection, T, Received<K::Undo>, K::Undone, N> + 'static,
    {
        self = self.on(handler);
        let undo = OnUndo {
            typed: self.typed(undo),
            types: PhantomData::<fn(K, N)>,
        };
        let registered = Registered {
            is_undo: true,
            handler: Arc::new(undo),
        };
        self.table.push((<K::Undo as Event>::KIND, registered));
        self
    }

    /// The handlers, for [`Worker::handlers`](mainstay_inbox::Worker::handlers).
    #[must_use]
    pub fn build(self) -> Handlers<P::Connection> {
        let kinds: Vec<&'static str> = self.table.iter().map(|(kind, _)| *kind).collect();
        Handlers::new()
            .with_state(self.commands())
            .on_messages(&kinds, on_commands::<P, O>)
            .with_state(())
    }

    fn commands(self) -> Commands<P, O> {
        Commands {
            participant: self.participant,
            table: Arc::new(self.table.into_iter().collect()),
        }
    }

    fn typed<H>(&self, handler: H) -> Typed<P, O, T, H> {
        Typed {
            participant: self.participant.clone(),
            state: self.state.clone(),
            handler,
        }
    }
}

impl<P, O, T, H, K, M> Answering<P::Connection> for OnCommand<P, O, T, H, K, M>
where
    P: ParticipantStore,
    O: Outbox<Connection = P::Connection>,
    T: Send + Sync + 'static,
    K: Command,
    M: 'static,
    H: for<'a> StepFn<'a, P::Connection, T, Received<K>, Answer<K>, M> + 'static,
{
    fn answer<'a>(
        &'a self,
        connection: &'a mut P::Connection,
        to: &'a ReplyTo,
        message: Message,
        position: Position,
    ) -> BoxFuture<'a, Result<Option<Message>, HandlerError>> {
        Box::pin(async move {
            let typed = &self.typed;
            let answer = typed.run::<P::Connection, K, _, M>(connection, message, position);
            Ok(match answer.await? {
                Answer::Done(done) => Some(typed.participant.reply(to, &done)?),
                Answer::Refused(refused) => Some(typed.participant.reply(to, &refused)?),
                Answer::Neither => None,
            })
        })
    }
}

impl<P, O, T, H, K, M> Answering<P::Connection> for OnUndo<P, O, T, H, K, M>
where
    P: ParticipantStore,
    O: Outbox<Connection = P::Connection>,
    T: Send + Sync + 'static,
    K: Compensable,
    M: 'static,
    H: for<'a> StepFn<'a, P::Connection, T, Received<K::Undo>, K::Undone, M> + 'static,
{
    fn answer<'a>(
        &'a self,
        connection: &'a mut P::Connection,
        to: &'a ReplyTo,
        message: Message,
        position: Position,
    ) -> BoxFuture<'a, Result<Option<Message>, HandlerError>> {
        Box::pin(async move {
            let typed = &self.typed;
            let _ = typed.participant.store.undo(connection, to.step()).await?;
            let undone = typed.run::<P::Connection, K::Undo, _, M>(connection, message, position);
            Ok(Some(typed.participant.reply(to, &undone.await?)?))
        })
    }
}

impl<P: Sync, O: Sync, T: Sync, H> Typed<P, O, T, H> {
    /// Runs the handler; what it emits is caused by the message.
    async fn run<'a, C, E, R, M>(
        &'a self,
        connection: &'a mut C,
        message: Message,
        position: Position,
    ) -> Result<R, HandlerError>
    where
        C: Send + 'a,
        E: Event,
        H: StepFn<'a, C, T, Received<E>, R, M>,
    {
        let event = decode::<E>(&message).map_err(HandlerError::permanent)?;
        let cause = Cause::of(&message);
        let received = Received::new(event, message, position);
        let running = self.handler.call(&self.state, connection, received);
        cause.scope(running).await
    }
}

/// What handles all commands and undos of a participant.
struct Commands<P: ParticipantStore, O> {
    participant: Participant<P, O>,
    table: Arc<HashMap<&'static str, Registered<P::Connection>>>,
}

impl<P: ParticipantStore + Clone, O: Clone> Clone for Commands<P, O> {
    fn clone(&self) -> Self {
        Self {
            participant: self.participant.clone(),
            table: Arc::clone(&self.table),
        }
    }
}

/// A command or an undo of a batch.
struct Given<'t, C> {
    to: ReplyTo,
    registered: &'t Registered<C>,
}

async fn on_commands<P, O>(
    connection: &mut P::Connection,
    received: Vec<Received<()>>,
    commands: Commands<P, O>,
) -> Result<(), HandlerError>
where
    P: ParticipantStore + Clone,
    O: Outbox<Connection = P::Connection> + Clone,
{
    let Commands { participant, table } = &commands;
    let mut given = Vec::with_capacity(received.len());
    for (place, received) in received.iter().enumerate() {
        let registered = table.get(received.message.kind.as_str());
        // It was registered for the kinds of the table only.
        let registered = registered
            .ok_or_else(|| HandlerError::permanent("a kind without handler").at(place))?;
        let to = ReplyTo::of(&received.message);
        given.push(Given { to, registered });
    }
    let (mut is_wanted, mut replies) = (Vec::with_capacity(given.len()), Vec::new());
    for (place, (received, Given { to, registered })) in
        received.into_iter().zip(&given).enumerate()
    {
        if place == is_wanted.len() {
            is_wanted.extend(
                participant
                    .begin_all(connection, until_repeated(&given[place..]))
                    .await?,
            );
        }
        if is_wanted[place] {
            let Received {
                message, position, ..
            } = received;
            let answering = registered.handler.answer(connection, to, message, position);
            replies.extend(answering.await.map_err(|error| error.at(place))?);
        }
    }
    let entries: Vec<Entry<'_>> = replies.iter().map(Entry::new).collect();
    if !entries.is_empty() {
        let outbox = &participant.outbox;
        for _added in outbox.enqueue_batch(connection, &entries).await? {}
    }
    Ok(())
}

/// As many as are of different steps: a step that is undone and then begun again is looked at again.
fn until_repeated<'g, 't, C>(given: &'g [Given<'t, C>]) -> &'g [Given<'t, C>] {
    let mut steps = HashSet::new();
    let repeated = given
        .iter()
        .position(|given| !steps.insert(given.to.step()));
    &given[..repeated.unwrap_or(given.len())]
}

impl<P: ParticipantStore, O: Sync> Participant<P, O> {
    /// Begins the commands among them, and tells which are wanted: not those that were undone.
    async fn begin_all(
        &self,
        connection: &mut P::Connection,
        given: &[Given<'_, P::Connection>],
    ) -> Result<Vec<bool>, Error> {
        let is_recorded =
            |given: &Given<'_, _>| !given.registered.is_undo && !given.to.is_without_undo;
        let steps: Vec<&str> = (given.iter())
            .filter(|given| is_recorded(given))
            .map(|given| given.to.step())
            .collect();
        let begun = match &*steps {
            [] => Vec::new(),
            steps => self.store.begin_batch(connection, steps).await?,
        };
        let mut begun = begun.into_iter();
        let is_wanted = |given| !is_recorded(given) || begun.next() != Some(Begun::Undone);
        Ok(given.iter().map(is_wanted).collect())
    }
}

impl<P: ParticipantStore, O, T> fmt::Debug for CommandHandlers<P, O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.table.iter().map(|(kind, _)| *kind).collect();
        f.debug_tuple("CommandHandlers").field(&kinds).finish()
    }
}
