//! What the payment service tells, and what it is told to do.

use serde::{Deserialize, Serialize};

use crate::{Currency, Money, OrderId, contract::contract};

/// Command: hold the money.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct AuthorizePayment {
    /// For which order.
    pub order_id: OrderId,
    /// The same for every resend: the provider does it once.
    pub effect_key: String,
    /// How much.
    pub amount_minor: Money,
    /// Of the amount.
    pub currency: Currency,
    /// The customer's payment method at the provider; a token, never card data.
    pub payment_method: String,
}
contract!(AuthorizePayment on "payment-commands");

/// Command: take the money that is held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct CapturePayment {
    /// For which order.
    pub order_id: OrderId,
    /// The same for every resend.
    pub effect_key: String,
    /// How much.
    pub amount_minor: Money,
    /// Of the amount.
    pub currency: Currency,
}
contract!(CapturePayment on "payment-commands");

/// The money is held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentAuthorized {
    /// The payment.
    pub payment_id: String,
    /// For which order.
    pub order_id: OrderId,
    /// How much.
    pub amount_minor: Money,
    /// Of the amount.
    pub currency: Currency,
    /// Who holds it.
    pub provider: String,
    /// The provider's name for it.
    pub provider_ref: String,
    /// When the hold ends by itself, in microseconds since 1970.
    pub auth_expires_at: i64,
}
contract!(PaymentAuthorized on "payment");

/// The money is not held (or not taken).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentDeclined {
    /// The payment.
    pub payment_id: String,
    /// For which order.
    pub order_id: OrderId,
    /// What was refused.
    pub stage: DeclineStage,
    /// A stable code: `declined`, `requires_action`, `no_answer`, `cancelled`.
    pub code: String,
    /// Whether asking again may help.
    pub retryable: bool,
    /// How often the provider was asked.
    pub attempt: u32,
}
contract!(PaymentDeclined on "payment");

/// What the provider refused.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum DeclineStage {
    /// Holding the money.
    Authorize,
    /// Taking the money.
    Capture,
}

/// The money was taken.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentCaptured {
    /// The payment.
    pub payment_id: String,
    /// For which order.
    pub order_id: OrderId,
    /// The provider's name for the capture.
    pub capture_id: String,
    /// How much.
    pub amount_minor: Money,
    /// Together with earlier captures.
    pub cumulative_captured_minor: Money,
}
contract!(PaymentCaptured on "payment");

/// Held or taken money was given back, or there was none to give back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PaymentRefunded {
    /// The payment.
    pub payment_id: String,
    /// For which order.
    pub order_id: OrderId,
    /// The provider's name for it.
    pub refund_id: String,
    /// What was undone.
    pub kind: RefundKind,
    /// How much; 0 if there was nothing to do.
    pub amount_minor: Money,
    /// Together with earlier refunds of captured money.
    pub cumulative_refunded_minor: Money,
    /// Why.
    pub reason: String,
}
contract!(PaymentRefunded on "payment");

/// What was undone.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefundKind {
    /// A hold.
    Void,
    /// A capture.
    Refund,
}
