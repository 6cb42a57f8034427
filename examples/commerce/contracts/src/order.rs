//! What the order service tells.

use serde::{Deserialize, Serialize};

use crate::{Address, Currency, Money, OrderId, Sku, contract::contract};

/// One line of an order, priced.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderLine {
    /// Its place in the order, from 1.
    pub line_no: u32,
    /// What.
    pub sku: Sku,
    /// How many.
    pub qty: i64,
    /// Price of one, without tax.
    pub unit_price_minor: Money,
    /// Tax of the whole line.
    pub tax_minor: Money,
}

/// An order was accepted and priced.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: String,
    /// Of all amounts.
    pub currency: Currency,
    /// What.
    pub lines: Vec<OrderLine>,
    /// Sum of the lines without tax.
    pub subtotal_minor: Money,
    /// Shipping fee.
    pub shipping_minor: Money,
    /// Sum of the lines' tax.
    pub tax_minor: Money,
    /// Discount.
    pub discount_minor: Money,
    /// What the customer pays.
    pub total_minor: Money,
    /// Where it goes.
    pub ship_to: Address,
}
contract!(OrderPlaced on "order");

/// Stock is held and the payment authorised: the order will be fulfilled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: String,
    /// What the customer pays.
    pub total_minor: Money,
    /// Of all amounts.
    pub currency: Currency,
    /// The authorised payment.
    pub payment_id: String,
    /// The held stock.
    pub reservation_id: String,
    /// What.
    pub lines: Vec<OrderLine>,
    /// Where it goes.
    pub ship_to: Address,
}
contract!(OrderConfirmed on "order");

/// The order was delivered and paid.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderCompleted {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: String,
    /// What was captured.
    pub captured_minor: Money,
    /// What.
    pub lines: Vec<OrderLine>,
    /// When, in microseconds since 1970.
    pub completed_at: i64,
}
contract!(OrderCompleted on "order");

/// The order will not be fulfilled; whoever holds something for it lets it go.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: String,
    /// Why.
    pub reason: CancelReason,
    /// The order's status when it was cancelled.
    pub stage: String,
    /// What has to be undone.
    pub compensations: Vec<Compensation>,
}
contract!(OrderCancelled on "order");

/// Why an order was cancelled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct CancelReason {
    /// A stable code: `out_of_stock`, `payment_declined`, `undeliverable`.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// One thing to undo.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Compensation {
    /// Which.
    pub step: CompensationStep,
    /// Whether the step it undoes had been started, so that its acknowledgement is waited for.
    pub started: bool,
}

/// The steps that can be undone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum CompensationStep {
    /// Inventory lets the held stock go.
    ReleaseStock,
    /// Payment voids what was authorised.
    VoidPayment,
    /// Shipping cancels the shipment.
    CancelShipment,
}
