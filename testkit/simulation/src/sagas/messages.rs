//! The saga, its messages, and what becomes of each step.

use std::time::Duration;

use mainstay_messaging::Event as _;
use mainstay_saga::{Command, Compensable, Definition, Never, Outcome, Saga};
use serde::{Deserialize, Serialize};

use crate::Rng;

mainstay_saga::messages! {
    "stock-commands" { Reserve { fate: Fate }, Release {}, Ship { fate: Fate } }
    "stock" { Reserved { note: Note }, OutOfStock { is_retryable: bool }, Released {}, Shipped {} }
    "payment-commands" { Authorize { fate: Fate }, Void {}, Pay { fate: Fate } }
    "payments" { Authorized {}, Declined { is_retryable: bool }, Voided {}, Paid {} }
}

/// The topics of the participants, and those of their replies.
pub(super) const COMMANDS: [&str; 2] = ["stock-commands", "payment-commands"];
pub(super) const REPLIES: [&str; 2] = ["stock", "payments"];

/// How long a step may take.
const TIMEOUT: Duration = Duration::from_millis(4_000);
/// A little less: an answer that comes so late meets the timer.
const ALMOST: Duration = Duration::from_millis(3_400);

/// The steps of the saga.
pub(super) const STEPS: [&str; 4] = [Reserve::KIND, Authorize::KIND, Pay::KIND, Ship::KIND];

/// The input of the saga.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    reserve: Fate,
    authorize: Fate,
    pay: Fate,
    ship: Fate,
}

/// What becomes of a command at its participant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(unreachable_pub, reason = "messages are public")]
pub struct Fate {
    /// How many attempts are refused for now.
    refusals: u32,
    ends: Ends,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ends {
    Done,
    Refused,
    /// Its answer cannot be read, if it is one that can be so.
    Garbled,
    /// It is carried out and answered in a later transaction.
    Late(Duration),
}

/// What a reply says besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(unreachable_pub, reason = "messages are public")]
pub enum Note {
    /// It is good.
    Good,
    /// It is written by a faulty build, and cannot be read.
    #[serde(skip_deserializing)]
    Garbled,
}

impl Order {
    pub(super) fn draw(rng: &Rng) -> Self {
        Self {
            reserve: Fate::draw(rng),
            authorize: Fate::draw(rng),
            pay: Fate::draw(rng),
            ship: Fate::draw(rng),
        }
    }
}

impl Fate {
    fn draw(rng: &Rng) -> Self {
        let refusals = if rng.one_in(3) { 1 + rng.below(3) } else { 0 };
        let ends = match rng.below(10) {
            0 => Ends::Refused,
            1 => Ends::Garbled,
            2 => Ends::Late(rng.millis(8_000)),
            3 => Ends::Late(ALMOST + rng.millis(600)),
            _ => Ends::Done,
        };
        Self { refusals, ends }
    }

    /// Whether this attempt is refused; and if so, whether another one is worth it.
    pub(super) fn refuses(self, attempt: u32) -> Option<bool> {
        let is_retryable = attempt <= self.refusals;
        (is_retryable || self.ends == Ends::Refused).then_some(is_retryable)
    }

    /// How much later it is carried out.
    pub(super) const fn delay(self) -> Option<Duration> {
        match self.ends {
            Ends::Late(by) => Some(by),
            _ => None,
        }
    }

    const fn note(self) -> Note {
        match self.ends {
            Ends::Garbled => Note::Garbled,
            _ => Note::Good,
        }
    }
}

/// A command, as its participant sees it.
pub(super) trait Task: Command<Refused: Refusal> {
    fn fate(&self) -> Fate;
    fn done(fate: Fate) -> Self::Done;
}

pub(super) trait Refusal: Sized {
    /// None: it cannot happen.
    fn of(is_retryable: bool) -> Option<Self>;
    fn is_retryable(&self) -> bool;
}

macro_rules! refusal {
    ($name:ident) => {
        impl Refusal for $name {
            fn of(is_retryable: bool) -> Option<Self> {
                Some(Self { is_retryable })
            }

            fn is_retryable(&self) -> bool {
                self.is_retryable
            }
        }
    };
}

refusal!(OutOfStock);
refusal!(Declined);

impl Refusal for Never {
    fn of(_: bool) -> Option<Self> {
        None
    }

    fn is_retryable(&self) -> bool {
        match *self {}
    }
}

macro_rules! command {
    ($name:ident, $done:ident, $refused:ident, |$fate:ident| $make:expr) => {
        impl Command for $name {
            type Done = $done;
            type Refused = $refused;
            const TIMEOUT: Duration = TIMEOUT;

            fn retry(refused: &$refused, attempt: u32) -> Option<Duration> {
                let delay = Duration::from_millis(150) * attempt;
                refused.is_retryable().then_some(delay)
            }
        }

        impl Task for $name {
            fn fate(&self) -> Fate {
                self.fate
            }

            fn done($fate: Fate) -> $done {
                $make
            }
        }
    };
}

command!(Reserve, Reserved, OutOfStock, |fate| Reserved {
    note: fate.note()
});
command!(Authorize, Authorized, Declined, |_fate| Authorized {});
command!(Pay, Paid, Declined, |_fate| Paid {});
command!(Ship, Shipped, Never, |_fate| Shipped {});

impl Compensable for Reserve {
    type Undo = Release;
    type Undone = Released;

    fn undo(&self, _: Outcome<'_, Reserved>) -> Release {
        Release {}
    }
}

impl Compensable for Authorize {
    type Undo = Void;
    type Undone = Voided;

    fn undo(&self, _: Outcome<'_, Authorized>) -> Void {
        Void {}
    }
}

/// The saga: with a group or without one.
pub(super) fn place_order(is_parallel: bool, deadline: Option<Duration>) -> Definition<Order> {
    let mut saga = Saga::new("place-order", 1);
    if let Some(deadline) = deadline {
        saga = saga.deadline(deadline);
    }
    let reserve = |order: &Order, ()| Reserve {
        fate: order.reserve,
    };
    let authorize = |order: &Order, ()| Authorize {
        fate: order.authorize,
    };
    if is_parallel {
        saga.parallel(|group| (group.step((), reserve), group.step((), authorize)));
    } else {
        saga.step((), reserve);
        saga.step((), authorize);
    }
    let (mut saga, _paid) = saga.pivot((), |order, ()| Pay { fate: order.pay });
    saga.then((), |order, ()| Ship { fate: order.ship });
    saga.build()
}
