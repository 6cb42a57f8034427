//! The contracts between the services of the commerce application: integration events and commands,
//! versioned.
//!
//! Services share only this crate about each other. Every contract is a plain struct that
//! implements [`Event`](mainstay_messaging::event::Event) and [`Contract`]. The table
//! [`SUBSCRIPTIONS`] says which service handles which kinds: services subscribe by it, and
//! `commerce verify` checks by it.
//!
//! | producer | events | commands |
//! |---|---|---|
//! | order | `OrderPlaced`, `OrderConfirmed`, `OrderCompleted`, `OrderCancelled` | `ReserveStock`, `ExtendReservation`, `ReleaseStock`, `AuthorizePayment`, `CapturePayment`, `VoidOrRefundPayment`, `RefundPayment`, `PrepareShipment`, `DispatchShipment`, `CancelShipment` |
//! | inventory | `StockReserved`, `StockReservationFailed`, `StockReleased`, `StockLevelChanged` | |
//! | payment | `PaymentAuthorized`, `PaymentDeclined`, `PaymentCaptured`, `PaymentRefunded` | |
//! | shipping | `ShipmentStatusChanged` | |
//! | catalog | `ProductChanged` | |
//! | identity | `UserChanged` | |

mod address;
mod catalog;
mod contract;
mod identity;
mod inventory;
mod money;
mod order;
mod payment;
mod shipping;
mod subscriptions;

pub use address::Address;
pub use catalog::{ProductChanged, ProductPrice, ProductStatus, TaxClass};
pub use contract::{Contract, OrderId, Sku};
pub use identity::{Channel, Role, UserChanged, UserStatus};
pub use inventory::{
    Availability, ExtendReservation, Quantity, ReleaseCause, ReleaseStock, ReserveStock,
    ReservedLine, Shortage, StockLevelChanged, StockReleased, StockReservationFailed,
    StockReserved,
};
pub use money::{Currency, Money, MoneyError};
pub use order::{
    CancelReason, Compensation, OrderCancelled, OrderCompleted, OrderConfirmed, OrderLine,
    OrderPlaced,
};
pub use payment::{
    AuthorizePayment, CapturePayment, DeclineStage, PaymentAuthorized, PaymentCaptured,
    PaymentDeclined, PaymentRefunded, RefundKind, RefundPayment, VoidOrRefundPayment,
};
pub use shipping::{
    CancelShipment, DispatchShipment, PrepareShipment, ShipmentStatus, ShipmentStatusChanged,
};
pub use subscriptions::{SUBSCRIPTIONS, Subscription, TOPICS, ignored_by, topics_of};
