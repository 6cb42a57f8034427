//! An order as its events make it. Pure: no database, no clock.

use std::collections::BTreeMap;

use commerce_contracts::{
    Address, CancelReason, Compensation, Currency, Money, OrderId, OrderLine, Quantity, Sku,
};
use mainstay_eventstore::{Aggregate, Snapshots, events};
use mainstay_saga::messages;
use serde::{Deserialize, Serialize};

messages! {
    // Nobody publishes them: other services hear of an order by the contracts.
    "order-stream" {
        /// The order was accepted and priced.
        Placed {
            order_id: OrderId,
            customer_id: String,
            currency: Currency,
            lines: Vec<OrderLine>,
            subtotal: Money,
            shipping: Money,
            tax: Money,
            discount: Money,
            total: Money,
            payment_method: String,
            ship_to: Address,
        },
        /// All of its stock is held for a while.
        StockReserved { reservation_id: String },
        /// The money is held.
        PaymentAuthorized { payment_id: String },
        /// The stock is held until it is shipped: the order will be fulfilled.
        Confirmed {},
        /// The parcel is ready for the carrier.
        Packed { tracking_no: String },
        /// The order is paid, and not cancelled any more.
        PaymentCaptured {},
        /// The parcel is with the carrier.
        Dispatched {},
        /// The parcel was delivered.
        Delivered {},
        /// The carrier brought the parcel back: all of the order is returned.
        CameBack { return_id: String },
        /// The customer returns some of what was delivered.
        ReturnRequested { return_id: String, request_key: String, lines: Vec<Quantity>, amount: Money, reason: String },
        /// The money of a return was given back; `amount` of it, if some had been given back before.
        ReturnRefunded { return_id: String, amount: Money },
        /// The order will not be fulfilled; each step that had begun is undone.
        CancellationBegun { reason: CancelReason },
        /// A step is undone.
        StepUndone { compensation: Compensation },
        /// Every step that had begun is undone.
        Cancelled {},
    }
}

events! {
    #[derive(Clone, PartialEq, Debug)]
    pub(crate) enum OrderEvent {
        Placed, StockReserved, PaymentAuthorized, Confirmed, Packed, PaymentCaptured, Dispatched, Delivered,
        CameBack, ReturnRequested, ReturnRefunded, CancellationBegun, StepUndone, Cancelled,
    }
}

impl Return {
    /// Whether it is of a parcel that nobody took.
    pub(crate) const fn is_of_parcel(&self) -> bool {
        self.request_key.is_none()
    }
}

/// The reason of the return of a parcel that nobody took.
pub(crate) const CAME_BACK: &str = "the parcel came back";

/// The status of an order.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) enum Status {
    Placed,
    StockReserved,
    PaymentAuthorized,
    Confirmed,
    Fulfilling,
    Captured,
    Dispatched,
    Completed,
    Cancelling,
    Cancelled,
}

impl Status {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Placed,
        Self::StockReserved,
        Self::PaymentAuthorized,
        Self::Confirmed,
        Self::Fulfilling,
        Self::Captured,
        Self::Dispatched,
        Self::Completed,
        Self::Cancelling,
        Self::Cancelled,
    ];

    /// Reads [`name`](Self::name).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The name in tables and on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::StockReserved => "stock_reserved",
            Self::PaymentAuthorized => "payment_authorized",
            Self::Confirmed => "confirmed",
            Self::Fulfilling => "fulfilling",
            Self::Captured => "captured",
            Self::Dispatched => "dispatched",
            Self::Completed => "completed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An order.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Debug)]
pub(crate) struct Order {
    /// None: it was not placed.
    pub(crate) status: Option<Status>,
    pub(crate) placed: Option<Placed>,
    pub(crate) reservation_id: String,
    pub(crate) payment_id: String,
    pub(crate) cancellation: Option<Cancellation>,
    pub(crate) returns: Vec<Return>,
}

/// Goods that come back, and the money for them.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub(crate) struct Return {
    pub(crate) id: String,
    /// The request's `Idempotency-Key`; none: the carrier brought the parcel back.
    pub(crate) request_key: Option<String>,
    pub(crate) lines: Vec<Quantity>,
    pub(crate) amount: Money,
    pub(crate) reason: String,
    /// None: the money was not given back yet.
    pub(crate) refunded: Option<Money>,
}

/// The quantities, summed by SKU. The total of the order bounds each sum.
pub(crate) fn quantities(lines: &[OrderLine]) -> Vec<Quantity> {
    let mut sums: BTreeMap<&Sku, i64> = BTreeMap::new();
    for line in lines {
        *sums.entry(&line.sku).or_default() += line.qty;
    }
    let quantity = |(sku, qty): (&Sku, i64)| Quantity {
        sku: sku.clone(),
        qty,
    };
    sums.into_iter().map(quantity).collect()
}

/// Why and when an order was cancelled, and what was undone so far.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub(crate) struct Cancellation {
    pub(crate) reason: CancelReason,
    /// The status before.
    pub(crate) stage: Option<Status>,
    pub(crate) undone: Vec<Compensation>,
}

/// An event that an order's status does not allow.
#[derive(thiserror::Error, Clone, PartialEq, Debug)]
#[error("an order that is {} takes no {event:?}", status.map_or("not placed", Status::name))]
pub(crate) struct Illegal {
    status: Option<Status>,
    event: Box<OrderEvent>,
}

impl Aggregate for Order {
    const STREAM: &'static str = "order";
    /// An order has about nine events, so it has one snapshot on its way. Raise the number with each
    /// change of the state or of `apply`.
    const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::json(2).every(5));
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        let stage = self.status;
        self.status = self.after(event).or(stage);
        match event {
            OrderEvent::Placed(placed) => self.placed = Some(placed.clone()),
            OrderEvent::StockReserved(reserved) => {
                self.reservation_id.clone_from(&reserved.reservation_id);
            }
            OrderEvent::PaymentAuthorized(authorized) => {
                self.payment_id.clone_from(&authorized.payment_id);
            }
            OrderEvent::CameBack(came) => {
                let all = self.placed.as_ref();
                self.returns.push(Return {
                    id: came.return_id.clone(),
                    request_key: None,
                    lines: all.map_or_else(Vec::new, |placed| quantities(&placed.lines)),
                    amount: all.map_or(Money::ZERO, |placed| placed.total),
                    reason: CAME_BACK.to_owned(),
                    refunded: None,
                });
            }
            OrderEvent::ReturnRequested(requested) => self.returns.push(Return {
                id: requested.return_id.clone(),
                request_key: Some(requested.request_key.clone()),
                lines: requested.lines.clone(),
                amount: requested.amount,
                reason: requested.reason.clone(),
                refunded: None,
            }),
            OrderEvent::ReturnRefunded(refunded) => {
                let mut returns = self.returns.iter_mut();
                let returned = returns.find(|it| it.id == refunded.return_id);
                if let Some(returned) = returned {
                    returned.refunded = Some(refunded.amount);
                }
            }
            OrderEvent::CancellationBegun(begun) => {
                self.cancellation = Some(Cancellation {
                    reason: begun.reason.clone(),
                    stage,
                    undone: Vec::new(),
                });
            }
            OrderEvent::StepUndone(undone) => {
                if let Some(cancellation) = &mut self.cancellation {
                    cancellation.undone.push(undone.compensation.clone());
                }
            }
            _ => {}
        }
    }
}

impl Order {
    /// Applies an event, if the order's status allows it.
    pub(crate) fn accept(&mut self, event: &OrderEvent) -> Result<(), Illegal> {
        if self.after(event).is_none() {
            return Err(Illegal {
                status: self.status,
                event: Box::new(event.clone()),
            });
        }
        self.apply(event);
        Ok(())
    }

    /// The return with this id.
    pub(crate) fn returned(&self, return_id: &str) -> Option<&Return> {
        self.returns.iter().find(|it| it.id == return_id)
    }

    /// The status that an event leads to; none: it is not allowed.
    fn after(&self, event: &OrderEvent) -> Option<Status> {
        let Some(status) = self.status else {
            let is_first = matches!(event, OrderEvent::Placed(_));
            return if is_first { Some(Status::Placed) } else { None };
        };
        let after = match (status, event) {
            (Status::Placed, OrderEvent::StockReserved(_)) => Status::StockReserved,
            (Status::StockReserved, OrderEvent::PaymentAuthorized(_)) => Status::PaymentAuthorized,
            (Status::PaymentAuthorized, OrderEvent::Confirmed(_)) => Status::Confirmed,
            (Status::Confirmed, OrderEvent::Packed(_)) => Status::Fulfilling,
            (Status::Fulfilling, OrderEvent::PaymentCaptured(_)) => Status::Captured,
            (Status::Captured, OrderEvent::Dispatched(_)) => Status::Dispatched,
            (Status::Dispatched, OrderEvent::Delivered(_)) if self.returns.is_empty() => {
                Status::Completed
            }
            (Status::Dispatched, OrderEvent::CameBack(_)) if self.returns.is_empty() => {
                Status::Dispatched
            }
            (Status::Completed, OrderEvent::ReturnRequested(requested)) => {
                if self.returned(&requested.return_id).is_some() {
                    return None;
                }
                Status::Completed
            }
            (Status::Dispatched | Status::Completed, OrderEvent::ReturnRefunded(refunded)) => {
                let returned = self.returned(&refunded.return_id)?;
                if returned.refunded.is_some() {
                    return None;
                }
                Status::Completed
            }
            (
                Status::Placed
                | Status::StockReserved
                | Status::PaymentAuthorized
                | Status::Confirmed
                | Status::Fulfilling,
                OrderEvent::CancellationBegun(_),
            )
            | (Status::Cancelling, OrderEvent::StepUndone(_)) => Status::Cancelling,
            (Status::Cancelling, OrderEvent::Cancelled(_)) => Status::Cancelled,
            _ => return None,
        };
        Some(after)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn placed() -> Placed {
        let address = ["name", "street", "city", "postcode", "DE"].map(str::to_owned);
        let [name, street, city, postcode, country] = address;
        Placed {
            order_id: OrderId::new("o-1"),
            customer_id: "cust-001".to_owned(),
            currency: Currency::Eur,
            lines: Vec::new(),
            subtotal: Money::ZERO,
            shipping: Money::ZERO,
            tax: Money::ZERO,
            discount: Money::ZERO,
            total: Money::ZERO,
            payment_method: "pm_ok".to_owned(),
            ship_to: Address {
                name,
                street,
                city,
                postcode,
                country,
            },
        }
    }

    fn event() -> impl Strategy<Value = OrderEvent> {
        let text = String::new;
        let reason = CancelReason {
            code: text(),
            detail: text(),
        };
        let compensation = Compensation {
            step: text(),
            outcome: text(),
        };
        proptest::sample::select(vec![
            placed().into(),
            StockReserved {
                reservation_id: text(),
            }
            .into(),
            PaymentAuthorized { payment_id: text() }.into(),
            Confirmed {}.into(),
            Packed {
                tracking_no: text(),
            }
            .into(),
            PaymentCaptured {}.into(),
            Dispatched {}.into(),
            Delivered {}.into(),
            CameBack { return_id: text() }.into(),
            ReturnRequested {
                return_id: "another".to_owned(),
                request_key: text(),
                lines: Vec::new(),
                amount: Money::ZERO,
                reason: text(),
            }
            .into(),
            ReturnRefunded {
                return_id: text(),
                amount: Money::ZERO,
            }
            .into(),
            CancellationBegun { reason }.into(),
            StepUndone { compensation }.into(),
            Cancelled {}.into(),
        ])
    }

    proptest! {
        #[test]
        fn what_an_order_does_not_allow_changes_nothing_and_the_rest_replays(
            events in proptest::collection::vec(event(), 0..80)
        ) {
            let mut order = Order::default();
            let mut stream = Vec::new();
            for event in events {
                let before = order.clone();
                if order.accept(&event).is_ok() {
                    stream.push(event);
                } else {
                    prop_assert_eq!(&order, &before);
                }
                let is_cancelled = matches!(order.status, Some(Status::Cancelling | Status::Cancelled));
                prop_assert_eq!(order.cancellation.is_some(), is_cancelled);
            }
            let replayed: Order = mainstay_eventstore::fold(stream);
            prop_assert_eq!(replayed, order);
        }
    }

    #[test]
    fn a_delivered_order_was_dispatched_and_a_cancelled_one_ends_once() {
        let mut order: Order = mainstay_eventstore::fold([placed()]);
        assert!(order.accept(&Delivered {}.into()).is_err());
        assert!(order.accept(&Cancelled {}.into()).is_err());
        let reason = CancelReason {
            code: String::new(),
            detail: String::new(),
        };
        order.accept(&CancellationBegun { reason }.into()).unwrap();
        order.accept(&Cancelled {}.into()).unwrap();
        let again = order.accept(&Cancelled {}.into()).unwrap_err();
        assert_eq!(
            again.to_string(),
            "an order that is cancelled takes no Cancelled(Cancelled)"
        );
    }
}
