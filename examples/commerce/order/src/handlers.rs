//! The order service's handlers of other services' events.

use commerce_chassis::{Connection, Journal};
use commerce_contracts::{
    CompensationStep, Contract, DeclineStage, PaymentAuthorized, PaymentCaptured, PaymentDeclined,
    PaymentRefunded, ReleaseCause, ShipmentStatus, ShipmentStatusChanged, Shortage, StockReleased,
    StockReservationFailed, StockReserved,
};
use mainstay_inbox::{HandlerError, Handlers, Received};

use crate::{
    advance::{ReceivedInput, advance},
    status::Input,
};

/// An event that is an input to an order. The text distinguishes the order's events of that kind.
trait OrderEvent: Contract {
    fn input(&self) -> (Input, &'static str);
}

pub(crate) fn handlers(journal: &Journal) -> Handlers<Connection, Journal> {
    Handlers::new()
        .with_state(journal.clone())
        .on_batch(handle::<StockReserved>)
        .on_batch(handle::<StockReservationFailed>)
        .on_batch(handle::<StockReleased>)
        .on_batch(handle::<PaymentAuthorized>)
        .on_batch(handle::<PaymentDeclined>)
        .on_batch(handle::<PaymentCaptured>)
        .on_batch(handle::<PaymentRefunded>)
        .on_batch(handle::<ShipmentStatusChanged>)
}

async fn handle<E: OrderEvent>(
    connection: &mut Connection,
    received: Vec<Received<E>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let inputs = received
        .into_iter()
        .map(|received| {
            let (input, qualifier) = received.event.input();
            ReceivedInput {
                order_id: received.event.order_id().clone(),
                input,
                qualifier,
                message: received.message,
            }
        })
        .collect();
    Ok(advance(&journal, connection, inputs).await?)
}

impl OrderEvent for StockReserved {
    fn input(&self) -> (Input, &'static str) {
        (Input::StockReserved, "")
    }
}

impl OrderEvent for StockReservationFailed {
    fn input(&self) -> (Input, &'static str) {
        let short = |shortage: &Shortage| {
            format!(
                "{} of {} ordered, {} available",
                shortage.requested, shortage.sku, shortage.available
            )
        };
        let shortages: Vec<String> = self.shortages.iter().map(short).collect();
        (Input::StockRefused(shortages.join("; ")), "")
    }
}

impl OrderEvent for StockReleased {
    fn input(&self) -> (Input, &'static str) {
        match self.cause {
            ReleaseCause::Expired => (Input::HoldExpired, "expired"),
            _ => (Input::Undone(CompensationStep::ReleaseStock), ""),
        }
    }
}

impl OrderEvent for PaymentAuthorized {
    fn input(&self) -> (Input, &'static str) {
        (Input::PaymentAuthorized, "")
    }
}

impl OrderEvent for PaymentDeclined {
    fn input(&self) -> (Input, &'static str) {
        let stage = match self.stage {
            DeclineStage::Authorize => "authorize",
            DeclineStage::Capture => "capture",
        };
        (Input::PaymentDeclined(self.code.clone()), stage)
    }
}

impl OrderEvent for PaymentCaptured {
    fn input(&self) -> (Input, &'static str) {
        (Input::PaymentCaptured, "")
    }
}

impl OrderEvent for PaymentRefunded {
    fn input(&self) -> (Input, &'static str) {
        (Input::Undone(CompensationStep::VoidPayment), "")
    }
}

impl OrderEvent for ShipmentStatusChanged {
    fn input(&self) -> (Input, &'static str) {
        let input = match self.to {
            ShipmentStatus::Packed => Input::Packed,
            ShipmentStatus::Dispatched => Input::Dispatched,
            ShipmentStatus::Delivered => Input::Delivered,
            ShipmentStatus::Cancelled => Input::ShipmentCancelled,
            _ => Input::Noted,
        };
        (input, self.to.name())
    }
}
