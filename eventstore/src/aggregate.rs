//! What events fold into.

use std::{fmt, ops::Deref};

use crate::{Events, Snapshots, store::StreamName};

/// The state that the events of one stream fold into, and that decisions are made on.
///
/// ```
/// use mainstay_eventstore::{Aggregate, Event, events};
/// use serde::{Deserialize, Serialize};
///
/// # #[derive(Serialize, Deserialize)] struct OrderPlaced { cents: i64 }
/// # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
/// # #[derive(Serialize, Deserialize)] struct OrderPaid {}
/// # impl Event for OrderPaid { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPaid"; }
/// events! { enum OrderEvent { OrderPlaced, OrderPaid } }
///
/// #[derive(Default)]
/// struct Order { cents: i64, is_paid: bool }
///
/// impl Aggregate for Order {
///     const STREAM: &'static str = "order";
///     type Event = OrderEvent;
///
///     fn apply(&mut self, event: &OrderEvent) {
///         match event {
///             OrderEvent::OrderPlaced(placed) => self.cents = placed.cents,
///             OrderEvent::OrderPaid(_) => self.is_paid = true,
///         }
///     }
/// }
///
/// // Decisions are plain functions on the state, and are tested without a store.
/// impl Order {
///     fn pay(&self) -> Option<OrderPaid> {
///         (!self.is_paid).then_some(OrderPaid {})
///     }
/// }
/// let order: Order = mainstay_eventstore::fold([OrderPlaced { cents: 1250 }]);
/// assert!(order.pay().is_some());
/// ```
///
/// A name with a slash does not compile: it ends the aggregate's part of a stream's name.
///
/// ```compile_fail,E0080
/// # use mainstay_eventstore::{Aggregate, Event, events, store::StreamName};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Placed {}
/// # impl Event for Placed { const TOPIC: &'static str = "orders"; const KIND: &'static str = "Placed"; }
/// # events! { enum OrderEvent { Placed } }
/// # #[derive(Default)] struct Order;
/// impl Aggregate for Order {
///     const STREAM: &'static str = "shop/order";
/// #   type Event = OrderEvent;
/// #   fn apply(&mut self, _: &OrderEvent) {}
/// }
/// # let _ = StreamName::of::<Order>("1");
/// ```
pub trait Aggregate: Default + Send + Sync + 'static {
    /// What the names of its streams begin with, as in `order/17`. 1 to 64 bytes, without a slash,
    /// space or control character; checked at compile time.
    const STREAM: &'static str;

    /// How its state is kept, so that a long stream need not be read whole; default: not at all.
    const SNAPSHOTS: Option<Snapshots<Self>> = None;

    /// Its events, made by [`events!`](crate::events).
    type Event: Events;

    /// Changes the state as the event says. It cannot refuse: what is recorded has happened.
    fn apply(&mut self, event: &Self::Event);
}

/// The state after these events, from the beginning: for tests of decisions.
pub fn fold<A: Aggregate>(events: impl IntoIterator<Item: Into<A::Event>>) -> A {
    let mut state = A::default();
    for event in events {
        state.apply(&event.into());
    }
    state
}

/// An aggregate as it was loaded, with the version of its stream. It derefs to the aggregate.
///
/// After an `append` it includes the events, although the transaction may still be rolled back: load
/// again in the next transaction.
pub struct Loaded<A> {
    pub(crate) state: A,
    pub(crate) stream: StreamName,
    pub(crate) version: u64,
    /// The version of the newest snapshot of this build's shape, 0 without one.
    pub(crate) snapshot: u64,
}

impl<A: Aggregate> Loaded<A> {
    /// Nothing has happened.
    pub(crate) fn new(stream: StreamName) -> Self {
        Self {
            state: A::default(),
            stream,
            version: 0,
            snapshot: 0,
        }
    }
}

impl<A> Loaded<A> {
    /// How many events it includes; 0 if nothing has happened to it. An HTTP service gives it as
    /// `ETag`, and compares it with `If-Match`.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The aggregate's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.stream.id()
    }

    /// The aggregate without its version.
    #[must_use]
    pub fn into_state(self) -> A {
        self.state
    }
}

impl<A> Deref for Loaded<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

impl<A: fmt::Debug> fmt::Debug for Loaded<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("stream", &self.stream)
            .field("version", &self.version)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
