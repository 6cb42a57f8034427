//! A saga that is written down: its shape, and the code of its steps.

mod code;
mod shape;

use std::{fmt, sync::Arc};

use mainstay_messaging::Message;

use crate::{
    Attempt, Command, Error, document::Document, engine::Reply, saga::StepRef, state::State,
};

pub(crate) use code::{Code, Made, Plain, Undoable};
pub use shape::{Fingerprint, Role, Shape, StepShape};

/// A saga that is written down, from [`Saga::build`](crate::Saga::build). Clones share it.
///
/// `I` is the input that a run starts with; it is kept as JSON.
pub struct Definition<I> {
    shape: Arc<Shape>,
    code: Arc<[Arc<dyn Code<I>>]>,
}

impl<I> Definition<I> {
    pub(crate) fn new(shape: Shape, code: Vec<Arc<dyn Code<I>>>) -> Self {
        let shape = Arc::new(shape);
        let code = code.into();
        Self { shape, code }
    }

    /// Its stages and steps, as plain data.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The kinds of the replies that its participants send, sorted.
    #[must_use]
    pub fn reply_kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = (self.code.iter().zip(&self.shape.steps))
            .filter(|(_, step)| !step.is_local)
            .flat_map(|(code, _)| code.reply_kinds())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Its flow as the text of a Mermaid diagram, to paste into Markdown.
    #[must_use]
    pub fn mermaid(&self) -> String {
        crate::mermaid::flowchart(&self.shape)
    }

    /// Makes the message of an attempt: the do from the input and the results so far, or what was
    /// made before; the undo from the do.
    pub(crate) fn make(
        &self,
        step: usize,
        attempt: Attempt,
        input: &I,
        state: &State,
    ) -> Result<Made, Error> {
        let found = self.code.get(step).zip(state.steps.get(step));
        let (code, kept) = found.ok_or(Error::NoStep { step })?;
        match (attempt, &kept.command) {
            (Attempt::Do(_), None) => code.make(input, Results(state)),
            (Attempt::Do(_), Some(command)) => Ok(Made {
                document: command.clone(),
                key: kept.key.clone(),
            }),
            (Attempt::Undo, Some(command)) => {
                let document = code.undo(command, kept.result.as_ref())?;
                let key = kept.key.clone();
                Ok(Made { document, key })
            }
            (Attempt::Undo, None) => Err(Error::NoStep { step }),
        }
    }

    /// Reads a reply to an attempt; none if the message is no reply to it.
    pub(crate) fn read(
        &self,
        step: usize,
        attempt: Attempt,
        message: &Message,
    ) -> Result<Option<Reply>, Error> {
        let code = self.code.get(step).ok_or(Error::NoStep { step })?;
        match attempt {
            Attempt::Do(number) => code.answer(message, number),
            Attempt::Undo => code.undone(message),
        }
    }

    /// Reads a result that somebody supplies.
    pub(crate) fn check_result(&self, step: usize, result: &Document) -> Result<(), Error> {
        let code = self.code.get(step).ok_or(Error::NoStep { step })?;
        code.check_result(result)
    }

    /// Kind and version of a step's result.
    pub(crate) fn result_kind(&self, step: usize) -> Result<(&'static str, u32), Error> {
        let code = self.code.get(step).ok_or(Error::NoStep { step })?;
        Ok(code.result_kind())
    }
}

/// The results that a run has so far.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a>(pub(crate) &'a State);

impl Results<'_> {
    pub(crate) fn get<C: Command>(self, step: StepRef<C>) -> Result<C::Done, Error> {
        let kept = self.0.steps.get(step.place);
        let result = kept.and_then(|kept| kept.result.as_ref());
        let result = result.ok_or(Error::NoResult { step: C::KIND })?;
        Ok(result.read()?)
    }
}

impl<I> Clone for Definition<I> {
    fn clone(&self) -> Self {
        Self {
            shape: Arc::clone(&self.shape),
            code: Arc::clone(&self.code),
        }
    }
}

impl<I> fmt::Debug for Definition<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
