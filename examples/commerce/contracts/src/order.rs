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

/// The order was delivered and paid.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderCompleted {
    /// The order.
    pub order_id: OrderId,
    /// The customer.
    pub customer_id: String,
    /// The captured amount.
    pub captured_minor: Money,
    /// The lines.
    pub lines: Vec<OrderLine>,
    /// When it was completed, in microseconds since 1970.
    pub completed_at: i64,
}
contract!(OrderCompleted on "order");

/// The order will not be fulfilled. Each service that holds something for it releases it.
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
    /// The steps that have to be compensated.
    pub compensations: Vec<Compensation>,
}
contract!(OrderCancelled on "order");

/// Why an order was cancelled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct CancelReason {
    /// A stable code: `out_of_stock`, `payment_declined`, `undeliverable`.
    pub code: String,
    /// A text for people.
    pub detail: String,
}

/// A step that may have to be compensated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Compensation {
    /// The compensation.
    pub step: CompensationStep,
    /// Whether the step had started; if so, the order waits for the acknowledgement.
    pub started: bool,
}

/// The compensations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum CompensationStep {
    /// Inventory releases the held stock.
    ReleaseStock,
    /// Payment voids the authorisation.
    VoidPayment,
    /// Shipping cancels the shipment.
    CancelShipment,
}
