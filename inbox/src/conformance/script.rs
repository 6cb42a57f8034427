//! What the handlers of the suite do, and what they did.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use mainstay_messaging::{Event, event::Upcaster};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{Connection, Fixture};
use crate::{HandlerError, Received};

/// The event whose handler takes one at a time.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Counted {
    pub(super) name: String,
}

impl Event for Counted {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Counted";
}

/// The event whose handler takes batches.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Batched {
    pub(super) name: String,
}

impl Event for Batched {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Batched";
}

/// An event whose upcaster panics.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Upcast;

impl Event for Upcast {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Upcast";
    const VERSION: u32 = 2;
    const UPCASTERS: &'static [Upcaster] = &[|_| panic!("as planned")];
}

/// Stands for the first message of all.
const ANY: &str = "*";

/// What a handler does after it has written its effect.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Fail,
    FailForGood,
    Conflict,
    Panic,
    Hang,
    /// Waits for a permit of the gate.
    Wait(Arc<Semaphore>),
    /// In a batch handler: fails for good and names the event.
    Name,
}

#[derive(Default, Debug)]
pub(super) struct Script {
    plan: Mutex<HashMap<String, VecDeque<Act>>>,
    seen: Mutex<Seen>,
}

#[derive(Default, Debug)]
struct Seen {
    /// Names in the order in which their handlers started.
    started: Vec<String>,
    /// How many events each call of the batch handler got.
    batches: Vec<usize>,
    running: HashSet<String>,
    /// Keys with two handlers at once.
    overlaps: Vec<String>,
}

impl Script {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The handler of `name` does these, one per attempt, and then succeeds.
    pub(super) fn plan(&self, name: &str, acts: impl IntoIterator<Item = Act>) {
        let mut plan = self.plan.lock().unwrap();
        plan.entry(name.to_owned()).or_default().extend(acts);
    }

    /// The first handler of all does this.
    pub(super) fn plan_for_the_first(&self, act: Act) {
        self.plan(ANY, [act]);
    }

    /// From now on every handler succeeds.
    pub(super) fn heal(&self) {
        self.plan.lock().unwrap().clear();
    }

    pub(super) fn started(&self) -> Vec<String> {
        self.seen().started.clone()
    }

    pub(super) fn starts_of(&self, name: &str) -> usize {
        self.seen().started.iter().filter(|n| *n == name).count()
    }

    pub(super) fn batches(&self) -> Vec<usize> {
        self.seen().batches.clone()
    }

    pub(super) fn overlaps(&self) -> Vec<String> {
        self.seen().overlaps.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn next(&self, name: &str) -> Option<Act> {
        let mut plan = self.plan.lock().unwrap();
        let planned = |name| plan.get_mut(name).and_then(VecDeque::pop_front);
        [name, ANY].into_iter().find_map(planned)
    }

    fn enter(self: &Arc<Self>, key: &str, names: &[&str]) -> Inside {
        let mut seen = self.seen();
        seen.started.extend(names.iter().map(|n| (*n).to_owned()));
        if !seen.running.insert(key.to_owned()) {
            seen.overlaps.push(key.to_owned());
        }
        Inside {
            script: Arc::clone(self),
            key: key.to_owned(),
        }
    }
}

/// A key whose handler runs, until this is dropped.
struct Inside {
    script: Arc<Script>,
    key: String,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.script.seen().running.remove(&self.key);
    }
}

/// The handler of [`Counted`].
pub(super) async fn count<F: Fixture>(
    connection: &mut Connection<F>,
    received: Received<Counted>,
    script: Arc<Script>,
) -> Result<(), HandlerError> {
    let name = received.event.name;
    let key = received
        .message
        .key
        .map_or_else(|| name.clone(), |key| key.to_string());
    let _inside = script.enter(&key, &[&name]);
    // Taken at once: a handler that is ended while it writes must not leave its act to the next
    // one.
    let planned = script.next(&name);
    F::write(connection, &name).await?;
    // Gives other handlers a chance to overlap.
    tokio::task::yield_now().await;
    act(planned, 0).await
}

/// The handler of [`Batched`].
pub(super) async fn count_batch<F: Fixture>(
    connection: &mut Connection<F>,
    received: Vec<Received<Batched>>,
    script: Arc<Script>,
) -> Result<(), HandlerError> {
    let names: Vec<&str> = received.iter().map(|r| r.event.name.as_str()).collect();
    script.seen().batches.push(names.len());
    let _inside = script.enter("batch", &names);
    for name in &names {
        F::write(connection, name).await?;
    }
    for (index, name) in names.iter().enumerate() {
        act(script.next(name), index).await?;
    }
    Ok(())
}

/// The handler of [`Upcast`].
pub(super) async fn ignore<F: Fixture>(
    _: &mut Connection<F>,
    _: Received<Upcast>,
) -> Result<(), HandlerError> {
    Ok(())
}

async fn act(act: Option<Act>, index: usize) -> Result<(), HandlerError> {
    match act {
        None => Ok(()),
        Some(Act::Fail) => Err(HandlerError::retryable("as planned")),
        Some(Act::FailForGood) => Err(HandlerError::permanent("as planned, for good")),
        Some(Act::Conflict) => Err(mainstay_database::Error::Conflict("as planned".into()).into()),
        Some(Act::Panic) => panic!("as planned"),
        Some(Act::Hang) => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            Ok(())
        }
        Some(Act::Wait(gate)) => {
            gate.acquire().await.unwrap().forget();
            Ok(())
        }
        Some(Act::Name) => Err(HandlerError::permanent("as planned, by name").at(index)),
    }
}
