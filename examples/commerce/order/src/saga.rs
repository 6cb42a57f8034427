//! The `PlaceOrder` saga: its steps, and what each transition means for the order.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use commerce_chassis::{Connection, Outbox, Sagas};
use commerce_contracts::{
    Address, AuthorizePayment, CancelReason, CapturePayment, Compensation, Currency,
    DispatchShipment, ExtendReservation, Money, OrderId, OrderLine, PaymentAuthorized,
    PaymentDeclined, PrepareShipment, ReserveStock, ShipmentStatusChanged, Shortage,
    StockReservationFailed, StockReserved,
};
use mainstay_inbox::HandlerError;
use mainstay_messaging::event::{DecodeError, Event};
use mainstay_saga::{
    Definition, Document, Error, Observer, Orchestrator, Saga, Transition, journal::Entry,
    state::Reason,
};
use serde::{Deserialize, Serialize};

use crate::{
    order::{self, OrderEvent, Placed, quantities},
    orders::{Happened, Orders},
};

/// What a run of the saga starts with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct PlaceOrder {
    pub(crate) order_id: OrderId,
    /// None: the run was started by an earlier release.
    #[serde(default)]
    pub(crate) customer_id: Option<String>,
    pub(crate) currency: Currency,
    pub(crate) total: Money,
    pub(crate) lines: Vec<OrderLine>,
    pub(crate) payment_method: String,
    pub(crate) ship_to: Address,
}

impl From<&Placed> for PlaceOrder {
    fn from(placed: &Placed) -> Self {
        Self {
            order_id: placed.order_id.clone(),
            customer_id: Some(placed.customer_id.clone()),
            currency: placed.currency,
            total: placed.total,
            lines: placed.lines.clone(),
            payment_method: placed.payment_method.clone(),
            ship_to: placed.ship_to.clone(),
        }
    }
}

/// Runs the saga.
pub(crate) type PlaceOrderSaga = Orchestrator<PlaceOrder, Sagas, Outbox>;

/// The steps. Once the capture was sent, the order is not cancelled any more unless it is declined.
pub(crate) fn place_order() -> Definition<PlaceOrder> {
    let mut saga = Saga::new("place-order", 1);
    saga.step((), |order: &PlaceOrder, ()| ReserveStock {
        order_id: order.order_id.clone(),
        lines: quantities(&order.lines),
    });
    saga.step((), |order, ()| AuthorizePayment {
        order_id: order.order_id.clone(),
        amount_minor: order.total,
        currency: order.currency,
        payment_method: order.payment_method.clone(),
        customer_id: order.customer_id.clone(),
    });
    saga.step((), |order, ()| ExtendReservation {
        order_id: order.order_id.clone(),
    });
    saga.step((), |order, ()| PrepareShipment {
        order_id: order.order_id.clone(),
        lines: order.lines.clone(),
        ship_to: order.ship_to.clone(),
    });
    let (mut saga, _) = saga.pivot((), |order, ()| CapturePayment {
        order_id: order.order_id.clone(),
        amount_minor: order.total,
        currency: order.currency,
    });
    saga.then((), |order, ()| DispatchShipment {
        order_id: order.order_id.clone(),
    });
    saga.build()
}

pub(crate) fn orchestrator(sagas: Sagas, orders: Orders) -> Result<PlaceOrderSaga, Error> {
    let outbox = orders.outbox().clone();
    Orchestrator::builder(place_order(), sagas, outbox)
        .observe(orders)
        .build()
}

/// An order's stream follows its run.
#[async_trait]
impl Observer<PlaceOrder, Connection> for Orders {
    async fn observe(
        &self,
        connection: &mut Connection,
        transition: &Transition<'_, PlaceOrder>,
    ) -> Result<(), HandlerError> {
        let one = std::slice::from_ref(transition);
        self.observe_batch(connection, one).await
    }

    async fn observe_batch(
        &self,
        connection: &mut Connection,
        transitions: &[Transition<'_, PlaceOrder>],
    ) -> Result<(), HandlerError> {
        let mut all = Vec::with_capacity(transitions.len());
        for transition in transitions {
            let (id, events) = (transition.key, happened(transition.journal)?);
            let cause = transition.cause.clone();
            all.push(Happened { id, events, cause });
        }
        all.retain(|happened| !happened.events.is_empty());
        if all.is_empty() {
            return Ok(());
        }
        self.record_batch(connection, all).await
    }
}

/// What the entries of a run's journal mean for its order.
fn happened(journal: &[Entry]) -> Result<Vec<OrderEvent>, DecodeError> {
    let mut events = Vec::new();
    let mut skipped = None;
    for entry in journal {
        match entry {
            Entry::Done { step, result } => events.extend(done(step, result)?),
            Entry::Undoing { reason } => {
                let reason = cancel_reason(reason)?;
                events.push(order::CancellationBegun { reason }.into());
            }
            Entry::Skipped { step, .. } => skipped = Some(step),
            Entry::StepUndone { step } => {
                let outcome = if skipped == Some(step) {
                    "skipped"
                } else {
                    "undone"
                };
                let compensation = Compensation {
                    step: step.clone(),
                    outcome: outcome.to_owned(),
                };
                events.push(order::StepUndone { compensation }.into());
            }
            Entry::Undone => events.push(order::Cancelled {}.into()),
            _ => {}
        }
    }
    Ok(events)
}

/// A step has the name of its command's kind.
fn done(step: &str, result: &Document) -> Result<Option<OrderEvent>, DecodeError> {
    Ok(Some(match step {
        ReserveStock::KIND => {
            let StockReserved { reservation_id, .. } = result.read()?;
            order::StockReserved { reservation_id }.into()
        }
        AuthorizePayment::KIND => {
            let PaymentAuthorized { payment_id, .. } = result.read()?;
            order::PaymentAuthorized { payment_id }.into()
        }
        ExtendReservation::KIND => order::Confirmed {}.into(),
        PrepareShipment::KIND => {
            let ShipmentStatusChanged { tracking_no, .. } = result.read()?;
            order::Packed { tracking_no }.into()
        }
        CapturePayment::KIND => order::PaymentCaptured {}.into(),
        DispatchShipment::KIND => order::Dispatched {}.into(),
        _ => return Ok(None),
    }))
}

fn cancel_reason(reason: &Reason) -> Result<CancelReason, DecodeError> {
    let (code, detail) = match reason {
        Reason::Refused { step, refusal } => match step.as_str() {
            ReserveStock::KIND | ExtendReservation::KIND => {
                let StockReservationFailed { shortages, .. } = refusal.read()?;
                ("out_of_stock", short(&shortages))
            }
            AuthorizePayment::KIND | CapturePayment::KIND => {
                let PaymentDeclined { code, .. } = refusal.read()?;
                ("payment_declined", code)
            }
            _ => ("undeliverable", "the shipment was cancelled".to_owned()),
        },
        Reason::TimedOut { step } => ("timed_out", format!("{step} was not answered in time")),
        Reason::Cancelled { by } => ("cancelled", by.reason.clone()),
        _ => ("timed_out", "the order took too long".to_owned()),
    };
    let code = code.to_owned();
    Ok(CancelReason { code, detail })
}

fn short(shortages: &[Shortage]) -> String {
    let short = |shortage: &Shortage| {
        let Shortage {
            sku,
            requested,
            available,
        } = shortage;
        format!("{requested} of {sku} ordered, {available} available")
    };
    let texts: Vec<String> = shortages.iter().map(short).collect();
    texts.join("; ")
}
