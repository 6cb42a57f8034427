//! Results of earlier steps.

use std::{fmt, marker::PhantomData};

use crate::{Command, Error, definition::Results};

/// The result of a step that was written down before.
pub struct StepRef<C> {
    pub(crate) place: usize,
    command: PhantomData<fn() -> C>,
}

impl<C> StepRef<C> {
    pub(super) const fn at(place: usize) -> Self {
        let command = PhantomData;
        Self { place, command }
    }
}

impl<C> Clone for StepRef<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for StepRef<C> {}

impl<C> fmt::Debug for StepRef<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StepRef").field(&self.place).finish()
    }
}

/// The results that a command needs: `()`, a [`StepRef`], or a tuple of up to six.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of earlier steps",
    note = "give `()`, what `.step` returned, or a tuple of up to six of them"
)]
pub trait Needs: Copy + Send + Sync + 'static {
    /// What the command is made from.
    type Values;

    /// Reads the results.
    ///
    /// # Errors
    /// [`Error::NoResult`] if a handle belongs to another saga; [`Error::Decode`].
    fn read(self, results: Results<'_>) -> Result<Self::Values, Error>;
}

impl Needs for () {
    type Values = ();

    fn read(self, _: Results<'_>) -> Result<(), Error> {
        Ok(())
    }
}

impl<C: Command> Needs for StepRef<C> {
    type Values = C::Done;

    fn read(self, results: Results<'_>) -> Result<C::Done, Error> {
        results.get(self)
    }
}

macro_rules! tuples {
    ($(($($command:ident $place:tt),+))*) => { $(
        impl<$($command: Command),+> Needs for ($(StepRef<$command>,)+) {
            type Values = ($($command::Done,)+);

            fn read(self, results: Results<'_>) -> Result<Self::Values, Error> {
                Ok(($(results.get(self.$place)?,)+))
            }
        }
    )* };
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
