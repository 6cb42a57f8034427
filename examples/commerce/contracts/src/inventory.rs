//! What the inventory service tells.

use serde::{Deserialize, Serialize};

use crate::{OrderId, Sku, contract::contract};

/// How much of one SKU is held or was let go.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ReservedLine {
    /// What.
    pub sku: Sku,
    /// From where.
    pub warehouse: String,
    /// How many.
    pub qty: i64,
}

/// All of an order's stock is held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockReserved {
    /// The hold.
    pub reservation_id: String,
    /// For which order.
    pub order_id: OrderId,
    /// What is held, summed per SKU.
    pub lines: Vec<ReservedLine>,
    /// When the hold ends by itself, in microseconds since 1970; none = it does not.
    pub expires_at: Option<i64>,
}
contract!(StockReserved on "inventory");

/// Not enough stock; nothing is held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockReservationFailed {
    /// For which order.
    pub order_id: OrderId,
    /// What was short.
    pub shortages: Vec<Shortage>,
}
contract!(StockReservationFailed on "inventory");

/// What was short of one SKU.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Shortage {
    /// What.
    pub sku: Sku,
    /// Asked for.
    pub requested: i64,
    /// There.
    pub available: i64,
}

/// Nothing is held for the order (any more).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockReleased {
    /// The hold that was.
    pub reservation_id: String,
    /// For which order.
    pub order_id: OrderId,
    /// Why.
    pub cause: ReleaseCause,
    /// What was let go; empty if nothing was held.
    pub lines: Vec<ReservedLine>,
}
contract!(StockReleased on "inventory");

/// Why stock was let go.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReleaseCause {
    /// The order was cancelled and its hold undone.
    Compensation,
    /// The hold ended by itself.
    Expired,
    /// The order was cancelled before anything was held.
    Cancelled,
}
