//! Steps that run at the same time.

use std::{fmt, marker::PhantomData};

use super::{IsAfterPivot, IsBeforePivot, Needs, Parts, StepRef, Unrefusable};
use crate::{Compensable, definition::Role};

/// Steps of one stage while they are written down; see [`Saga::parallel`](super::Saga::parallel).
pub struct Group<'s, I, P> {
    parts: &'s mut Parts<I>,
    stage: usize,
    phase: PhantomData<P>,
}

impl<'s, I: 'static, P> Group<'s, I, P> {
    pub(super) fn new(parts: &'s mut Parts<I>) -> Self {
        let stage = parts.shape.steps.last().map_or(0, |step| step.stage + 1);
        Self {
            parts,
            stage,
            phase: PhantomData,
        }
    }

    /// Adds a step that can be undone.
    pub fn step<C, N, F>(&mut self, needs: N, make: F) -> Branch<C>
    where
        P: IsBeforePivot,
        C: Compensable,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        Branch(self.parts.undoable(needs, make, false, Some(self.stage)))
    }

    /// Adds a step behind the pivot.
    pub fn then<C, N, F>(&mut self, needs: N, make: F) -> Branch<C>
    where
        P: IsAfterPivot,
        C: Unrefusable,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        let stage = Some(self.stage);
        let step = self.parts.plain(needs, make, Role::Retriable, false, stage);
        Branch(step)
    }
}

impl<I, P> fmt::Debug for Group<'_, I, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// A step of a group. Its result can be used behind the group, not within it.
pub struct Branch<C>(StepRef<C>);

impl<C> fmt::Debug for Branch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Branch").field(&self.0).finish()
    }
}

/// The steps of a group: a [`Branch`], or a tuple of up to six.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name the steps of a group",
    note = "return what `group.step` or `group.then` returned, or a tuple of up to six of them"
)]
pub trait Branches {
    /// Their results.
    type Steps;

    /// Their results, for the steps behind the group.
    fn steps(self) -> Self::Steps;
}

impl<C> Branches for Branch<C> {
    type Steps = StepRef<C>;

    fn steps(self) -> StepRef<C> {
        self.0
    }
}

macro_rules! tuples {
    ($(($($command:ident $place:tt),+))*) => { $(
        impl<$($command),+> Branches for ($(Branch<$command>,)+) {
            type Steps = ($(StepRef<$command>,)+);

            fn steps(self) -> Self::Steps {
                ($(self.$place.0,)+)
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
