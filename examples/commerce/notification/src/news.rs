//! What of an event concerns the customer. Pure.

use commerce_contracts::{
    Currency, Money, OrderCancelled, OrderConfirmed, PaymentRefunded, RefundKind, ShipmentStatus,
    ShipmentStatusChanged,
};
use mainstay_messaging::{
    Message,
    event::{DecodeError, Event, decode},
};
use serde::{Deserialize, Serialize};

/// Something that a customer is told about an order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    Confirmed {
        lines: Vec<Line>,
        total: Money,
        currency: Currency,
    },
    Cancelled {
        reason: String,
        /// Whether money was held for the order.
        released: bool,
    },
    Refunded {
        amount: Money,
    },
    Dispatched {
        tracking_no: String,
    },
    Delivered {
        tracking_no: String,
    },
    Returned {
        tracking_no: String,
    },
}

/// A line of a confirmed order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) qty: i64,
}

impl News {
    /// The name in tables, and of the template.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Confirmed { .. } => "confirmed",
            Self::Cancelled { .. } => "cancelled",
            Self::Refunded { .. } => "refunded",
            Self::Dispatched { .. } => "dispatched",
            Self::Delivered { .. } => "delivered",
            Self::Returned { .. } => "returned",
        }
    }

    pub(crate) fn confirmed(event: &OrderConfirmed) -> Self {
        let line = |line: &commerce_contracts::OrderLine| Line {
            sku: line.sku.as_str().to_owned(),
            qty: line.qty,
        };
        Self::Confirmed {
            lines: event.lines.iter().map(line).collect(),
            total: event.total_minor,
            currency: event.currency,
        }
    }

    pub(crate) fn cancelled(event: &OrderCancelled) -> Self {
        let mut undone = event.compensations.iter();
        Self::Cancelled {
            reason: event.reason.code.clone(),
            released: undone.any(|undone| undone.step == "AuthorizePayment"),
        }
    }

    /// A void is none: nothing was charged, and the news of the cancellation tells of it.
    pub(crate) fn refunded(event: &PaymentRefunded) -> Option<Self> {
        let is_refund = event.kind == RefundKind::Refund && event.amount_minor > Money::ZERO;
        is_refund.then_some(Self::Refunded {
            amount: event.amount_minor,
        })
    }

    /// The steps that a customer cares about.
    pub(crate) fn moved(event: &ShipmentStatusChanged) -> Option<Self> {
        let tracking_no = event.tracking_no.clone();
        match event.to {
            ShipmentStatus::Dispatched => Some(Self::Dispatched { tracking_no }),
            ShipmentStatus::Delivered => Some(Self::Delivered { tracking_no }),
            ShipmentStatus::Returned => Some(Self::Returned { tracking_no }),
            _ => None,
        }
    }
}

/// Whether a message is news: once it is handled, there is a row for each of the user's channels,
/// or it waits for its order's `OrderConfirmed`. `commerce verify` asks.
///
/// # Errors
/// The message is of a kind that the service handles, and does not decode.
pub fn is_news(message: &Message) -> Result<bool, DecodeError> {
    Ok(match message.kind.as_str() {
        OrderConfirmed::KIND | OrderCancelled::KIND => true,
        PaymentRefunded::KIND => News::refunded(&decode(message)?).is_some(),
        ShipmentStatusChanged::KIND => News::moved(&decode(message)?).is_some(),
        _ => false,
    })
}
