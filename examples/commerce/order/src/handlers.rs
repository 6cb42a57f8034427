//! What the order service hears from the others.

use commerce_chassis::{Connection, Journal};
use commerce_contracts::{
    CompensationStep, Contract, DeclineStage, PaymentAuthorized, PaymentCaptured, PaymentDeclined,
    PaymentRefunded, ShipmentStatus, ShipmentStatusChanged, Shortage, StockReleased,
    StockReservationFailed, StockReserved,
};
use mainstay_inbox::{HandlerError, Handlers, Received};

use crate::{
    advance::{Heard, advance},
    status::Input,
};

/// What an event says to an order, and what tells it from others of its kind.
trait Heeded: Contract {
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

async fn handle<E: Heeded>(
    connection: &mut Connection,
    received: Vec<Received<E>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let heard = received
        .into_iter()
        .map(|received| {
            let (input, qualifier) = received.event.input();
            Heard {
                order_id: received.event.order_id().clone(),
                input,
                qualifier,
                message: received.message,
            }
        })
        .collect();
    Ok(advance(&journal, connection, heard).await?)
}

impl Heeded for StockReserved {
    fn input(&self) -> (Input, &'static str) {
        (Input::StockReserved, "")
    }
}

impl Heeded for StockReservationFailed {
    fn input(&self) -> (Input, &'static str) {
        let short = |shortage: &Shortage| {
            format!(
                "{} of {} asked for, {} there",
                shortage.requested, shortage.sku, shortage.available
            )
        };
        let shortages: Vec<String> = self.shortages.iter().map(short).collect();
        (Input::StockRefused(shortages.join("; ")), "")
    }
}

impl Heeded for StockReleased {
    fn input(&self) -> (Input, &'static str) {
        (Input::Undone(CompensationStep::ReleaseStock), "")
    }
}

impl Heeded for PaymentAuthorized {
    fn input(&self) -> (Input, &'static str) {
        (Input::PaymentAuthorized, "")
    }
}

impl Heeded for PaymentDeclined {
    fn input(&self) -> (Input, &'static str) {
        let stage = match self.stage {
            DeclineStage::Authorize => "authorize",
            DeclineStage::Capture => "capture",
        };
        (Input::PaymentDeclined(self.code.clone()), stage)
    }
}

impl Heeded for PaymentCaptured {
    fn input(&self) -> (Input, &'static str) {
        (Input::PaymentCaptured, "")
    }
}

impl Heeded for PaymentRefunded {
    fn input(&self) -> (Input, &'static str) {
        (Input::Undone(CompensationStep::VoidPayment), "")
    }
}

impl Heeded for ShipmentStatusChanged {
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
