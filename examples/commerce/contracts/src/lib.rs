//! What the services of the commerce application say to each other: integration events and commands, versioned.
//!
//! This is the only crate that services share about each other. Every contract is a plain struct that implements
//! [`Event`](mainstay_messaging::event::Event) and [`Contract`]; who handles what is the table [`SUBSCRIPTIONS`], which
//! the services subscribe by and `commerce verify` checks by.
//!
//! | producer | events | commands |
//! |---|---|---|
//! | order | `OrderPlaced`, `OrderConfirmed`, `OrderCompleted`, `OrderCancelled` | `AuthorizePayment`, `CapturePayment`, `DispatchShipment` |
//! | inventory | `StockReserved`, `StockReservationFailed`, `StockReleased` | |
//! | payment | `PaymentAuthorized`, `PaymentDeclined`, `PaymentCaptured`, `PaymentRefunded` | |
//! | shipping | `ShipmentStatusChanged` | |

mod address;
mod contract;
mod inventory;
mod money;
mod order;
mod payment;
mod shipping;
mod subscriptions;

pub use address::Address;
pub use contract::{Contract, OrderId, Sku};
pub use inventory::{
    ReleaseCause, ReservedLine, Shortage, StockReleased, StockReservationFailed, StockReserved,
};
pub use money::{Currency, Money, MoneyError};
pub use order::{
    CancelReason, Compensation, CompensationStep, OrderCancelled, OrderCompleted, OrderConfirmed,
    OrderLine, OrderPlaced,
};
pub use payment::{
    AuthorizePayment, CapturePayment, DeclineStage, PaymentAuthorized, PaymentCaptured,
    PaymentDeclined, PaymentRefunded, RefundKind,
};
pub use shipping::{DispatchShipment, ShipmentStatus, ShipmentStatusChanged};
pub use subscriptions::{SUBSCRIPTIONS, Subscription, TOPICS, topics_of};
