//! Bounds the open connections. A new connection replaces the one that has been waiting longest for
//! its client, so slow clients cannot keep others out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The open connections, at most `limit`. Clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    limit: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default, Debug)]
struct State {
    open: usize,
    next_ticket: u64,
    /// Connections that wait for their client: for a request, or until it has read its response.
    /// The lowest ticket has waited longest.
    waiting: BTreeMap<u64, CancellationToken>,
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Arc::default(),
        }
    }

    /// Adds a connection that waits for its client. At the limit, it evicts the one that has waited
    /// longest.
    pub(crate) fn open(&self) -> Arc<Connection> {
        let mut state = lock(&self.state);
        if state.open >= self.limit
            && let Some((_, longest)) = state.waiting.pop_first()
        {
            longest.cancel();
            state.open -= 1;
        }
        state.open += 1;
        let evicted = CancellationToken::new();
        let ticket = Mutex::new(Some(state.wait(evicted.clone())));
        Arc::new(Connection {
            state: Arc::clone(&self.state),
            evicted,
            ticket,
        })
    }
}

impl State {
    fn wait(&mut self, evicted: CancellationToken) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, evicted);
        ticket
    }
}

/// An open connection; its last drop closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    state: Arc<Mutex<State>>,
    evicted: CancellationToken,
    /// None while the server handles a request.
    ticket: Mutex<Option<u64>>,
}

impl Connection {
    /// Completes when another connection takes the place of this one.
    pub(crate) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }

    /// Keeps the connection from being evicted, while the server handles a request that the client
    /// has sent completely. None = it is evicted already.
    pub(crate) fn handling(&self) -> Option<Handling<'_>> {
        let mut state = lock(&self.state);
        let ticket = lock(&self.ticket).take()?;
        state.waiting.remove(&ticket)?;
        Some(Handling(self))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(ticket) = lock(&self.ticket).take() {
            state.waiting.remove(&ticket);
        }
        // An evicted connection is not counted any more.
        if !self.evicted.is_cancelled() {
            state.open -= 1;
        }
    }
}

/// The server handles a request of a connection.
#[derive(Debug)]
pub(crate) struct Handling<'a>(&'a Connection);

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        let ticket = state.wait(self.0.evicted.clone());
        *lock(&self.0.ticket) = Some(ticket);
    }
}

/// No code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(connection: &Connection) -> bool {
        connection.evicted.is_cancelled()
    }

    #[test]
    fn a_new_connection_replaces_the_one_that_has_waited_longest() {
        let connections = Connections::new(2);
        let (first, second) = (connections.open(), connections.open());
        // The first one had a request, so it has waited for a shorter time.
        drop(first.handling().unwrap());
        let third = connections.open();
        assert!(is_evicted(&second));
        assert!(second.handling().is_none(), "an evicted one is closed");
        drop((second, third));
        let _fourth = connections.open();
        assert!(!is_evicted(&first), "there was room");
    }

    #[test]
    fn a_connection_is_not_evicted_while_a_request_is_handled() {
        let connections = Connections::new(2);
        let (first, second) = (connections.open(), connections.open());
        let handling = first.handling().unwrap();
        for _ in 0..3 {
            drop(connections.open());
        }
        assert!(!is_evicted(&first) && is_evicted(&second));
        drop(handling);
        let _others = [connections.open(), connections.open()];
        assert!(is_evicted(&first));
    }
}
