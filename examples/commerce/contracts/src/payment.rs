//! The events and commands of the payment service.

use std::time::Duration;

use mainstay_saga::{Command, Compensable, Outcome};
use serde::{Deserialize, Serialize};

use crate::{Currency, Money, OrderId, contract::contract};

/// Command: hold the money.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct AuthorizePayment {
    /// The order.
    pub order_id: OrderId,
    /// The amount.
    pub amount_minor: Money,
    /// The currency of the amount.
    pub currency: Currency,
    /// The customer's payment method at the provider; a token, never card data.
    pub payment_method: String,
    /// The customer, who may see the payment; none: only operators may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
}
contract!(AuthorizePayment on "payment-commands");

/// Command: give the money back, whether it is held, captured, asked for or neither.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct VoidOrRefundPayment {
    /// The order.
    pub order_id: OrderId,
}
contract!(VoidOrRefundPayment on "payment-commands");

/// Command: capture the held money.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct CapturePayment {
    /// The order.
    pub order_id: OrderId,
    /// The amount.
    pub amount_minor: Money,
    /// The currency of the amount.
    pub currency: Currency,
}
contract!(CapturePayment on "payment-commands");

/// Command: give captured money back for a return, once. It is no step of a saga: the answer is
/// [`PaymentRefunded`] with the return's id, even if nothing is left to give back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct RefundPayment {
    /// The order.
    pub order_id: OrderId,
    /// The return, which is also the effect key at the provider.
    pub return_id: String,
    /// The amount. If less of the captured money is left, all that is left is given back.
    pub amount_minor: Money,
    /// The reason.
    pub reason: String,
}
contract!(RefundPayment on "payment-commands");

impl Command for AuthorizePayment {
    type Done = PaymentAuthorized;
    type Refused = PaymentDeclined;

    fn retry(declined: &PaymentDeclined, attempt: u32) -> Option<Duration> {
        (declined.retryable && attempt < 3).then_some(Duration::from_secs(1))
    }
}

impl Compensable for AuthorizePayment {
    type Undo = VoidOrRefundPayment;
    type Undone = PaymentRefunded;

    fn undo(&self, _: Outcome<'_, PaymentAuthorized>) -> VoidOrRefundPayment {
        VoidOrRefundPayment {
            order_id: self.order_id.clone(),
        }
    }
}

impl Command for CapturePayment {
    type Done = PaymentCaptured;
    type Refused = PaymentDeclined;
}

/// The money is held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentAuthorized {
    /// The payment.
    pub payment_id: String,
    /// The order.
    pub order_id: OrderId,
    /// The amount.
    pub amount_minor: Money,
    /// The currency of the amount.
    pub currency: Currency,
    /// The payment provider.
    pub provider: String,
    /// The provider's reference.
    pub provider_ref: String,
    /// When the hold expires, in microseconds since 1970.
    pub auth_expires_at: i64,
}
contract!(PaymentAuthorized on "payment");

/// The provider refused to hold or to capture the money.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentDeclined {
    /// The payment.
    pub payment_id: String,
    /// The order.
    pub order_id: OrderId,
    /// The refused stage.
    pub stage: DeclineStage,
    /// A stable code: `declined`, `requires_action`, `unavailable`, `no_answer`, `auth_expired`; or
    /// the status of a payment that can take no further attempt.
    pub code: String,
    /// Whether another attempt may succeed.
    pub retryable: bool,
    /// The number of attempts so far.
    pub attempt: u32,
}
contract!(PaymentDeclined on "payment");

/// The stage that the provider refused.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum DeclineStage {
    /// Holding the money.
    Authorize,
    /// Capturing the money.
    Capture,
}

/// The money was captured.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentCaptured {
    /// The payment.
    pub payment_id: String,
    /// The order.
    pub order_id: OrderId,
    /// The provider's reference of the capture.
    pub capture_id: String,
    /// The amount.
    pub amount_minor: Money,
    /// The amount, including earlier captures.
    pub cumulative_captured_minor: Money,
}
contract!(PaymentCaptured on "payment");

/// Held or captured money was given back, or there was none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentRefunded {
    /// The payment.
    pub payment_id: String,
    /// The order.
    pub order_id: OrderId,
    /// The provider's reference.
    pub refund_id: String,
    /// Whether a hold or a capture was undone.
    pub kind: RefundKind,
    /// The amount; 0 if there was none to give back.
    pub amount_minor: Money,
    /// Sum of all refunds of captured money.
    pub cumulative_refunded_minor: Money,
    /// The reason.
    pub reason: String,
    /// The return that asked for it; none: an operator did, or the saga undid the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_id: Option<String>,
}
contract!(PaymentRefunded on "payment");

/// What a refund undoes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefundKind {
    /// A hold.
    Void,
    /// A capture.
    Refund,
}
