//! The states of a payment. Pure.

/// Where a payment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// The provider is to be asked, or its answer is not known yet.
    Requested,
    /// The money is held.
    Authorized,
    /// The provider refused.
    Declined,
    /// The money was taken.
    Captured,
    /// Nothing is held (any more). Also the tombstone of an order that was cancelled before it was asked for.
    Voided,
}

/// What happens to a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The provider holds the money.
    Authorized,
    /// The provider refused to hold it.
    Declined,
    /// The provider took it.
    Captured,
    /// The provider let it go.
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
        fn money_is_taken_or_let_go_only_after_it_was_held_and_never_both(events in proptest::collection::vec(event(), 0..20)) {
            let mut status = Status::Requested;
            let (mut held, mut taken, mut let_go) = (0, 0, 0);
            for event in events {
                if let Ok(next) = status.after(event) {
                    status = next;
                    match event {
                        Event::Authorized => held += 1,
                        Event::Captured => taken += 1,
                        Event::Voided => let_go += 1,
                        Event::Declined => {}
                    }
                }
            }
            prop_assert!(held <= 1 && taken + let_go <= held);
            prop_assert_eq!(status == Status::Captured, taken == 1);
        }
    }

    #[test]
    fn names_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.name()), Some(status));
        }
    }
}
