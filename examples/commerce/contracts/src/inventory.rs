//! The events of the inventory service.

use serde::{Deserialize, Serialize};

use crate::{OrderId, Sku, contract::contract};

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
