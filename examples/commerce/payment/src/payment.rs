//! The states of a payment, and what the service tells the saga about it. Pure.

use commerce_contracts::{
    Currency, DeclineStage, Money, MoneyError, OrderId, PaymentAuthorized, PaymentCaptured,
    PaymentDeclined, PaymentRefunded, RefundKind,
};

/// How long the provider holds money, in microseconds.
pub(crate) const HOLD: i64 = 7 * 24 * 60 * 60 * 1_000_000;

/// A payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Payment {
    pub(crate) order_id: OrderId,
    pub(crate) status: Status,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) method: String,
    /// Commands to authorise it.
    pub(crate) attempts: u32,
    /// The provider's name for the authorisation, once we know of it.
    pub(crate) provider_ref: Option<String>,
    /// How much of the captured money was given back.
    pub(crate) refunded: Money,
    /// None: no command has named the customer.
    pub(crate) customer_id: Option<String>,
}

/// The status of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// The authorisation is requested, and its outcome is unknown.
    Requested,
    /// The money is held.
    Authorized,
    /// The authorisation was refused.
    Declined,
    /// The capture is requested, and its outcome is unknown.
    Capturing,
    /// The hold had expired before the capture. It is being renewed.
    Reauthorizing,
    /// The hold is renewed, and the capture requested again.
    Recapturing,
    /// The money was captured.
    Captured,
    /// The payment is undone; whether the provider holds money is unknown.
    Voiding,
    /// The provider holds nothing, and never will.
    Voided,
    /// Captured money is being given back.
    Refunding,
    /// Some of the captured money was given back.
    PartiallyRefunded,
    /// The captured money was given back.
    Refunded,
}

/// An event in the life of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A further attempt to authorise it begins.
    Requested,
    /// The provider holds the money.
    Authorized,
    /// The provider refused to hold or to capture it.
    Declined,
    /// The capture begins.
    Capturing,
    /// The hold had expired before it was captured.
    Expired,
    /// The provider captured the money.
    Captured,
    /// The saga undoes the payment.
    Undone,
    /// An operator or a return gives back captured money.
    RefundRequested,
    /// The provider gave back some of the captured money.
    PartlyReturned,
    /// The provider gave back what it held or had captured, if anything.
    Returned,
}

/// An event that the payment's status does not allow.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error, Debug)]
#[error("a payment that is {} cannot become {event:?}", status.name())]
pub(crate) struct Illegal {
    status: Status,
    event: Event,
}

impl Status {
    pub(crate) const ALL: [Self; 12] = [
        Self::Requested,
        Self::Authorized,
        Self::Declined,
        Self::Capturing,
        Self::Reauthorizing,
        Self::Recapturing,
        Self::Captured,
        Self::Voiding,
        Self::Voided,
        Self::Refunding,
        Self::PartiallyRefunded,
        Self::Refunded,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Authorized => "authorized",
            Self::Declined => "declined",
            Self::Capturing => "capturing",
            Self::Reauthorizing => "reauthorizing",
            Self::Recapturing => "recapturing",
            Self::Captured => "captured",
            Self::Voiding => "voiding",
            Self::Voided => "voided",
            Self::Refunding => "refunding",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the provider neither holds money nor has captured any, and is not asked to.
    pub(crate) const fn is_nothing(self) -> bool {
        matches!(self, Self::Declined | Self::Voided | Self::Refunded)
    }

    /// Whether the capture is under way: it is unknown whether there is money to give back.
    pub(crate) const fn is_being_captured(self) -> bool {
        matches!(
            self,
            Self::Capturing | Self::Reauthorizing | Self::Recapturing
        )
    }

    /// Whether the money was captured, given back or not.
    pub(crate) const fn is_captured(self) -> bool {
        matches!(
            self,
            Self::Captured | Self::Refunding | Self::PartiallyRefunded | Self::Refunded
        )
    }

    /// The status after `event`.
    pub(crate) const fn after(self, event: Event) -> Result<Self, Illegal> {
        match (self, event) {
            (Self::Declined, Event::Requested) => Ok(Self::Requested),
            // If a capture is refused, the hold may still be there: the saga undoes it.
            (Self::Requested, Event::Authorized)
            | (Self::Capturing | Self::Reauthorizing | Self::Recapturing, Event::Declined) => {
                Ok(Self::Authorized)
            }
            // Once: a second one has no way to be renewed.
            (Self::Capturing, Event::Expired) => Ok(Self::Reauthorizing),
            (Self::Reauthorizing, Event::Authorized) => Ok(Self::Recapturing),
            (Self::Requested, Event::Declined) => Ok(Self::Declined),
            (Self::Authorized, Event::Capturing) => Ok(Self::Capturing),
            (Self::Capturing | Self::Recapturing, Event::Captured) => Ok(Self::Captured),
            (Self::Requested | Self::Authorized, Event::Undone) => Ok(Self::Voiding),
            (Self::Captured | Self::PartiallyRefunded, Event::Undone | Event::RefundRequested) => {
                Ok(Self::Refunding)
            }
            (Self::Refunding, Event::PartlyReturned) => Ok(Self::PartiallyRefunded),
            (Self::Voiding, Event::Returned) => Ok(Self::Voided),
            (Self::Refunding, Event::Returned) => Ok(Self::Refunded),
            (status, event) => Err(Illegal { status, event }),
        }
    }
}

impl Payment {
    /// The captured money that was not given back.
    pub(crate) fn kept(&self) -> Result<Money, MoneyError> {
        let captured = if self.status.is_captured() {
            self.amount
        } else {
            Money::ZERO
        };
        Money::from_minor(captured.minor() - self.refunded.minor())
    }

    pub(crate) fn authorized(&self, reference: String, now: i64) -> PaymentAuthorized {
        PaymentAuthorized {
            payment_id: payment_id(&self.order_id),
            order_id: self.order_id.clone(),
            amount_minor: self.amount,
            currency: self.currency,
            provider: "psp".to_owned(),
            provider_ref: reference,
            auth_expires_at: now.saturating_add(HOLD),
        }
    }

    pub(crate) fn captured(&self, reference: String) -> PaymentCaptured {
        PaymentCaptured {
            payment_id: payment_id(&self.order_id),
            order_id: self.order_id.clone(),
            capture_id: reference,
            amount_minor: self.amount,
            cumulative_captured_minor: self.amount,
        }
    }
}

pub(crate) fn declined(
    order_id: OrderId,
    stage: DeclineStage,
    code: &str,
    attempt: u32,
) -> PaymentDeclined {
    PaymentDeclined {
        payment_id: payment_id(&order_id),
        order_id,
        stage,
        code: code.to_owned(),
        // Everything else would be refused again.
        retryable: code == UNAVAILABLE,
        attempt,
    }
}

/// The code of the one refusal that another attempt may change.
pub(crate) const UNAVAILABLE: &str = "unavailable";

/// The code of a capture whose hold had expired, and was not renewed.
pub(crate) const AUTH_EXPIRED: &str = "auth_expired";

/// The code of a refusal that the provider has not confirmed: it may still hold the money, late.
pub(crate) const NO_ANSWER: &str = "no_answer";

/// The reason of a refund that nobody gave another reason for.
pub(crate) const ORDER_CANCELLED: &str = "order_cancelled";

/// The provider gave back `amount`; of what it held (`Void`) or of what it had captured (`Refund`),
/// which makes `refunded` in all.
pub(crate) fn returned(
    order_id: OrderId,
    reference: String,
    kind: RefundKind,
    [amount, refunded]: [Money; 2],
    reason: &str,
) -> PaymentRefunded {
    PaymentRefunded {
        payment_id: payment_id(&order_id),
        order_id,
        refund_id: reference,
        kind,
        amount_minor: amount,
        cumulative_refunded_minor: refunded,
        reason: reason.to_owned(),
        return_id: None,
    }
}

pub(crate) fn payment_id(order_id: &OrderId) -> String {
    format!("pay-{order_id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Requested),
            Just(Event::Authorized),
            Just(Event::Declined),
            Just(Event::Capturing),
            Just(Event::Expired),
            Just(Event::Captured),
            Just(Event::Undone),
            Just(Event::RefundRequested),
            Just(Event::PartlyReturned),
            Just(Event::Returned)
        ]
    }

    proptest! {
        #[test]
        fn money_is_captured_only_after_a_hold_and_given_back_only_on_request(events in proptest::collection::vec(event(), 0..40)) {
            let mut status = Status::Requested;
            let (mut held, mut captured, mut requested, mut returned, mut parts) = (0, 0, 0, 0, 0);
            let (mut captures, mut expired) = (0, 0);
            for event in events {
                if let Ok(next) = status.after(event) {
                    status = next;
                    match event {
                        Event::Authorized => held += 1,
                        Event::Captured => captured += 1,
                        Event::Undone | Event::RefundRequested => requested += 1,
                        Event::PartlyReturned => parts += 1,
                        Event::Returned => returned += 1,
                        Event::Capturing => captures += 1,
                        Event::Expired => expired += 1,
                        Event::Requested | Event::Declined => {}
                    }
                }
                prop_assert!(held <= 1 + expired && captured <= held.min(1) && returned <= 1 && returned + parts <= requested);
                prop_assert!(expired <= captures, "a hold is renewed once for a capture");
                prop_assert!(parts <= captured * requested, "only captured money is given back in parts");
                prop_assert!(returned == 0 || status.is_nothing(), "{status:?} after it was undone");
            }
            prop_assert_eq!(status == Status::Refunded, captured + returned == 2);
        }

        #[test]
        fn whatever_is_not_nothing_can_be_undone_once_its_capture_is_decided(status in proptest::sample::select(&Status::ALL[..])) {
            let is_under_way = matches!(status, Status::Capturing | Status::Reauthorizing | Status::Recapturing | Status::Voiding | Status::Refunding);
            prop_assert_eq!(status.after(Event::Undone).is_ok(), !status.is_nothing() && !is_under_way);
        }
    }

    #[test]
    fn an_expired_hold_is_renewed_once_for_a_capture() {
        let way = [
            Event::Authorized,
            Event::Capturing,
            Event::Expired,
            Event::Authorized,
        ];
        let renewed = way.into_iter().try_fold(Status::Requested, Status::after);
        let renewed = renewed.unwrap();
        assert_eq!(renewed, Status::Recapturing);
        assert!(renewed.after(Event::Expired).is_err());
        assert_eq!(renewed.after(Event::Declined), Ok(Status::Authorized));
    }

    #[test]
    fn names_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
        }
    }
}
