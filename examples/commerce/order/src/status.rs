//! The states of an order and the transitions between them. Pure: no database, no clock.

use std::collections::BTreeSet;

use commerce_contracts::CompensationStep;

/// The status of an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Status {
    /// Accepted and priced.
    Placed,
    /// All of its stock is held; the authorisation was requested.
    StockReserved,
    /// The money is held.
    PaymentAuthorized,
    /// It will be fulfilled.
    Confirmed,
    /// Packed; the capture was requested.
    Fulfilling,
    /// Paid. This is the pivot: the order is not cancelled any more.
    Captured,
    /// With the carrier.
    Dispatched,
    /// Delivered. Terminal.
    Completed,
    /// Refused; the compensations of started steps are running.
    Cancelling,
    /// Refused, and all compensations are acknowledged. Terminal.
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

    /// Reads [`name`](Self::name).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// An input to an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    /// All of its stock is held.
    StockReserved,
    /// Not enough stock was available; a text for people.
    StockRefused(String),
    /// The hold ended by itself, and the stock is released.
    HoldExpired,
    /// The money is held.
    PaymentAuthorized,
    /// The provider refused; its code.
    PaymentDeclined(String),
    /// Ready for the carrier.
    Packed,
    /// The money was captured.
    PaymentCaptured,
    /// With the carrier.
    Dispatched,
    /// Delivered.
    Delivered,
    /// The shipment was cancelled.
    ShipmentCancelled,
    /// A compensation is acknowledged.
    Undone(CompensationStep),
    /// A milestone that changes nothing for the order.
    Noted,
}

/// What the order service emits after an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Command payment to authorise.
    Authorize,
    /// Announce that the order is confirmed.
    Confirm,
    /// Command payment to capture.
    Capture,
    /// Command shipping to dispatch.
    Dispatch,
    /// Announce that the order is completed.
    Complete,
    /// Announce that the order is cancelled, with its compensations.
    Cancel {
        /// A stable code.
        code: &'static str,
        /// A text for people.
        detail: String,
        /// The status before.
        stage: Status,
        /// The compensations of the started steps.
        started: BTreeSet<CompensationStep>,
    },
}

/// The part of an order that changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    /// Its status.
    pub(crate) status: Status,
    /// Compensations that were started and not yet acknowledged; empty unless cancelling.
    pub(crate) awaiting: BTreeSet<CompensationStep>,
}

/// The result of one input.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Step {
    /// Statuses entered, in order, with a reason where there is one.
    pub(crate) entered: Vec<(Status, Option<String>)>,
    /// The actions, in order.
    pub(crate) actions: Vec<Action>,
}

/// An input that the order's status does not allow, for example a late one. It changes nothing.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error("an order that is {} does not take {input:?}", status.name())]
pub(crate) struct Illegal {
    /// The order's status.
    pub(crate) status: Status,
    /// The input.
    pub(crate) input: Input,
}

impl Progress {
    /// Applies one input.
    pub(crate) fn apply(&mut self, input: Input) -> Result<Step, Illegal> {
        use CompensationStep::{CancelShipment, ReleaseStock, VoidPayment};
        let step = match (self.status, input) {
            (_, Input::Noted) => Step::default(),
            (Status::Placed, Input::StockReserved) => {
                Step::to(Status::StockReserved).and(Action::Authorize)
            }
            (Status::Placed, Input::StockRefused(detail)) => {
                self.cancel("out_of_stock", detail, [ReleaseStock])
            }
            (Status::StockReserved, Input::PaymentAuthorized) => {
                let mut step = Step::to(Status::PaymentAuthorized).and(Action::Confirm);
                step.entered.push((Status::Confirmed, None));
                step
            }
            (Status::StockReserved, Input::PaymentDeclined(code)) => {
                self.cancel("payment_declined", code, [ReleaseStock, VoidPayment])
            }
            // Nothing is captured yet. Later, inventory takes the stock anew.
            (Status::StockReserved, Input::HoldExpired) => self.cancel(
                "hold_expired",
                "the stock was held for too short a time to pay".to_owned(),
                [VoidPayment],
            ),
            (Status::Confirmed, Input::HoldExpired) => self.cancel(
                "hold_expired",
                "the confirmation came after the stock was released".to_owned(),
                [VoidPayment, CancelShipment],
            ),
            // It was not there any more to be released.
            (Status::Cancelling, Input::HoldExpired) if self.awaiting.contains(&ReleaseStock) => {
                self.undone(ReleaseStock)
            }
            (Status::Confirmed, Input::Packed) => Step::to(Status::Fulfilling).and(Action::Capture),
            (Status::Confirmed | Status::Fulfilling, Input::ShipmentCancelled) => self.cancel(
                "undeliverable",
                "the shipment was cancelled".to_owned(),
                [ReleaseStock, VoidPayment],
            ),
            (Status::Fulfilling, Input::PaymentCaptured) => {
                Step::to(Status::Captured).and(Action::Dispatch)
            }
            (Status::Fulfilling, Input::PaymentDeclined(code)) => self.cancel(
                "payment_declined",
                code,
                [ReleaseStock, VoidPayment, CancelShipment],
            ),
            (Status::Captured, Input::Dispatched) => Step::to(Status::Dispatched),
            (Status::Dispatched, Input::Delivered) => {
                Step::to(Status::Completed).and(Action::Complete)
            }
            // The shipment's status event acknowledges its compensation.
            (Status::Cancelling, Input::ShipmentCancelled)
                if self.awaiting.contains(&CancelShipment) =>
            {
                self.undone(CancelShipment)
            }
            (Status::Cancelling, Input::Undone(step)) if self.awaiting.contains(&step) => {
                self.undone(step)
            }
            (status, input) => return Err(Illegal { status, input }),
        };
        if let Some((status, _)) = step.entered.last() {
            self.status = *status;
        }
        Ok(step)
    }

    fn undone(&mut self, step: CompensationStep) -> Step {
        self.awaiting.remove(&step);
        if self.awaiting.is_empty() {
            Step::to(Status::Cancelled)
        } else {
            Step::default()
        }
    }

    fn cancel<const N: usize>(
        &mut self,
        code: &'static str,
        detail: String,
        started: [CompensationStep; N],
    ) -> Step {
        self.awaiting = started.into();
        Step {
            entered: vec![(Status::Cancelling, Some(format!("{code}: {detail}")))],
            actions: vec![Action::Cancel {
                code,
                detail,
                stage: self.status,
                started: self.awaiting.clone(),
            }],
        }
    }
}

impl Step {
    fn to(status: Status) -> Self {
        Self {
            entered: vec![(status, None)],
            actions: Vec::new(),
        }
    }

    fn and(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACED: Progress = Progress {
        status: Status::Placed,
        awaiting: BTreeSet::new(),
    };

    fn input() -> impl Strategy<Value = Input> {
        prop_oneof![
            Just(Input::StockReserved),
            Just(Input::StockRefused("none".to_owned())),
            Just(Input::HoldExpired),
            Just(Input::PaymentAuthorized),
            Just(Input::PaymentDeclined("declined".to_owned())),
            Just(Input::Packed),
            Just(Input::PaymentCaptured),
            Just(Input::Dispatched),
            Just(Input::Delivered),
            Just(Input::ShipmentCancelled),
            Just(Input::Undone(CompensationStep::ReleaseStock)),
            Just(Input::Undone(CompensationStep::VoidPayment)),
            Just(Input::Undone(CompensationStep::CancelShipment)),
            Just(Input::Noted),
        ]
    }

    /// All transitions of an order.
    fn may_follow(from: Status, to: Status) -> bool {
        use Status::{
            Cancelled, Cancelling, Captured, Completed, Confirmed, Dispatched, Fulfilling,
            PaymentAuthorized, Placed, StockReserved,
        };
        matches!(
            (from, to),
            (Placed, StockReserved)
                | (StockReserved, PaymentAuthorized)
                | (PaymentAuthorized, Confirmed)
                | (Confirmed, Fulfilling)
                | (Fulfilling, Captured)
                | (Captured, Dispatched)
                | (Dispatched, Completed)
                | (
                    Placed | StockReserved | PaymentAuthorized | Confirmed | Fulfilling,
                    Cancelling
                )
                | (Cancelling, Cancelled)
        )
    }

    proptest! {
        #[test]
        fn only_legal_transitions_are_taken(inputs in proptest::collection::vec(input(), 0..60)) {
            let mut order = PLACED;
            for input in inputs {
                let before = order.clone();
                match order.apply(input) {
                    Err(_) => prop_assert_eq!(&order, &before, "a refused input changes nothing"),
                    Ok(step) => {
                        let mut from = before.status;
                        for (to, _) in step.entered {
                            prop_assert!(may_follow(from, to), "{:?} -> {:?}", from, to);
                            from = to;
                        }
                        prop_assert_eq!(from, order.status);
                    }
                }
                prop_assert_eq!(order.awaiting.is_empty(), order.status != Status::Cancelling);
            }
        }
    }

    fn after(inputs: impl IntoIterator<Item = Input>) -> Progress {
        let mut order = PLACED;
        for input in inputs {
            order.apply(input).unwrap();
        }
        order
    }

    #[test]
    fn an_order_without_refusals_is_completed() {
        let order = after([
            Input::StockReserved,
            Input::PaymentAuthorized,
            Input::Packed,
            Input::PaymentCaptured,
            Input::Dispatched,
            Input::Delivered,
        ]);
        assert_eq!(order.status, Status::Completed);
    }

    #[test]
    fn an_order_is_cancelled_after_each_started_compensation() {
        let mut order = after([
            Input::StockReserved,
            Input::PaymentDeclined("declined".to_owned()),
            Input::Undone(CompensationStep::VoidPayment),
        ]);
        assert_eq!(order.status, Status::Cancelling);
        order
            .apply(Input::Undone(CompensationStep::ReleaseStock))
            .unwrap();
        assert_eq!(order.status, Status::Cancelled);
    }

    #[test]
    fn an_order_whose_hold_expires_is_cancelled_before_its_capture_only() {
        let confirmed = [Input::StockReserved, Input::PaymentAuthorized];
        for inputs in [&confirmed[..1], &confirmed] {
            let mut order = after(inputs.iter().cloned());
            order.apply(Input::HoldExpired).unwrap();
            assert_eq!(order.status, Status::Cancelling);
            assert!(!order.awaiting.contains(&CompensationStep::ReleaseStock));
        }
        let mut packed = after([&confirmed[..], &[Input::Packed]].concat());
        assert!(packed.apply(Input::HoldExpired).is_err());
    }

    #[test]
    fn a_hold_that_expires_while_the_order_is_cancelled_is_released() {
        let mut order = after([
            Input::StockReserved,
            Input::PaymentDeclined("declined".to_owned()),
            Input::HoldExpired,
        ]);
        order
            .apply(Input::Undone(CompensationStep::VoidPayment))
            .unwrap();
        assert_eq!(order.status, Status::Cancelled);
    }

    #[test]
    fn a_paid_order_is_not_cancelled() {
        let mut order = after([
            Input::StockReserved,
            Input::PaymentAuthorized,
            Input::Packed,
            Input::PaymentCaptured,
        ]);
        assert!(order.apply(Input::ShipmentCancelled).is_err());
    }

    #[test]
    fn names_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
        }
    }
}
