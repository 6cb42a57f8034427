//! What holds of a participant.

use async_trait::async_trait;
use mainstay_messaging::{Key, Message, MessageId};

use super::{
    Violation,
    step::{holds, message},
};
use crate::{Answer, Attempt, CommandId, Compensable, Outcome, RunId};

/// A participant under test: its handlers, on tables that are empty at first.
#[async_trait]
pub trait Subject: Send {
    /// Gives it a message as its worker would: admission by its inbox, the handler, commit. Answers
    /// with the messages that were put into its outbox.
    ///
    /// # Errors
    /// A text that says what failed.
    async fn handle(&mut self, message: &Message) -> Result<Vec<Message>, String>;

    /// Everything that its steps have in effect, as a text: equal texts are equal effects.
    ///
    /// # Errors
    /// A text that says what failed.
    async fn effect(&mut self) -> Result<String, String>;
}

/// Checks the handlers of one step and its undo, each order on a fresh participant:
///
/// - a do is answered once, with done or refused; a refusal has no effect;
/// - a message that comes twice has one effect;
/// - an undo answers *undone*, and takes the effect of the do back;
/// - an undo without a do answers *undone*, and has no effect;
/// - a do behind its undo has no effect and is not answered as done;
/// - a further run of the same key has an effect of its own.
///
/// # Errors
/// The first law that does not hold.
pub async fn participant<C: Compensable, S: Subject>(
    mut fresh: impl AsyncFnMut() -> S,
    command: &C,
) -> Result<(), Violation> {
    let play = |subject| Play::<C, S> {
        subject,
        command: std::marker::PhantomData,
    };
    let key = command.key().unwrap_or_else(|| "key".into()).into_owned();
    let make = |run: &str, attempt| -> Result<Message, Violation> {
        let mut made = match attempt {
            Attempt::Do(_) => message::<C, C>(command)?,
            Attempt::Undo => message::<C, C::Undo>(&command.undo(Outcome::Unknown))?,
        };
        let id = CommandId::new(RunId::new(run), C::KIND, attempt).to_string();
        let named = Key::new(key.as_str()).and_then(|key| Ok((key, MessageId::new(id)?)));
        let (key, id) = named.map_err(|error| Violation {
            step: C::KIND,
            law: "its messages have valid keys",
            found: error.to_string(),
        })?;
        (made.key, made.id) = (Some(key), id);
        Ok(made)
    };
    let (first, undo) = (
        make("run-1", Attempt::Do(1))?,
        make("run-1", Attempt::Undo)?,
    );

    let mut there = play(fresh().await);
    let before = there.effect().await?;
    let is_done = there.does(&first).await?;
    let done = there.effect().await?;
    let found = (!is_done && done != before).then(|| format!("its effect is {done}"));
    holds::<C>("a refusal has no effect", found)?;
    there.again(&first, &done).await?;
    there.undoes(&undo).await?;
    there
        .is("an undo takes the effect of the do back", &before)
        .await?;
    there.again(&undo, &before).await?;
    let late = make("run-1", Attempt::Do(2))?;
    there.refuses(&late, &before).await?;
    let is_done = there.does(&make("run-2", Attempt::Do(1))?).await?;
    let has_effect = there.effect().await? != before;
    let found =
        (has_effect != is_done).then(|| format!("is done: {is_done}, has an effect: {has_effect}"));
    holds::<C>(
        "a further run of the same key has an effect of its own",
        found,
    )?;

    let mut there = play(fresh().await);
    there.undoes(&undo).await?;
    there
        .is("an undo without a do has no effect", &before)
        .await?;
    there.refuses(&first, &before).await
}

struct Play<C, S> {
    subject: S,
    command: std::marker::PhantomData<fn() -> C>,
}

impl<C: Compensable, S: Subject> Play<C, S> {
    async fn handle(&mut self, message: &Message) -> Result<Vec<Message>, Violation> {
        let handled = self.subject.handle(message).await;
        let answers = handled.map_err(|error| Violation {
            step: C::KIND,
            law: "its handlers succeed",
            found: format!("{} fails: {error}", message.id),
        })?;
        let id = message.id.as_str();
        let mine = |answer: &Message| answer.causation_id.as_deref() == Some(id);
        Ok(answers.into_iter().filter(mine).collect())
    }

    async fn effect(&mut self) -> Result<String, Violation> {
        self.subject.effect().await.map_err(|found| Violation {
            step: C::KIND,
            law: "its effect can be read",
            found,
        })
    }

    /// Whether the do was done; otherwise it was refused.
    async fn does(&mut self, message: &Message) -> Result<bool, Violation> {
        let answers = self.handle(message).await?;
        let read: Vec<_> = answers.iter().map(C::answer).collect();
        let (is_done, found) = match read.as_slice() {
            [Ok(Answer::Done(_))] => (true, None),
            [Ok(Answer::Refused(_))] => (false, None),
            [Ok(Answer::Neither)] => (false, Some("its reply is neither".to_owned())),
            [Err(error)] => (false, Some(error.to_string())),
            others => (false, Some(format!("{} replies name it", others.len()))),
        };
        holds::<C>("a do is answered once, with done or refused", found)?;
        Ok(is_done)
    }

    async fn undoes(&mut self, message: &Message) -> Result<(), Violation> {
        let answers = self.handle(message).await?;
        let is_undone = |answer: &Message| matches!(C::undone(answer), Ok(Some(_)));
        let found = match answers.as_slice() {
            [answer] if is_undone(answer) => None,
            other => Some(format!("{} replies name it", other.len())),
        };
        holds::<C>("an undo is answered once, with undone", found)
    }

    async fn again(&mut self, message: &Message, effect: &str) -> Result<(), Violation> {
        self.handle(message).await?;
        self.is("a message that comes twice has one effect", effect)
            .await
    }

    async fn refuses(&mut self, message: &Message, effect: &str) -> Result<(), Violation> {
        let law = "a do behind its undo has no effect and is not answered as done";
        for answer in self.handle(message).await? {
            let is_done = matches!(C::answer(&answer), Ok(Answer::Done(_)));
            holds::<C>(law, is_done.then(|| "it is answered as done".to_owned()))?;
        }
        self.is(law, effect).await
    }

    async fn is(&mut self, law: &'static str, expected: &str) -> Result<(), Violation> {
        let effect = self.effect().await?;
        let found = (effect != expected)
            .then(|| format!("the effect is {effect:?} instead of {expected:?}"));
        holds::<C>(law, found)
    }
}
