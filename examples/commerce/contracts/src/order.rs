//! The events of the order service.

use serde::{Deserialize, Serialize};

use crate::{Address, Currency, Money, OrderId, Sku, contract::contract};

/// One line of an order, priced.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderLine {
    /// Its number in the order, from 1.
    pub line_no: u32,
    /// The SKU.
    pub sku: Sku,
    /// The quantity.
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
    /// The customer.
    pub customer_id: String,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// Sum of the lines without tax.
    pub subtotal_minor: Money,
    /// Shipping fee.
    pub shipping_minor: Money,
    /// Sum of the lines' tax.
    pub tax_minor: Money,
    /// Discount.
    pub discount_minor: Money,
    /// The amount that the customer pays.
    pub total_minor: Money,
    /// The address of delivery.
    pub ship_to: Address,
}
contract!(OrderPlaced on "order");

/// Stock is held and the payment is authorised: the order will be fulfilled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
    /// The customer.
    pub customer_id: String,
    /// The amount that the customer pays.
    pub total_minor: Money,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The authorised payment.
    pub payment_id: String,
    /// The reservation of the held stock.
    pub reservation_id: String,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// The address of delivery.
    pub ship_to: Address,
}
contract!(OrderConfirmed on "order");

/// The order was delivered and paid; or its parcel came back, and its money was given back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderCompleted {
    /// The order.
    pub order_id: OrderId,
    /// The customer.
    pub customer_id: String,
    /// The captured amount.
    pub captured_minor: Money,
    /// The lines that were delivered: none if the parcel came back.
    pub lines: Vec<OrderLine>,
    /// When it was completed, in microseconds since 1970.
    pub completed_at: i64,
}
contract!(OrderCompleted on "order");

/// The order will not be fulfilled: each step that had begun is undone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// The customer.
    pub customer_id: String,
    /// The reason.
    pub reason: CancelReason,
    /// The order's status when it was cancelled.
    pub stage: String,
    /// The steps that were undone.
    pub compensations: Vec<Compensation>,
}
contract!(OrderCancelled on "order");

/// Why an order was cancelled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct CancelReason {
    /// A stable code: `out_of_stock`, `payment_declined`, `undeliverable`, `timed_out`, `cancelled`.
    pub code: String,
    /// A text for people.
    pub detail: String,
}

/// A step that was undone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Compensation {
    /// The kind of the step's command, such as `ReserveStock`.
    pub step: String,
    /// `undone`, or `skipped` by an operator.
    pub outcome: String,
}
