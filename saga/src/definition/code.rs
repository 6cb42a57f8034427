//! The code of a step behind one object-safe face.

use std::marker::PhantomData;

use mainstay_messaging::{Event, Message};

use super::Results;
use crate::{
    Answer, Command, Compensable, Error, Outcome, document::Document, engine::Reply, saga::Needs,
};

/// The content of a command.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) document: Document,
    /// The command's own key; none: the business key.
    pub(crate) key: Option<String>,
}

/// The code of a step whose types are erased.
pub(crate) trait Code<I>: Send + Sync {
    fn make(&self, input: &I, results: Results<'_>) -> Result<Made, Error>;
    fn answer(&self, message: &Message, attempt: u32) -> Result<Option<Reply>, Error>;
    fn undo(&self, command: &Document, result: Option<&Document>) -> Result<Document, Error>;
    fn undone(&self, message: &Message) -> Result<Option<Reply>, Error>;
    fn check_result(&self, result: &Document) -> Result<(), Error>;
    fn result_kind(&self) -> (&'static str, u32);
    fn reply_kinds(&self) -> Vec<&'static str>;
}

/// A step without an undo.
pub(crate) struct Plain<C, N, F> {
    needs: N,
    make: F,
    command: PhantomData<fn() -> C>,
}

/// A step with one.
pub(crate) struct Undoable<C, N, F>(Plain<C, N, F>);

impl<C, N, F> Plain<C, N, F> {
    pub(crate) const fn new(needs: N, make: F) -> Self {
        Self {
            needs,
            make,
            command: PhantomData,
        }
    }
}

impl<C, N, F> Undoable<C, N, F> {
    pub(crate) const fn new(needs: N, make: F) -> Self {
        Self(Plain::new(needs, make))
    }
}

impl<C: Command, N: Needs, F> Plain<C, N, F> {
    fn replies() -> Vec<&'static str> {
        let kinds = [C::Done::KIND, C::Refused::KIND];
        let never = <crate::Never as Event>::KIND;
        kinds.into_iter().filter(|kind| *kind != never).collect()
    }

    fn read(message: &Message, attempt: u32) -> Result<Option<Reply>, Error> {
        Ok(match C::answer(message)? {
            Answer::Done(result) => Some(Reply::Done(Document::of(&result)?)),
            Answer::Refused(refused) => Some(Reply::Refused {
                retry: C::retry(&refused, attempt),
                refusal: Document::of(&refused)?,
            }),
            Answer::Neither => None,
        })
    }
}

impl<I, C, N, F> Code<I> for Plain<C, N, F>
where
    C: Command,
    N: Needs,
    F: Fn(&I, N::Values) -> C + Send + Sync,
{
    fn make(&self, input: &I, results: Results<'_>) -> Result<Made, Error> {
        let command = (self.make)(input, self.needs.read(results)?);
        Ok(Made {
            document: Document::of(&command)?,
            key: command.key().map(std::borrow::Cow::into_owned),
        })
    }

    fn answer(&self, message: &Message, attempt: u32) -> Result<Option<Reply>, Error> {
        Self::read(message, attempt)
    }

    fn undo(&self, _: &Document, _: Option<&Document>) -> Result<Document, Error> {
        Err(Error::NoUndo { step: C::KIND })
    }

    fn undone(&self, _: &Message) -> Result<Option<Reply>, Error> {
        Ok(None)
    }

    fn check_result(&self, result: &Document) -> Result<(), Error> {
        Ok(result.read::<C::Done>().map(drop)?)
    }

    fn result_kind(&self) -> (&'static str, u32) {
        (C::Done::KIND, C::Done::VERSION)
    }

    fn reply_kinds(&self) -> Vec<&'static str> {
        Self::replies()
    }
}

impl<I, C, N, F> Code<I> for Undoable<C, N, F>
where
    C: Compensable,
    N: Needs,
    F: Fn(&I, N::Values) -> C + Send + Sync,
{
    fn make(&self, input: &I, results: Results<'_>) -> Result<Made, Error> {
        self.0.make(input, results)
    }

    fn answer(&self, message: &Message, attempt: u32) -> Result<Option<Reply>, Error> {
        Plain::<C, N, F>::read(message, attempt)
    }

    fn undo(&self, command: &Document, result: Option<&Document>) -> Result<Document, Error> {
        let command: C = command.read()?;
        let result: Option<C::Done> = result.map(Document::read).transpose()?;
        let outcome = result.as_ref().map_or(Outcome::Unknown, Outcome::Known);
        Ok(Document::of(&command.undo(outcome))?)
    }

    fn undone(&self, message: &Message) -> Result<Option<Reply>, Error> {
        Ok(C::undone(message)?.map(|_| Reply::Undone))
    }

    fn check_result(&self, result: &Document) -> Result<(), Error> {
        Ok(result.read::<C::Done>().map(drop)?)
    }

    fn result_kind(&self) -> (&'static str, u32) {
        (C::Done::KIND, C::Done::VERSION)
    }

    fn reply_kinds(&self) -> Vec<&'static str> {
        let mut kinds = Plain::<C, N, F>::replies();
        kinds.push(C::Undone::KIND);
        kinds
    }
}
