//! The states of an order and the way between them. Pure: no database, no clock.

use std::collections::BTreeSet;

use commerce_contracts::CompensationStep;

/// Where an order is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Status {
    /// Accepted and priced.
    Placed,
    /// All of its stock is held; the payment was asked for.
    StockReserved,
    /// The money is held.
    PaymentAuthorized,
    /// It will be fulfilled.
    Confirmed,
    /// Packed; the money was asked for.
    Fulfilling,
    /// Paid: the point of no return.
    Captured,
    /// With the carrier.
    Dispatched,
    /// Delivered. Terminal.
    Completed,
    /// Refused; what was started is being undone.
    Cancelling,
    /// Refused, and everything is undone. Terminal.
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

/// What an order hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    /// All of its stock is held.
    StockReserved,
    /// There was not enough; for people.
    StockRefused(String),
    /// The money is held.
    PaymentAuthorized,
    /// The provider refused; a code.
    PaymentDeclined(String),
    /// Ready for the carrier.
    Packed,
    /// The money was taken.
    PaymentCaptured,
    /// With the carrier.
    Dispatched,
    /// There.
    Delivered,
    /// The shipment will not go.
    ShipmentCancelled,
    /// A compensation is done.
    Undone(CompensationStep),
    /// A milestone that changes nothing for the order.
    Noted,
}

/// What an order does about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Ask for the money to be held.
    Authorize,
    /// Tell that it will be fulfilled.
    Confirm,
    /// Ask for the money.
    Capture,
    /// Ask for the shipment to go.
    Dispatch,
    /// Tell that it is done.
    Complete,
    /// Tell that it is refused, and what is to be undone.
    Cancel {
        /// A stable code.
        code: &'static str,
        /// For people.
        detail: String,
        /// The status before.
        stage: Status,
        /// What was started and has to be undone.
        started: BTreeSet<CompensationStep>,
    },
}

/// The moving part of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    /// Where it is.
    pub(crate) status: Status,
    /// Compensations that were started and not yet acknowledged; empty unless cancelling.
    pub(crate) awaiting: BTreeSet<CompensationStep>,
}

/// What one input did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Step {
    /// Statuses entered, in order, with a reason where there is one.
    pub(crate) entered: Vec<(Status, Option<String>)>,
    /// What to do, in order.
    pub(crate) acts: Vec<Act>,
}

/// An input that the order's status does not allow: late, or a mistake. Nothing changes.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error("an order that is {} does not take {input:?}", status.name())]
pub(crate) struct Illegal {
    /// The order's status.
    pub(crate) status: Status,
    /// What it heard.
    pub(crate) input: Input,
}

impl Progress {
    /// Takes one input.
    pub(crate) fn apply(&mut self, input: Input) -> Result<Step, Illegal> {
        use CompensationStep::{CancelShipment, ReleaseStock, VoidPayment};
        let step = match (self.status, input) {
            (_, Input::Noted) => Step::default(),
            (Status::Placed, Input::StockReserved) => {
                Step::to(Status::StockReserved).and(Act::Authorize)
            }
            (Status::Placed, Input::StockRefused(detail)) => {
                self.cancel("out_of_stock", detail, [ReleaseStock])
            }
            (Status::StockReserved, Input::PaymentAuthorized) => {
                let mut step = Step::to(Status::PaymentAuthorized).and(Act::Confirm);
                step.entered.push((Status::Confirmed, None));
                step
            }
            (Status::StockReserved, Input::PaymentDeclined(code)) => {
                self.cancel("payment_declined", code, [ReleaseStock, VoidPayment])
            }
            (Status::Confirmed, Input::Packed) => Step::to(Status::Fulfilling).and(Act::Capture),
            (Status::Confirmed | Status::Fulfilling, Input::ShipmentCancelled) => self.cancel(
                "undeliverable",
                "the shipment was cancelled".to_owned(),
                [ReleaseStock, VoidPayment],
            ),
            (Status::Fulfilling, Input::PaymentCaptured) => {
                Step::to(Status::Captured).and(Act::Dispatch)
            }
            (Status::Fulfilling, Input::PaymentDeclined(code)) => self.cancel(
                "payment_declined",
                code,
                [ReleaseStock, VoidPayment, CancelShipment],
            ),
            (Status::Captured, Input::Dispatched) => Step::to(Status::Dispatched),
            (Status::Dispatched, Input::Delivered) => {
                Step::to(Status::Completed).and(Act::Complete)
            }
            // The shipment's own word that it is cancelled is the acknowledgement.
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
            acts: vec![Act::Cancel {
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
            acts: Vec::new(),
        }
    }

    fn and(mut self, act: Act) -> Self {
        self.acts.push(act);
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

    /// Every way of an order's life.
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
        fn only_legal_ways_are_taken(inputs in proptest::collection::vec(input(), 0..60)) {
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

    fn lead(inputs: impl IntoIterator<Item = Input>) -> Progress {
        let mut order = PLACED;
        for input in inputs {
            order.apply(input).unwrap();
        }
        order
    }

    #[test]
    fn the_good_way_ends_completed() {
        let order = lead([
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
    fn cancelled_waits_for_each_started_compensation() {
        let mut order = lead([
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
    fn what_was_paid_is_not_cancelled() {
        let mut order = lead([
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
