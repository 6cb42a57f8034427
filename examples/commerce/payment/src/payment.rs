//! The states of a payment. Pure.

/// The status of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// The authorisation is requested, and its outcome is unknown.
    Requested,
    /// The money is held.
    Authorized,
    /// The provider refused.
    Declined,
    /// The money was captured.
    Captured,
    /// The hold was voided, or the order was cancelled before any hold (a tombstone).
    Voided,
}

/// An event in the life of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The provider holds the money.
    Authorized,
    /// The provider refused to hold it.
    Declined,
    /// The provider captured the money.
    Captured,
    /// The provider voided the hold.
    Voided,
}

/// An event that the payment's status does not allow.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error, Debug)]
#[error("a payment that is {} cannot become {event:?}", status.name())]
pub(crate) struct Illegal {
    status: Status,
    event: Event,
}

impl Status {
    pub(crate) const ALL: [Self; 5] = [
        Self::Requested,
        Self::Authorized,
        Self::Declined,
        Self::Captured,
        Self::Voided,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Authorized => "authorized",
            Self::Declined => "declined",
            Self::Captured => "captured",
            Self::Voided => "voided",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The status after `event`.
    pub(crate) const fn after(self, event: Event) -> Result<Self, Illegal> {
        match (self, event) {
            (Self::Requested, Event::Authorized) => Ok(Self::Authorized),
            (Self::Requested, Event::Declined) => Ok(Self::Declined),
            (Self::Authorized, Event::Captured) => Ok(Self::Captured),
            (Self::Authorized, Event::Voided) => Ok(Self::Voided),
            (status, event) => Err(Illegal { status, event }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Authorized),
            Just(Event::Declined),
            Just(Event::Captured),
            Just(Event::Voided)
        ]
    }

    proptest! {
        #[test]
        fn money_is_captured_or_voided_only_after_a_hold_and_never_both(events in proptest::collection::vec(event(), 0..20)) {
            let mut status = Status::Requested;
            let (mut held, mut captured, mut voided) = (0, 0, 0);
            for event in events {
                if let Ok(next) = status.after(event) {
                    status = next;
                    match event {
                        Event::Authorized => held += 1,
                        Event::Captured => captured += 1,
                        Event::Voided => voided += 1,
                        Event::Declined => {}
                    }
                }
            }
            prop_assert!(held <= 1 && captured + voided <= held);
            prop_assert_eq!(status == Status::Captured, captured == 1);
        }
    }

    #[test]
    fn names_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
        }
    }
}
