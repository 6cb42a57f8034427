//! Operations of callers that overlap, sent to the server in one call.
//!
//! A caller that is alone sends at once. While a call is under way, a batch takes all that the other tasks of this turn
//! of the scheduler add; it never waits for an answer. A task sends a batch and ends with its answer, so a caller that
//! gives up takes nothing from the others. Tasks run on the runtime that opened the leases, so a caller whose runtime
//! stands still holds back nobody else.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::{RedisResult, Value, aio::ConnectionManager};
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    classify, is_refused, only,
    script::{Call, Script, is_forgotten},
    unreadable,
};
use crate::Error;

/// Operations of one call. It keeps the server from its other clients for as long.
pub(super) const LARGEST: usize = 128;

/// Acquisitions and releases on one connection.
pub(super) struct Batches {
    shared: Arc<Shared>,
}

struct Shared {
    connection: ConnectionManager,
    script: Script,
    /// Of the tasks that send batches.
    runtime: Handle,
    queue: Mutex<Queue>,
    /// Held from taking a batch until it is in the connection's queue, so that no later one overtakes it. While the
    /// connection is being established again there is no such queue, and batches may change places.
    order: Mutex<()>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Calls.
    in_flight: usize,
    /// Whether the last batch was of more than one.
    shared: bool,
}

/// An operation, and who waits for its answer.
struct Waiting {
    operation: Operation,
    answer: oneshot::Sender<RedisResult<i64>>,
}

impl Waiting {
    fn is_waited_for(&self) -> bool {
        !self.answer.is_closed()
    }
}

/// What is to be done to a lock.
pub(super) struct Operation {
    pub(super) key: String,
    pub(super) owner: String,
    pub(super) wish: Wish,
}

pub(super) enum Wish {
    Acquire { lease: u64, above: i64, kept: u64 },
    Release,
}

impl Batches {
    /// On this runtime.
    pub(super) fn new(connection: ConnectionManager, script: Script) -> Self {
        Self {
            shared: Arc::new(Shared {
                connection,
                script,
                runtime: Handle::current(),
                queue: Mutex::default(),
                order: Mutex::default(),
            }),
        }
    }

    /// The script's answer to one operation.
    ///
    /// Over a connection that stands, operations run in the order in which they are added. While it is being
    /// established again, and for operations that are sent again one by one, the order is not kept.
    ///
    /// An operation whose future was dropped before its batch was taken is not sent. One that was dropped later may
    /// still run, even after operations that were added since.
    pub(super) async fn run(&self, operation: Operation) -> Result<i64, Error> {
        if let Some(_in_flight) = self.shared.alone() {
            let call = self.shared.call(std::iter::once(&operation));
            let answer = call.send(&self.shared.connection).await;
            return answer.and_then(only).and_then(number).map_err(classify);
        }
        let (answer, answered) = oneshot::channel();
        self.add(Waiting { operation, answer });
        match answered.await {
            Ok(answer) => answer.map_err(classify),
            Err(_) => Err(Error::Unavailable(
                "the runtime that opened the leases has shut down".into(),
            )),
        }
    }

    fn add(&self, waiting: Waiting) {
        let mut queue = self.shared.queue();
        queue.waiting.push_back(waiting);
        let (is_first, gathers) = (queue.waiting.len() % LARGEST == 1, queue.in_flight > 0);
        drop(queue);
        if is_first {
            let turn = Turn {
                shared: Arc::clone(&self.shared),
                in_flight: None,
            };
            self.shared.runtime.spawn(turn.send(gathers));
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a call of its own, if no other operation waits or is under way.
    fn alone(self: &Arc<Self>) -> Option<InFlight> {
        let mut queue = self.queue();
        let is_alone = queue.waiting.is_empty() && queue.in_flight == 0 && !queue.shared;
        is_alone.then(|| {
            queue.in_flight += 1;
            InFlight(Arc::clone(self))
        })
    }

    fn call<'a>(&self, batch: impl ExactSizeIterator<Item = &'a Operation> + Clone) -> Call {
        let keys = batch.clone().map(|operation| &operation.key);
        let mut call = self.script.call(keys);
        for operation in batch {
            call.arg(&operation.owner);
            match operation.wish {
                Wish::Acquire { lease, above, kept } => call.arg(lease).arg(above).arg(kept),
                Wish::Release => call.arg(""),
            };
        }
        call
    }

    /// Begins to send before any other batch does.
    async fn in_order<F: Future>(&self, mut send: impl FnMut() -> F) -> F::Output {
        let mut sending: Option<Pin<Box<F>>> = None;
        poll_fn(|context| {
            if let Some(sending) = &mut sending {
                return sending.as_mut().poll(context);
            }
            let in_order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            let sending = sending.insert(Box::pin(send()));
            let polled = sending.as_mut().poll(context);
            drop(in_order);
            polled
        })
        .await
    }

    /// One call.
    async fn send(&self, batch: Vec<Waiting>) -> Sent {
        if batch.is_empty() {
            return (batch, Ok(Vec::new()));
        }
        let operations = batch.iter().map(|waiting| &waiting.operation);
        let answer = self.call(operations).send_by_hash(&self.connection).await;
        let answers = match answer {
            Ok(Value::Array(answers)) => Ok(answers),
            Ok(_) => Err(unreadable()),
            Err(error) => Err(error),
        };
        (batch, answers)
    }

    /// A call for each that somebody still waits for, in one round trip.
    async fn send_each(&self, mut batch: Vec<Waiting>) -> Sent {
        batch.retain(Waiting::is_waited_for);
        if batch.is_empty() {
            return (batch, Ok(Vec::new()));
        }
        let calls = batch.iter().map(|waiting| &waiting.operation);
        let calls = calls.map(|operation| self.call(std::iter::once(operation)));
        let answers = self.script.send_each(calls, &self.connection).await;
        let only = |answers: Vec<_>| answers.into_iter().map(only).collect();
        (batch, answers.and_then(only))
    }
}

/// A batch, and the server's answer to each of it.
type Sent = (Vec<Waiting>, RedisResult<Vec<Value>>);

fn answer_all((batch, answers): Sent) {
    let mut answers = answers.map(Vec::into_iter);
    for Waiting { answer, .. } in batch {
        let one = match &mut answers {
            Ok(answers) => answers.next().ok_or_else(unreadable).and_then(number),
            Err(error) => Err(error.clone()),
        };
        // An error here is a caller that gave up.
        drop(answer.send(one));
    }
}

fn number(answer: Value) -> RedisResult<i64> {
    match answer {
        Value::Int(number) => Ok(number),
        Value::ServerError(error) => Err(error.into()),
        _ => Err(unreadable()),
    }
}

/// A call that is under way.
struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.queue().in_flight -= 1;
    }
}

/// The duty to send the next batch. There is one for each [`LARGEST`] operations that wait.
struct Turn {
    shared: Arc<Shared>,
    /// From the moment at which the batch is taken.
    in_flight: Option<InFlight>,
}

impl Turn {
    async fn send(mut self, gathers: bool) {
        if gathers {
            tokio::task::yield_now().await;
        }
        let shared = Arc::clone(&self.shared);
        let (batch, answers) = shared.in_order(|| shared.send(self.take())).await;
        let sends_again = match &answers {
            // One of several may be to blame, such as a name that the user may not touch.
            Err(error) => is_forgotten(error) || batch.len() > 1 && is_refused(error),
            Ok(_) => false,
        };
        if !sends_again {
            return answer_all((batch, answers));
        }
        let mut batch = Some(batch);
        let sent = shared.in_order(|| shared.send_each(batch.take().unwrap_or_default()));
        answer_all(sent.await);
    }

    /// The operations of the next batch that somebody waits for.
    fn take(&mut self) -> Vec<Waiting> {
        let mut queue = self.shared.queue();
        queue.in_flight += 1;
        self.in_flight = Some(InFlight(Arc::clone(&self.shared)));
        let count = queue.waiting.len().min(LARGEST);
        let batch = queue.waiting.drain(..count);
        let batch = batch.filter(Waiting::is_waited_for);
        let batch: Vec<_> = batch.collect();
        queue.shared = batch.len() > 1;
        batch
    }
}

/// Its runtime may have shut down before it began.
impl Drop for Turn {
    fn drop(&mut self) {
        if self.in_flight.is_none() {
            // Nobody else would send them, and their callers would wait for ever.
            drop(self.take());
        }
    }
}
