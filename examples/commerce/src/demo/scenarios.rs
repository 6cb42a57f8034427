//! The scenarios of an order, one file each.

pub(super) mod concurrent_orders;
pub(super) mod duplicate_event;
pub(super) mod happy_path;
pub(super) mod inventory_unavailable;
pub(super) mod payment_failure;
pub(super) mod saga_timeout;

/// The statuses of an order that is delivered.
pub(super) const WHOLE_WAY: [&str; 8] = [
    "placed",
    "stock_reserved",
    "payment_authorized",
    "confirmed",
    "fulfilling",
    "captured",
    "dispatched",
    "completed",
];
