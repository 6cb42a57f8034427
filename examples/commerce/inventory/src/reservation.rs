//! The states of a hold. Pure.

use commerce_contracts::ShipmentStatus;

/// The state of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Stock is kept for the order.
    Held,
    /// The stock left with the shipment. Terminal.
    Committed,
    /// The stock was released, or the order was cancelled before any was held. Terminal.
    Released,
    /// The order was not confirmed in time, and the stock was released.
    Expired,
    /// Not enough stock was available.
    Refused,
}

impl State {
    pub(crate) const ALL: [Self; 5] = [
        Self::Held,
        Self::Committed,
        Self::Released,
        Self::Expired,
        Self::Refused,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
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
        Some(State::Committed | State::Released | State::Expired) => Release::TooLate,
    }
}

/// Whether a hold ends by itself now.
pub(crate) fn expires(state: State, expires_at: Option<i64>, now: i64) -> bool {
    state == State::Held && expires_at.is_some_and(|at| at <= now)
}

/// How a shipment's status changes the hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ship {
    /// Not at all.
    Note,
    /// The order is confirmed: the hold never expires.
    Keep,
    /// The stock leaves.
    Commit,
    /// The stock leaves, though the hold had expired: the confirmation came too late. Take it anew.
    HoldAgain,
}

/// Decides about the hold of an order whose shipment enters a status.
pub(crate) const fn ship(state: State, to: ShipmentStatus) -> Ship {
    match (state, to) {
        (State::Held, ShipmentStatus::Dispatched) => Ship::Commit,
        (State::Expired, ShipmentStatus::Dispatched) => Ship::HoldAgain,
        (State::Held, ShipmentStatus::Cancelled) => Ship::Note,
        (State::Held, _) => Ship::Keep,
        _ => Ship::Note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_stay() {
        for state in [State::Committed, State::Released] {
            assert_eq!(release(Some(state)), Release::TooLate);
            assert_eq!(ship(state, ShipmentStatus::Dispatched), Ship::Note);
            assert!(!expires(state, Some(0), 1));
        }
    }

    #[test]
    fn only_a_hold_gives_stock_back_or_takes_it_out() {
        for state in [None, Some(State::Refused)] {
            assert_eq!(release(state), Release::NothingHeld);
        }
        assert_eq!(release(Some(State::Held)), Release::GiveBack);
        assert_eq!(ship(State::Refused, ShipmentStatus::Dispatched), Ship::Note);
        assert_eq!(ship(State::Held, ShipmentStatus::Dispatched), Ship::Commit);
    }

    #[test]
    fn a_hold_of_a_confirmed_order_does_not_expire() {
        assert_eq!(ship(State::Held, ShipmentStatus::Allocated), Ship::Keep);
        assert_eq!(ship(State::Held, ShipmentStatus::Cancelled), Ship::Note);
        assert!(!expires(State::Held, None, i64::MAX));
        assert!(!expires(State::Held, Some(2), 1));
        assert!(expires(State::Held, Some(1), 1));
    }

    /// It was released when it expired: to give it back again would invent stock.
    #[test]
    fn an_expired_hold_is_not_given_back_twice_and_is_taken_anew_for_goods_that_leave() {
        assert_eq!(release(Some(State::Expired)), Release::TooLate);
        assert!(!expires(State::Expired, Some(0), 1));
        let dispatched = ShipmentStatus::Dispatched;
        assert_eq!(ship(State::Expired, dispatched), Ship::HoldAgain);
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
