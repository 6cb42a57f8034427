//! The events of some orders.

use std::time::{Duration, UNIX_EPOCH};

use commerce_contracts::{
    Address, CancelReason, Currency, DeclineStage, Money, OrderCancelled, OrderCompleted,
    OrderConfirmed, OrderId, OrderLine, OrderPlaced, PaymentAuthorized, PaymentDeclined,
    PaymentRefunded, RefundKind, ShipmentStatus, ShipmentStatusChanged, Shortage, Sku,
    StockReservationFailed,
};
use mainstay_messaging::{Event, Message};

const DAY: u64 = 24 * 60 * 60;

/// How an order ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Completed,
    OutOfStock,
    Declined,
    Returned,
}

/// The events of twelve orders.
pub(super) fn stories() -> Vec<Message> {
    let ends = [
        End::Completed,
        End::OutOfStock,
        End::Declined,
        End::Returned,
    ];
    let orders = (1..=12).zip(ends.into_iter().cycle());
    orders
        .flat_map(|(number, end)| story(number, end))
        .collect()
}

/// All events of an order, in the order in which they happened.
pub(super) fn story(number: u64, end: End) -> Vec<Message> {
    let order = Order::new(number);
    let mut story = vec![order.placed()];
    match end {
        End::OutOfStock => {
            story.push(order.out_of_stock(1));
            story.push(order.cancelled("out_of_stock", 2));
        }
        End::Declined => {
            story.extend([1, 2].map(|attempt| order.declined(attempt)));
            story.push(order.refunded(RefundKind::Void, 0, 3));
            story.push(order.cancelled("payment_declined", 4));
        }
        End::Completed => {
            story.extend(order.shipped());
            story.push(order.moved(ShipmentStatus::Delivered, 5));
            story.push(order.completed(9));
        }
        End::Returned => {
            story.extend(order.shipped());
            story.push(order.moved(ShipmentStatus::Returned, 5));
            story.push(order.refunded(RefundKind::Refund, 400, 6));
            story.push(order.refunded(RefundKind::Refund, 1_000, 7));
            story.push(order.completed(9));
        }
    }
    story
}

struct Order {
    id: OrderId,
    customer: String,
    currency: Currency,
    lines: Vec<OrderLine>,
    total: Money,
    /// Seconds since 1970.
    start: u64,
}

impl Order {
    fn new(number: u64) -> Self {
        let currency = usize::try_from(number % 2).unwrap();
        let some = i64::try_from(number % 3).unwrap() + 1;
        let line = |line_no, sku: &str, qty| OrderLine {
            line_no,
            sku: Sku::new(sku),
            qty,
            unit_price_minor: money(100),
            tax_minor: money(19),
        };
        Self {
            id: OrderId::new(format!("order-{number}")),
            customer: format!("cust-{number:03}"),
            currency: Currency::ALL[currency],
            lines: vec![
                line(1, "SKU-001", 1),
                line(2, "SKU-002", some),
                line(3, "SKU-001", 2),
            ],
            total: money(1_000),
            start: number % 3 * DAY + number,
        }
    }

    /// An event so many seconds after the start.
    fn message(&self, event: &impl Event, after: u64) -> Message {
        let at = UNIX_EPOCH + Duration::from_secs(self.start + after);
        let message = Message::builder().source("/test").event(event);
        message.occurred_at(at).build().unwrap()
    }

    fn micros(&self, after: u64) -> i64 {
        i64::try_from(self.start + after).unwrap() * 1_000_000
    }

    fn placed(&self) -> Message {
        let placed = OrderPlaced {
            order_id: self.id.clone(),
            customer_id: self.customer.clone(),
            currency: self.currency,
            lines: self.lines.clone(),
            subtotal_minor: self.total,
            shipping_minor: Money::ZERO,
            tax_minor: Money::ZERO,
            discount_minor: Money::ZERO,
            total_minor: self.total,
            ship_to: address(),
        };
        self.message(&placed, 0)
    }

    /// Up to the carrier.
    fn shipped(&self) -> [Message; 4] {
        let authorized = PaymentAuthorized {
            payment_id: "pay".to_owned(),
            order_id: self.id.clone(),
            amount_minor: self.total,
            currency: self.currency,
            provider: "psp".to_owned(),
            provider_ref: "ref".to_owned(),
            auth_expires_at: 0,
        };
        let confirmed = OrderConfirmed {
            order_id: self.id.clone(),
            customer_id: self.customer.clone(),
            total_minor: self.total,
            currency: self.currency,
            payment_id: "pay".to_owned(),
            reservation_id: "res".to_owned(),
            lines: self.lines.clone(),
            ship_to: address(),
        };
        [
            self.message(&authorized, 1),
            self.message(&confirmed, 2),
            self.moved(ShipmentStatus::Packed, 3),
            self.moved(ShipmentStatus::Dispatched, 4),
        ]
    }

    fn moved(&self, to: ShipmentStatus, after: u64) -> Message {
        let moved = ShipmentStatusChanged {
            shipment_id: "shp".to_owned(),
            order_id: self.id.clone(),
            tracking_no: "MS".to_owned(),
            carrier: "simulated".to_owned(),
            from: ShipmentStatus::Created,
            to,
            location: None,
            occurred_at: self.micros(after),
        };
        self.message(&moved, after)
    }

    fn completed(&self, after: u64) -> Message {
        let completed = OrderCompleted {
            order_id: self.id.clone(),
            customer_id: self.customer.clone(),
            captured_minor: self.total,
            lines: self.lines.clone(),
            completed_at: self.micros(after),
        };
        self.message(&completed, after)
    }

    fn cancelled(&self, code: &str, after: u64) -> Message {
        let cancelled = OrderCancelled {
            order_id: self.id.clone(),
            customer_id: self.customer.clone(),
            reason: CancelReason {
                code: code.to_owned(),
                detail: String::new(),
            },
            stage: "placed".to_owned(),
            compensations: Vec::new(),
        };
        self.message(&cancelled, after)
    }

    fn out_of_stock(&self, after: u64) -> Message {
        let failed = StockReservationFailed {
            order_id: self.id.clone(),
            shortages: vec![Shortage {
                sku: Sku::new("SKU-001"),
                requested: 3,
                available: 0,
            }],
        };
        self.message(&failed, after)
    }

    fn declined(&self, attempt: u32) -> Message {
        let declined = PaymentDeclined {
            payment_id: "pay".to_owned(),
            order_id: self.id.clone(),
            stage: DeclineStage::Authorize,
            code: "declined".to_owned(),
            retryable: attempt < 2,
            attempt,
        };
        self.message(&declined, u64::from(attempt))
    }

    fn refunded(&self, kind: RefundKind, sum: i64, after: u64) -> Message {
        let refunded = PaymentRefunded {
            payment_id: "pay".to_owned(),
            order_id: self.id.clone(),
            refund_id: format!("ref-{sum}"),
            kind,
            amount_minor: money(sum),
            cumulative_refunded_minor: money(sum),
            reason: "returned".to_owned(),
            return_id: None,
        };
        self.message(&refunded, after)
    }
}

fn money(minor: i64) -> Money {
    Money::from_minor(minor).unwrap()
}

fn address() -> Address {
    Address {
        name: "Ada".to_owned(),
        street: "Street 1".to_owned(),
        city: "Berlin".to_owned(),
        postcode: "10115".to_owned(),
        country: "DE".to_owned(),
    }
}
