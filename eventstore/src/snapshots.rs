//! How the state of an aggregate is kept.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// How the state of an aggregate `A` is kept, so that a long stream need not be read whole.
///
/// A snapshot is written in the transaction of the append that makes it due. It is only a cache: one
/// of another shape, or one that does not decode, is ignored, and a later append replaces it.
///
/// ```
/// # use mainstay_eventstore::{Aggregate, Event, Snapshots, events};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct OrderPlaced {}
/// # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
/// # events! { enum OrderEvent { OrderPlaced } }
/// #[derive(Default, Serialize, Deserialize)]
/// struct Order { is_paid: bool }
///
/// impl Aggregate for Order {
///     const STREAM: &'static str = "order";
///     const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::json(1).every(50)); // shape 1
/// #   type Event = OrderEvent;
/// #   fn apply(&mut self, _: &OrderEvent) {}
/// }
/// ```
///
/// **Raise the shape's number with each change of the state or of `apply`.** Otherwise the old
/// state goes on.
pub struct Snapshots<A> {
    pub(crate) shape: u32,
    pub(crate) every: u64,
    pub(crate) encode: fn(&A) -> Result<String, Source>,
    pub(crate) decode: fn(&str) -> Result<A, Source>,
}

impl<A: Serialize + DeserializeOwned> Snapshots<A> {
    /// As JSON. `shape` is the number of the state's shape, from 1.
    ///
    /// # Panics
    /// If `shape` is 0; in a constant, at compile time.
    #[must_use]
    pub const fn json(shape: u32) -> Self {
        assert!(shape > 0, "the number of a shape is 1 or more");
        Self {
            shape,
            every: 100,
            encode: |state| Ok(serde_json::to_string(state)?),
            decode: |text| Ok(serde_json::from_str(text)?),
        }
    }
}

impl<A> Snapshots<A> {
    /// How many events there are from one snapshot to the next; default 100.
    ///
    /// # Panics
    /// If `events` is 0; in a constant, at compile time.
    #[must_use]
    pub const fn every(mut self, events: u64) -> Self {
        assert!(events > 0, "at least one event");
        self.every = events;
        self
    }
}

impl<A> fmt::Debug for Snapshots<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("shape", &self.shape)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
