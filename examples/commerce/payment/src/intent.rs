//! What the provider's answer means for what was asked. Pure.

use std::time::Duration;

use crate::psp::Answer;

/// What is to be done at the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Authorize,
    Capture,
    Void,
}

/// How the provider is approached next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    /// Do it.
    Ask,
    /// Was it done? After no answer came: never asked again blindly.
    LookUp,
}

/// What comes of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Resolution {
    /// It was done, under this name.
    Done(String),
    /// It was not done and will not be; a stable code.
    Refused(&'static str),
    /// Not known yet.
    Again(Question, Duration),
}

/// How often a hold is asked for before the customer is told no.
const MOST_ASKED: i64 = 5;
/// The same when the provider never answers.
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

/// Decides, after `asked` asks (this one included).
pub(crate) fn resolve(kind: Kind, asked: i64, answer: Answer) -> Resolution {
    // Only a hold may be given up: what was promised (a capture, a void) is asked for until it is done.
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
        fn a_missing_answer_is_looked_up_before_anything_is_asked_again(asked in 1..100_i64) {
            for kind in [Kind::Authorize, Kind::Capture, Kind::Void] {
                prop_assert!(matches!(resolve(kind, asked, Answer::Silence), Resolution::Again(Question::LookUp, _)));
            }
        }

        #[test]
        fn asking_for_a_hold_ends(answers in proptest::collection::vec(answer(), 200)) {
            let (mut question, mut asked) = (Question::Ask, 0);
            for answer in answers {
                if question == Question::Ask {
                    asked += 1;
                }
                // A look-up answers whether it was done; an ask never answers that it was not.
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
