//! Decides what follows from a provider's answer. Pure.

use std::time::Duration;

use crate::psp::Answer;

/// An operation at the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Authorize,
    Capture,
    Void,
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
    /// The operation was done, under this reference.
    Done(String),
    /// The operation is given up; a stable code.
    Refused(&'static str),
    /// Call again after this time.
    Again(Question, Duration),
}

/// How often an authorisation is requested before it is declined.
const MOST_ASKED: i64 = 5;
/// The same, if the provider never answers.
const MOST_UNANSWERED: i64 = 3;

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Authorize, Self::Capture, Self::Void]
            .into_iter()
            .find(|kind| kind.name() == name)
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

/// Decides after `asked` requests, this one included.
pub(crate) fn resolve(kind: Kind, asked: i64, answer: Answer) -> Resolution {
    // Only an authorisation may be given up. A capture or a void is requested until it is done.
    let may_refuse = kind == Kind::Authorize;
    let soon = Duration::from_millis(20) * u32::try_from(asked.clamp(1, 50)).unwrap_or(50);
    match answer {
        Answer::Done(reference) => Resolution::Done(reference),
        Answer::Declined => Resolution::Refused("declined"),
        Answer::RequiresAction => Resolution::Refused("requires_action"),
        Answer::Silence => Resolution::Again(Question::LookUp, soon),
        Answer::NotDone if may_refuse && asked >= MOST_UNANSWERED => {
            Resolution::Refused("no_answer")
        }
        Answer::Unavailable if may_refuse && asked >= MOST_ASKED => {
            Resolution::Refused("unavailable")
        }
        Answer::NotDone | Answer::Unavailable => Resolution::Again(Question::Ask, soon),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Done("r".to_owned())),
            Just(Answer::Declined),
            Just(Answer::RequiresAction),
            Just(Answer::Silence),
            Just(Answer::NotDone),
            Just(Answer::Unavailable),
        ]
    }

    proptest! {
        #[test]
        fn a_lost_answer_is_looked_up_before_another_request(asked in 1..100_i64) {
            for kind in [Kind::Authorize, Kind::Capture, Kind::Void] {
                prop_assert!(matches!(resolve(kind, asked, Answer::Silence), Resolution::Again(Question::LookUp, _)));
            }
        }

        #[test]
        fn requests_for_an_authorisation_end(answers in proptest::collection::vec(answer(), 200)) {
            let (mut question, mut asked) = (Question::Ask, 0);
            for answer in answers {
                if question == Question::Ask {
                    asked += 1;
                }
                // A look-up answers whether the operation was done; a request never answers
                // `NotDone`.
                let answer = match (question, answer) {
                    (Question::LookUp, Answer::Done(reference)) => Answer::Done(reference),
                    (Question::LookUp, _) => Answer::NotDone,
                    (Question::Ask, Answer::NotDone) => Answer::Silence,
                    (Question::Ask, answer) => answer,
                };
                match resolve(Kind::Authorize, asked, answer) {
                    Resolution::Again(next, _) => question = next,
                    _ => return Ok(()),
                }
                prop_assert!(asked <= MOST_ASKED);
            }
            prop_assert!(false, "still asking");
        }

        #[test]
        fn a_void_is_never_given_up(asked in 1..1000_i64) {
            for answer in [Answer::NotDone, Answer::Unavailable, Answer::Silence] {
                prop_assert!(matches!(resolve(Kind::Void, asked, answer), Resolution::Again(..)));
            }
        }
    }
}
