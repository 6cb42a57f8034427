//! The states of a hold. Pure.

/// The state of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Stock is kept for the order.
    Held,
    /// The stock left with the shipment. Terminal.
    Committed,
    /// The stock was released, or the order was cancelled before any was held. Terminal.
    Released,
    /// Not enough stock was available.
    Refused,
}

impl State {
    pub(crate) const ALL: [Self; 4] = [Self::Held, Self::Committed, Self::Released, Self::Refused];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Refused => "refused",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How a cancelled order changes its hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Release {
    /// Release the stock.
    GiveBack,
    /// Nothing was held; answer so.
    NothingHeld,
    /// The stock left or was released before.
    TooLate,
}

/// Decides about the hold of a cancelled order.
pub(crate) const fn release(state: Option<State>) -> Release {
    match state {
        Some(State::Held) => Release::GiveBack,
        None | Some(State::Refused) => Release::NothingHeld,
        Some(State::Committed | State::Released) => Release::TooLate,
    }
}

/// Whether a dispatched shipment commits the hold.
pub(crate) const fn commits(state: Option<State>) -> bool {
    matches!(state, Some(State::Held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_stay() {
        for state in [State::Committed, State::Released] {
            assert_eq!(release(Some(state)), Release::TooLate);
            assert!(!commits(Some(state)));
        }
    }

    #[test]
    fn only_a_hold_gives_stock_back_or_takes_it_out() {
        for state in [None, Some(State::Refused)] {
            assert_eq!(release(state), Release::NothingHeld);
            assert!(!commits(state));
        }
        assert_eq!(release(Some(State::Held)), Release::GiveBack);
        assert!(commits(Some(State::Held)));
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
