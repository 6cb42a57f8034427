//! What the handlers of the suite do, told from outside, and what they were seen to do.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use mainstay_messaging::event::{Event, Upcaster};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{Connection, Fixture};
use crate::{HandlerError, Received};

/// The event that is handled one by one.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Counted {
    pub(super) name: String,
}

impl Event for Counted {
    const KIND: &'static str = "Counted";
    const VERSION: u32 = 1;
}

/// The event that is handled many at once.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Heaped {
    pub(super) name: String,
}

impl Event for Heaped {
    const KIND: &'static str = "Heaped";
    const VERSION: u32 = 1;
}

/// An event whose first version nobody can read: its upcaster expects what is not there.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Upcast;

impl Event for Upcast {
    const KIND: &'static str = "Upcast";
    const VERSION: u32 = 2;
    const UPCASTERS: &'static [Upcaster] = &[|_| panic!("as planned")];
}

/// Stands for whatever message comes first.
const ANY: &str = "*";

/// What a handler does after it wrote its effect.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Fail,
    FailForGood,
    Conflict,
    Panic,
    Hang,
    /// Waits until the gate is opened.
    Wait(Arc<Semaphore>),
    /// In a batch handler: fails for good and names the culprit.
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
    heaps: Vec<usize>,
    running: HashSet<String>,
    /// Keys that were seen twice at once.
    overlaps: Vec<String>,
}

impl Script {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The handler of `name` does these things, one an attempt, and then succeeds.
    pub(super) fn plan(&self, name: &str, acts: impl IntoIterator<Item = Act>) {
        let mut plan = self.plan.lock().unwrap();
        plan.entry(name.to_owned()).or_default().extend(acts);
    }

    /// Whichever handler comes first does this.
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

    pub(super) fn heaps(&self) -> Vec<usize> {
        self.seen().heaps.clone()
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

/// A key whose handler runs; also one that is dropped or panics leaves.
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
    script: Arc<Script>,
    connection: &mut Connection<F>,
    received: Received<Counted>,
) -> Result<(), HandlerError> {
    let name = received.event.name;
    let key = received
        .message
        .key
        .map_or_else(|| name.clone(), |key| key.to_string());
    let _inside = script.enter(&key, &[&name]);
    // Taken at once: a handler that was seen to start and is ended while it writes must not leave its act to the next one.
    let planned = script.next(&name);
    F::write(connection, &name).await?;
    // Others get a chance to overlap.
    tokio::task::yield_now().await;
    act(planned, 0).await
}

/// The handler of [`Heaped`].
pub(super) async fn heap<F: Fixture>(
    script: Arc<Script>,
    connection: &mut Connection<F>,
    received: Vec<Received<Heaped>>,
) -> Result<(), HandlerError> {
    let names: Vec<&str> = received.iter().map(|r| r.event.name.as_str()).collect();
    script.seen().heaps.push(names.len());
    let _inside = script.enter("heap", &names);
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
    (): (),
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
