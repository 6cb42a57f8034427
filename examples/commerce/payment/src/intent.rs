//! Decides what follows from a provider's answer. Pure.

use std::time::Duration;

use commerce_contracts::{DeclineStage, Money};

use crate::{
    payment::{AUTH_EXPIRED, NO_ANSWER, UNAVAILABLE},
    psp::Answer,
};

/// An operation at the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Authorize,
    Capture,
    /// Ends all authorisations of an order: the live one is released, later ones are declined.
    Void,
    /// Gives back what was captured.
    Refund,
    /// Holds the money of an expired authorisation anew.
    Reauthorize,
}

/// The next call to the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    /// Request the operation.
    Ask,
    /// Look up whether the operation was done, after a lost answer and before another request.
    LookUp,
}

/// The consequence of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Resolution {
    /// The operation is decided.
    Settled(Outcome),
    /// Call again after this time.
    Again(Question, Duration),
}

/// What came of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Done {
        /// The provider's name for it.
        reference: String,
        amount: Money,
    },
    /// It was not done, and will not be; a stable code.
    Refused(DeclineStage, &'static str),
}

/// Calls, look-ups included, after which an authorisation that is not done is given up.
const MOST_CALLS: i64 = 6;

impl Kind {
    const ALL: [Self; 5] = [
        Self::Authorize,
        Self::Capture,
        Self::Void,
        Self::Refund,
        Self::Reauthorize,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
            Self::Reauthorize => "reauthorize",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The stage that the provider may refuse; an undo is requested until it is done.
    const fn stage(self) -> Option<DeclineStage> {
        match self {
            Self::Authorize => Some(DeclineStage::Authorize),
            Self::Capture | Self::Reauthorize => Some(DeclineStage::Capture),
            Self::Void | Self::Refund => None,
        }
    }
}

impl Question {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::LookUp => "look_up",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Ask, Self::LookUp]
            .into_iter()
            .find(|question| question.name() == name)
    }
}

/// Pause before the second call; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Doublings at most: 1.6 s.
const DOUBLINGS: i64 = 5;

/// Decides after `calls` calls, this one included.
pub(crate) fn resolve(kind: Kind, calls: i64, answer: Answer) -> Resolution {
    let soon = FIRST_PAUSE * (1 << (calls - 1).clamp(0, DOUBLINGS));
    let again = Resolution::Again(Question::Ask, soon);
    let is_renewal = kind == Kind::Reauthorize;
    let refused = |code| {
        // Why a hold is not renewed does not matter: it has expired.
        let code = if is_renewal { AUTH_EXPIRED } else { code };
        kind.stage().map_or(again.clone(), |stage| {
            Resolution::Settled(Outcome::Refused(stage, code))
        })
    };
    // Only an authorisation may be given up for want of an answer.
    let may_give_up = kind == Kind::Authorize;
    match answer {
        Answer::Done { reference, amount } => {
            Resolution::Settled(Outcome::Done { reference, amount })
        }
        Answer::Declined => refused("declined"),
        Answer::RequiresAction => refused("requires_action"),
        Answer::Expired => refused(AUTH_EXPIRED),
        // The saga tries again, with another effect key.
        Answer::Unavailable if may_give_up || is_renewal => refused(UNAVAILABLE),
        Answer::NotDone if may_give_up && calls >= MOST_CALLS => refused(NO_ANSWER),
        Answer::Silence => Resolution::Again(Question::LookUp, soon),
        Answer::NotDone | Answer::Unavailable => again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind() -> impl Strategy<Value = Kind> {
        proptest::sample::select(&Kind::ALL[..])
    }

    fn answer() -> impl Strategy<Value = Answer> {
        let done = Answer::Done {
            reference: "r".to_owned(),
            amount: Money::ZERO,
        };
        prop_oneof![
            Just(done),
            Just(Answer::Declined),
            Just(Answer::RequiresAction),
            Just(Answer::Silence),
            Just(Answer::NotDone),
            Just(Answer::Unavailable),
            Just(Answer::Expired),
        ]
    }

    proptest! {
        #[test]
        fn a_lost_answer_is_looked_up_before_another_request(kind in kind(), calls in 1..100_i64) {
            prop_assert!(matches!(resolve(kind, calls, Answer::Silence), Resolution::Again(Question::LookUp, _)));
        }

        #[test]
        fn an_authorisation_ends_unless_the_provider_is_silent(answers in proptest::collection::vec(answer(), 200)) {
            let mut question = Question::Ask;
            for (calls, answer) in (1..).zip(answers) {
                // A look-up answers whether the operation was done; a request never answers
                // `NotDone`.
                let answer = match (question, answer) {
                    (Question::LookUp, done @ Answer::Done { .. }) => done,
                    (Question::LookUp, _) => Answer::NotDone,
                    (Question::Ask, Answer::NotDone) => Answer::Silence,
                    (Question::Ask, answer) => answer,
                };
                match resolve(Kind::Authorize, calls, answer) {
                    Resolution::Again(next, _) => question = next,
                    Resolution::Settled(_) => return Ok(()),
                }
                prop_assert!(calls <= MOST_CALLS);
            }
            prop_assert!(false, "still asking");
        }

        #[test]
        fn an_undo_is_never_given_up(kind in prop_oneof![Just(Kind::Void), Just(Kind::Refund)], calls in 1..1000_i64, answer in answer()) {
            let is_done = matches!(answer, Answer::Done { .. });
            let resolution = resolve(kind, calls, answer);
            prop_assert_eq!(is_done, matches!(resolution, Resolution::Settled(Outcome::Done { .. })));
            prop_assert_eq!(!is_done, matches!(resolution, Resolution::Again(..)));
        }

        #[test]
        fn a_hold_that_is_not_renewed_has_expired(calls in 1..100_i64, answer in answer()) {
            let is_open = matches!(answer, Answer::Silence | Answer::NotDone);
            let done = matches!(answer, Answer::Done { .. });
            match resolve(Kind::Reauthorize, calls, answer) {
                Resolution::Again(..) => prop_assert!(is_open),
                Resolution::Settled(Outcome::Done { .. }) => prop_assert!(done),
                Resolution::Settled(refused) => {
                    prop_assert_eq!(refused, Outcome::Refused(DeclineStage::Capture, AUTH_EXPIRED));
                }
            }
        }

        #[test]
        fn a_capture_is_given_up_only_if_the_provider_refuses_it(calls in 1..1000_i64, answer in answer()) {
            let refuses = matches!(answer, Answer::Declined | Answer::RequiresAction | Answer::Expired);
            prop_assert_eq!(refuses, matches!(resolve(Kind::Capture, calls, answer), Resolution::Settled(Outcome::Refused(..))));
        }
    }
}
