//! The facts of an order, and what an event changes of them. Pure.

use std::collections::BTreeMap;

use commerce_contracts::{
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderPlaced, PaymentAuthorized,
    PaymentDeclined, PaymentRefunded, RefundKind, ShipmentStatus, ShipmentStatusChanged,
    StockReservationFailed,
};
use mainstay_messaging::{
    Message,
    envelope::micros_since_epoch,
    event::{DecodeError, Event, decode},
};
use serde::{Deserialize, Serialize};

/// The kinds of events that are counted.
pub(crate) const KINDS: [&str; 9] = [
    OrderPlaced::KIND,
    OrderConfirmed::KIND,
    OrderCompleted::KIND,
    OrderCancelled::KIND,
    StockReservationFailed::KIND,
    PaymentAuthorized::KIND,
    PaymentDeclined::KIND,
    PaymentRefunded::KIND,
    ShipmentStatusChanged::KIND,
];

/// What is known of an order. Times are the first ones, in microseconds since 1970.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Fact {
    pub(crate) placed: Option<Placed>,
    pub(crate) out_of_stock_at: Option<i64>,
    pub(crate) declined_at: Option<i64>,
    pub(crate) authorized_at: Option<i64>,
    pub(crate) confirmed_at: Option<i64>,
    pub(crate) dispatched_at: Option<i64>,
    pub(crate) delivered_at: Option<i64>,
    pub(crate) returned_at: Option<i64>,
    pub(crate) completed_at: Option<i64>,
    pub(crate) cancelled_at: Option<i64>,
    pub(crate) cancel_code: Option<String>,
    /// The largest sum that was heard of.
    pub(crate) refunded_minor: i64,
}

/// What `OrderPlaced` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    pub(crate) at: i64,
    pub(crate) customer_id: String,
    pub(crate) currency: String,
    pub(crate) total_minor: i64,
    /// By SKU.
    pub(crate) lines: BTreeMap<String, Line>,
}

/// What was ordered of one SKU.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
pub(crate) struct Line {
    pub(crate) qty: i64,
    /// The price of all pieces, without tax.
    pub(crate) net_minor: i64,
}

/// What one event says of one order.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) order_id: String,
    at: i64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Placed(Placed),
    OutOfStock,
    Declined,
    Authorized,
    Confirmed,
    Dispatched,
    Delivered,
    Returned,
    Completed,
    Cancelled { code: String },
    Refunded { sum_minor: i64 },
}

impl Change {
    /// Reads an event; none: it changes nothing that is counted.
    pub(crate) fn read(message: &Message) -> Result<Option<Self>, DecodeError> {
        let at = message.occurred_at.map_or(0, micros_since_epoch);
        let (order_id, at, what) = match message.kind.as_str() {
            OrderPlaced::KIND => {
                let placed: OrderPlaced = decode(message)?;
                (
                    placed.order_id.clone(),
                    at,
                    What::Placed(self::placed(placed, at)),
                )
            }
            OrderConfirmed::KIND => {
                let confirmed: OrderConfirmed = decode(message)?;
                (confirmed.order_id, at, What::Confirmed)
            }
            OrderCompleted::KIND => {
                let completed: OrderCompleted = decode(message)?;
                (completed.order_id, completed.completed_at, What::Completed)
            }
            OrderCancelled::KIND => {
                let OrderCancelled {
                    order_id, reason, ..
                } = decode(message)?;
                (order_id, at, What::Cancelled { code: reason.code })
            }
            StockReservationFailed::KIND => {
                let failed: StockReservationFailed = decode(message)?;
                (failed.order_id, at, What::OutOfStock)
            }
            PaymentAuthorized::KIND => {
                let authorized: PaymentAuthorized = decode(message)?;
                (authorized.order_id, at, What::Authorized)
            }
            PaymentDeclined::KIND => {
                let declined: PaymentDeclined = decode(message)?;
                (declined.order_id, at, What::Declined)
            }
            PaymentRefunded::KIND => {
                let refunded: PaymentRefunded = decode(message)?;
                // A void gives back what was never taken.
                if refunded.kind != RefundKind::Refund {
                    return Ok(None);
                }
                let sum_minor = refunded.cumulative_refunded_minor.minor();
                (refunded.order_id, at, What::Refunded { sum_minor })
            }
            ShipmentStatusChanged::KIND => {
                let moved: ShipmentStatusChanged = decode(message)?;
                let what = match moved.to {
                    ShipmentStatus::Dispatched => What::Dispatched,
                    ShipmentStatus::Delivered => What::Delivered,
                    ShipmentStatus::Returned => What::Returned,
                    _ => return Ok(None),
                };
                (moved.order_id, moved.occurred_at, what)
            }
            _ => return Ok(None),
        };
        Ok(Some(Self {
            order_id: order_id.as_str().to_owned(),
            at,
            what,
        }))
    }
}

fn placed(event: OrderPlaced, at: i64) -> Placed {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for line in event.lines {
        let sum = lines.entry(line.sku.as_str().to_owned()).or_default();
        sum.qty += line.qty;
        sum.net_minor += line.unit_price_minor.minor() * line.qty;
    }
    Placed {
        at,
        customer_id: event.customer_id,
        currency: event.currency.code().to_owned(),
        total_minor: event.total_minor.minor(),
        lines,
    }
}

impl Fact {
    /// Takes what an event says. The order of events does not matter, nor how often one comes.
    pub(crate) fn take(&mut self, change: Change) {
        let at = change.at;
        let field = match change.what {
            What::Placed(placed) => {
                self.placed.get_or_insert(placed);
                return;
            }
            What::Refunded { sum_minor } => {
                self.refunded_minor = self.refunded_minor.max(sum_minor);
                return;
            }
            What::Cancelled { code } => {
                self.cancel_code.get_or_insert(code);
                &mut self.cancelled_at
            }
            What::OutOfStock => &mut self.out_of_stock_at,
            What::Declined => &mut self.declined_at,
            What::Authorized => &mut self.authorized_at,
            What::Confirmed => &mut self.confirmed_at,
            What::Dispatched => &mut self.dispatched_at,
            What::Delivered => &mut self.delivered_at,
            What::Returned => &mut self.returned_at,
            What::Completed => &mut self.completed_at,
        };
        *field = Some(field.map_or(at, |first| first.min(at)));
    }

    /// How far the order is.
    pub(crate) const fn status(&self) -> &'static str {
        if self.cancelled_at.is_some() {
            "cancelled"
        } else if self.completed_at.is_some() {
            "completed"
        } else if self.delivered_at.is_some() {
            "delivered"
        } else if self.dispatched_at.is_some() {
            "dispatched"
        } else if self.confirmed_at.is_some() {
            "confirmed"
        } else {
            "placed"
        }
    }
}
