//! The events and commands of the inventory service.

use std::borrow::Cow;

use mainstay_messaging::event::Event;
use mainstay_saga::{Command, Compensable, Outcome};
use serde::{Deserialize, Serialize};

use crate::{OrderId, Sku, contract::contract};

/// Command: hold all of the order's stock, or none. Undone by [`ReleaseStock`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ReserveStock {
    /// The order.
    pub order_id: OrderId,
    /// The quantities, summed by SKU.
    pub lines: Vec<Quantity>,
}
contract!(ReserveStock on "inventory-commands");

/// The quantity of one SKU.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Quantity {
    /// The SKU.
    pub sku: Sku,
    /// The quantity.
    pub qty: i64,
}

/// Command: keep the held stock until it is shipped or released. A hold that has expired is taken
/// anew, if there is stock. Undone by [`ReleaseStock`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ExtendReservation {
    /// The order.
    pub order_id: OrderId,
}
contract!(ExtendReservation on "inventory-commands");

/// Command: release what the order holds, if it holds anything.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ReleaseStock {
    /// The order.
    pub order_id: OrderId,
}
contract!(ReleaseStock on "inventory-commands");

impl Command for ReserveStock {
    type Done = StockReserved;
    type Refused = StockReservationFailed;
}

impl Compensable for ReserveStock {
    type Undo = ReleaseStock;
    type Undone = StockReleased;

    fn undo(&self, _: Outcome<'_, StockReserved>) -> ReleaseStock {
        ReleaseStock {
            order_id: self.order_id.clone(),
        }
    }
}

impl Command for ExtendReservation {
    type Done = StockReserved;
    type Refused = StockReservationFailed;
}

impl Compensable for ExtendReservation {
    type Undo = ReleaseStock;
    type Undone = StockReleased;

    fn undo(&self, _: Outcome<'_, StockReserved>) -> ReleaseStock {
        ReleaseStock {
            order_id: self.order_id.clone(),
        }
    }
}

/// The quantity of one SKU that is held or was released.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ReservedLine {
    /// The SKU.
    pub sku: Sku,
    /// The warehouse.
    pub warehouse: String,
    /// The quantity.
    pub qty: i64,
}

/// All of an order's stock is held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockReserved {
    /// The reservation.
    pub reservation_id: String,
    /// The order.
    pub order_id: OrderId,
    /// The held quantities, summed by SKU.
    pub lines: Vec<ReservedLine>,
    /// When the hold expires, in microseconds since 1970; none = never.
    pub expires_at: Option<i64>,
}
contract!(StockReserved on "inventory");

/// Not enough stock; nothing is held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockReservationFailed {
    /// The order.
    pub order_id: OrderId,
    /// The SKUs that were short.
    pub shortages: Vec<Shortage>,
}
contract!(StockReservationFailed on "inventory");

/// The shortage of one SKU.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Shortage {
    /// The SKU.
    pub sku: Sku,
    /// The quantity that the order asked for.
    pub requested: i64,
    /// The quantity that was available.
    pub available: i64,
}

/// The order's stock is released, or none was held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockReleased {
    /// The reservation.
    pub reservation_id: String,
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub cause: ReleaseCause,
    /// The quantities that were released; empty if none were held.
    pub lines: Vec<ReservedLine>,
}
contract!(StockReleased on "inventory");

/// Why stock was released.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReleaseCause {
    /// The order was cancelled and its hold released.
    Compensation,
    /// The hold expired.
    Expired,
    /// The order was cancelled before anything was held.
    Cancelled,
}

/// What customers see of the stock of a SKU.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Nothing can be ordered.
    Out,
    /// Fewer than ten pieces can be ordered.
    Low,
    /// Ten pieces or more can be ordered.
    InStock,
}

impl Availability {
    /// What customers see if so many pieces can be ordered.
    #[must_use]
    pub const fn of(available: i64) -> Self {
        match available {
            ..1 => Self::Out,
            1..10 => Self::Low,
            10.. => Self::InStock,
        }
    }

    /// The name in tables and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Low => "low",
            Self::InStock => "in_stock",
        }
    }

    /// Reads [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Out, Self::Low, Self::InStock]
            .into_iter()
            .find(|availability| availability.name() == name)
    }
}

/// The stock of a SKU was adjusted, or its [`Availability`] has changed: plentiful stock that
/// orders take from stays silent. Its topic is its own, since its key is the SKU and not an order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockLevelChanged {
    /// The SKU.
    pub sku: Sku,
    /// The warehouse.
    pub warehouse: String,
    /// The pieces in the warehouse.
    pub on_hand: i64,
    /// The pieces that are held for orders.
    pub reserved: i64,
    /// The pieces that can be ordered.
    pub available: i64,
    /// Grows with each change of the stock item.
    pub version: i64,
    /// What changed it, such as `reserved` or `adjusted`.
    pub cause: String,
}

impl Event for StockLevelChanged {
    const TOPIC: &'static str = "stock";
    const KIND: &'static str = "StockLevelChanged";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.sku.as_str().into())
    }
}
