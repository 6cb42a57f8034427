//! The events and commands of the shipping service.

use std::time::Duration;

use mainstay_messaging::{
    Message,
    event::{DecodeError, Event, decode},
};
use mainstay_saga::{Answer, Command, Compensable, Never, Outcome};
use serde::{Deserialize, Serialize};

use crate::{Address, OrderId, OrderLine, contract::contract};

/// Command: pack the order's goods. Undone by [`CancelShipment`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PrepareShipment {
    /// The order.
    pub order_id: OrderId,
    /// The contents.
    pub lines: Vec<OrderLine>,
    /// The address of delivery.
    pub ship_to: Address,
}
contract!(PrepareShipment on "shipping-commands");

/// Command: cancel the order's shipment, if there is one that has not left.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct CancelShipment {
    /// The order.
    pub order_id: OrderId,
}
contract!(CancelShipment on "shipping-commands");

/// Command: hand the packed shipment to the carrier.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct DispatchShipment {
    /// The order.
    pub order_id: OrderId,
}
contract!(DispatchShipment on "shipping-commands");

impl Command for PrepareShipment {
    type Done = ShipmentStatusChanged;
    type Refused = ShipmentStatusChanged;
    const TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

    fn answer(message: &Message) -> Result<Answer<Self>, DecodeError> {
        Ok(match milestone(message)? {
            Some(changed) if changed.to == ShipmentStatus::Packed => Answer::Done(changed),
            Some(changed) if changed.to == ShipmentStatus::Cancelled => Answer::Refused(changed),
            _ => Answer::Neither,
        })
    }
}

impl Compensable for PrepareShipment {
    type Undo = CancelShipment;
    type Undone = ShipmentStatusChanged;

    fn undo(&self, _: Outcome<'_, ShipmentStatusChanged>) -> CancelShipment {
        CancelShipment {
            order_id: self.order_id.clone(),
        }
    }

    fn undone(message: &Message) -> Result<Option<ShipmentStatusChanged>, DecodeError> {
        let changed = milestone(message)?;
        Ok(changed.filter(|changed| changed.to == ShipmentStatus::Cancelled))
    }
}

impl Command for DispatchShipment {
    type Done = ShipmentStatusChanged;
    type Refused = Never;
    const TIMEOUT: Duration = Duration::from_secs(60 * 60);

    fn answer(message: &Message) -> Result<Answer<Self>, DecodeError> {
        Ok(match milestone(message)? {
            Some(changed) if changed.to == ShipmentStatus::Dispatched => Answer::Done(changed),
            _ => Answer::Neither,
        })
    }
}

fn milestone(message: &Message) -> Result<Option<ShipmentStatusChanged>, DecodeError> {
    let is_one = message.kind.as_str() == ShipmentStatusChanged::KIND;
    is_one.then(|| decode(message)).transpose()
}

/// A shipment reached a milestone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ShipmentStatusChanged {
    /// The shipment.
    pub shipment_id: String,
    /// The order.
    pub order_id: OrderId,
    /// The carrier's tracking number.
    pub tracking_no: String,
    /// The carrier.
    pub carrier: String,
    /// The status before.
    pub from: ShipmentStatus,
    /// The status now.
    pub to: ShipmentStatus,
    /// Where the carrier scanned it.
    pub location: Option<String>,
    /// When, in microseconds since 1970.
    pub occurred_at: i64,
}
contract!(ShipmentStatusChanged on "shipping");

/// The status of a shipment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ShipmentStatus {
    /// Created, and not yet allocated.
    Created,
    /// Allocated to a warehouse.
    Allocated,
    /// Picked from the shelf.
    Picked,
    /// Ready for the carrier.
    Packed,
    /// With the carrier.
    Dispatched,
    /// On its way.
    InTransit,
    /// On the last mile.
    OutForDelivery,
    /// Delivered.
    Delivered,
    /// Nobody took it; it goes back.
    DeliveryFailed,
    /// Back in the warehouse.
    Returned,
    /// Cancelled before dispatch.
    Cancelled,
}

impl ShipmentStatus {
    /// All statuses, in the order of a shipment's life.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Allocated,
        Self::Picked,
        Self::Packed,
        Self::Dispatched,
        Self::InTransit,
        Self::OutForDelivery,
        Self::Delivered,
        Self::DeliveryFailed,
        Self::Returned,
        Self::Cancelled,
    ];

    /// The name in tables and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Allocated => "allocated",
            Self::Picked => "picked",
            Self::Packed => "packed",
            Self::Dispatched => "dispatched",
            Self::InTransit => "in_transit",
            Self::OutForDelivery => "out_for_delivery",
            Self::Delivered => "delivered",
            Self::DeliveryFailed => "delivery_failed",
            Self::Returned => "returned",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}
