//! Hosts: what lives on them can be killed, started again, paused and cut off.

mod life;

use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::FutureExt as _;

use crate::{plan::Reach, process::Process, world::World};
pub(crate) use life::Life;

type Running = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Factory = Arc<dyn Fn(Process) -> Running + Send + Sync>;

/// A host of a simulation. What runs on it is made anew each time it is started.
#[derive(Clone)]
pub struct Host {
    world: Weak<World>,
    life: Arc<Life>,
    factory: Factory,
}

impl Host {
    pub(crate) fn new<F, E>(
        world: &Arc<World>,
        name: &str,
        factory: impl Fn(Process) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let index = world.shared.lock().hosts.len();
        let host = Self {
            world: Arc::downgrade(world),
            life: Arc::new(Life::new(name, index, &world.plan)),
            factory: Arc::new(move |process| {
                let running = factory(process);
                Box::pin(async move { running.await.map_err(|error| error.to_string()) })
            }),
        };
        world.shared.lock().hosts.push(host.clone());
        host.start();
        host
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.life.name
    }

    /// Whether what runs on it has not come to its end.
    pub fn is_running(&self) -> bool {
        self.life.state.lock().running
    }

    /// Which of its lives it is in, or was in last, from 1.
    pub fn life(&self) -> u64 {
        self.life.state.lock().life
    }

    /// Kills what runs on it, as `kill -9` does: it is dropped, and reaches nothing any more.
    pub fn kill(&self) {
        self.note(1, "killed");
        self.life.kill();
    }

    /// Kills it for good: it is never started again.
    pub fn lose(&self) {
        self.note(9, "lost");
        self.life.state.lock().lost = true;
        self.life.kill();
    }

    /// Asks what runs on it to end: its [`shutdown`](Process::shutdown) token is cancelled.
    pub fn stop(&self) {
        self.note(2, "asked to end");
        let shutdown = self.life.state.lock().shutdown.clone();
        shutdown.cancel();
    }

    /// Starts it, unless it is running.
    pub fn start(&self) {
        let Some(world) = self.world.upgrade() else {
            return;
        };
        let Some(life) = self.life.begin() else {
            return;
        };
        self.note(3, "started");
        let process = Process::new(Arc::clone(&world), Arc::clone(&self.life), life);
        let running = (self.factory)(process.clone());
        let (host, told) = (Arc::clone(&self.life), self.world.clone());
        let task = world.runtime.spawn(async move {
            let ended = AssertUnwindSafe(process.gate(running)).catch_unwind().await;
            let ended = ended.unwrap_or_else(|_| Err("it panicked".to_owned()));
            if let (Err(error), Some(world)) = (ended, told.upgrade()) {
                world.broken(format!("{} ended: {error}", host.name));
            }
            host.of(life, |state| state.running = false);
        });
        let task = task.abort_handle();
        self.life.of(life, |state| state.task = Some(task));
    }

    /// It reaches everything and goes on. It is started if it was killed, but not if it had ended.
    pub(crate) fn heal(&self) {
        self.reconnect();
        self.resume();
        if self.life.state.lock().dead {
            self.start();
        }
    }

    /// Nothing of it runs for so long, as under SIGSTOP. Tasks that it spawned still see their timers end,
    /// but reach nothing.
    pub fn pause(&self, time: Duration) {
        self.note(4, "paused");
        self.life.state.lock().paused = true;
        self.after(time, Self::resume);
    }

    /// It goes on at once.
    pub fn resume(&self) {
        self.note(5, "resumed");
        self.life.resume();
        // What it dropped meanwhile, the server hears of now.
        if let Some(world) = self.world.upgrade()
            && world.shared.lock().linger.is_none()
        {
            world.end_lingering();
        }
    }

    /// It reaches this no more for so long.
    pub fn cut_off(&self, from: Reach, time: Duration) {
        self.cut(from, time, None);
    }

    /// As [`cut_off`](Self::cut_off); `by` = which fault of the plan does it.
    pub(crate) fn cut(&self, from: Reach, time: Duration, by: Option<usize>) {
        self.note(6, "cut off");
        self.life.state.lock().cut = Some((from, by));
        self.after(time, Self::reconnect);
    }

    /// It reaches everything again.
    pub fn reconnect(&self) {
        self.note(7, "reconnected");
        self.life.state.lock().cut = None;
    }

    /// Its wall clock jumps.
    pub fn jump(&self, seconds: i64) {
        self.note(8, "its clock jumps");
        self.life.state.lock().jumped += seconds;
    }

    fn after(&self, time: Duration, act: fn(&Self)) {
        let host = self.clone();
        if let Some(world) = self.world.upgrade() {
            world.runtime.spawn(async move {
                tokio::time::sleep(time).await;
                act(&host);
            });
        }
    }

    fn note(&self, what: u64, words: &str) {
        if let Some(world) = self.world.upgrade() {
            let number = self.life.index << 8 | what;
            world.note(number, || format!("{} {words}", self.name()));
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.name()).finish()
    }
}
