//! Writing a saga down.

mod group;
mod needs;

use std::{marker::PhantomData, sync::Arc, time::Duration};

use mainstay_messaging::Event;

use crate::{
    Command, Compensable, Definition,
    definition::{Code, Plain, Role, Shape, StepShape, Undoable},
};

pub use crate::command::{IsNever, Unrefusable};
pub use group::{Branch, Branches, Group};
pub use needs::{Needs, StepRef};

/// A saga that can still be undone: its pivot is not written down yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct BeforePivot;

/// A saga that can only go forward from here.
#[derive(Debug)]
#[non_exhaustive]
pub struct AfterPivot;

/// Sagas whose next step is before the pivot.
#[diagnostic::on_unimplemented(
    message = "this saga has its pivot, so its next step cannot be undone any more",
    label = "`step`, `local`, `parallel` and `pivot` come before the pivot",
    note = "behind the pivot, write `.then`, `.then_local` or `.then_parallel` with a command whose `Refused` is `Never`"
)]
pub trait IsBeforePivot {}
impl IsBeforePivot for BeforePivot {}

/// Sagas whose next step is behind the pivot.
#[diagnostic::on_unimplemented(
    message = "this saga has no pivot yet, so its next step must be undoable",
    label = "`then`, `then_local` and `then_parallel` come behind the pivot",
    note = "before the pivot, write `.step`, or decide on the point of no return with `.pivot`"
)]
pub trait IsAfterPivot {}
impl IsAfterPivot for AfterPivot {}

/// A saga while it is written down.
///
/// Steps run in the order in which they are written. Before the pivot each one can be undone; the
/// pivot decides; behind it each one is carried out in the end. A saga without a pivot is undone
/// until its last step is done.
///
/// A result is a variable, so it cannot be used before its step:
///
/// ```compile_fail,E0425
/// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
/// # use {mainstay_saga::*, orders::*};
/// let mut saga = Saga::<Order>::new("place-order", 1);
/// saga.step(payment, |order: &Order, payment: Authorized| ReserveStock { order: order.id.clone() }); // error: cannot find `payment`
/// let payment = saga.step((), |order: &Order, ()| Authorize { order: order.id.clone() });
/// ```
///
/// A step before the pivot needs an undo:
///
/// ```compile_fail,E0277
/// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
/// # use {mainstay_saga::*, orders::*};
/// let mut saga = Saga::<Order>::new("place-order", 1);
/// saga.step((), |order, ()| Ship { order: order.id.clone() }); // error: the step `Ship` has no undo
/// ```
///
/// A step behind the pivot must not be refusable:
///
/// ```compile_fail,E0277
/// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
/// # use {mainstay_saga::*, orders::*};
/// let saga = Saga::<Order>::new("place-order", 1);
/// let (mut saga, _) = saga.pivot((), |order, ()| Pay { order: order.id.clone() });
/// saga.then((), |order, ()| Pay { order: order.id.clone() }); // error: `Pay` could be refused
/// ```
///
/// There is one pivot, and a step that can be undone does not come behind it:
///
/// ```compile_fail,E0277
/// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
/// # use {mainstay_saga::*, orders::*};
/// let saga = Saga::<Order>::new("place-order", 1);
/// let (mut saga, _) = saga.pivot((), |order, ()| Pay { order: order.id.clone() });
/// saga.step((), |order, ()| ReserveStock { order: order.id.clone() }); // error: this saga has its pivot
/// ```
///
/// Before the pivot there is no such step:
///
/// ```compile_fail,E0277
/// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
/// # use {mainstay_saga::*, orders::*};
/// let mut saga = Saga::<Order>::new("place-order", 1);
/// saga.then((), |order, ()| Ship { order: order.id.clone() }); // error: this saga has no pivot yet
/// ```
///
/// Steps of a group do not see each other's results:
///
/// ```compile_fail,E0277
/// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
/// # use {mainstay_saga::*, orders::*};
/// let mut saga = Saga::<Order>::new("place-order", 1);
/// saga.parallel(|group| {
///     let stock = group.step((), |order: &Order, ()| ReserveStock { order: order.id.clone() });
///     let payment = group.step(stock, |order, _| Authorize { order: order.id.clone() });
///     (stock, payment) // error: `Branch<ReserveStock>` is not the result of earlier steps
/// });
/// ```
///
/// A command and its undo have one topic, so that they keep their order:
///
/// ```compile_fail,E0080
/// # use mainstay_saga::{*, messages};
/// messages! {
///     "stock" { Reserve {}, Reserved {} }
///     "other" { Release {}, Released {} }
/// }
/// impl Command for Reserve { type Done = Reserved; type Refused = Never; }
/// impl Compensable for Reserve {
///     type Undo = Release; // its topic is "other"
///     type Undone = Released;
///     fn undo(&self, _: Outcome<'_, Reserved>) -> Release { Release {} }
/// }
/// let mut saga = Saga::<()>::new("s", 1);
/// saga.step((), |(), ()| Reserve {});
/// ```
#[derive(Debug)]
#[must_use = "a saga does nothing until it is built"]
pub struct Saga<I, P = BeforePivot> {
    parts: Parts<I>,
    phase: PhantomData<P>,
}

struct Parts<I> {
    shape: Shape,
    code: Vec<Arc<dyn Code<I>>>,
}

impl<I> std::fmt::Debug for Parts<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shape.fmt(f)
    }
}

impl<I: 'static> Saga<I> {
    /// A saga without steps. Raise the version whenever its steps change; runs of the old version
    /// need the old definition until they have ended.
    pub const fn new(name: &'static str, version: u32) -> Self {
        let shape = Shape {
            name,
            version,
            deadline: None,
            steps: Vec::new(),
        };
        let code = Vec::new();
        Self {
            parts: Parts { shape, code },
            phase: PhantomData,
        }
    }
}

impl<I: 'static, P> Saga<I, P> {
    /// How long a run may take; default: no limit. Until the pivot is sent the run is then undone;
    /// from there on it is reported as overdue.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.parts.shape.deadline = Some(deadline);
        self
    }

    /// Adds a step that can be undone. `needs` are the results that its command needs: `()`, a
    /// result, or a tuple of them.
    pub fn step<C, N, F>(&mut self, needs: N, make: F) -> StepRef<C>
    where
        P: IsBeforePivot,
        C: Compensable,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        self.parts.undoable(needs, make, false, None)
    }

    /// Adds a step that runs in the saga's own database, in the transaction of the transition, with
    /// the handler that the orchestrator has for it.
    pub fn local<C, N, F>(&mut self, needs: N, make: F) -> StepRef<C>
    where
        P: IsBeforePivot,
        C: Compensable,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        self.parts.undoable(needs, make, true, None)
    }

    /// Adds steps that run at the same time. None of them sees the results of the others.
    ///
    /// ```
    /// # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
    /// # use {mainstay_saga::*, orders::*};
    /// # let mut saga = Saga::<Order>::new("place-order", 1);
    /// let (stock, payment) = saga.parallel(|group| {
    ///     let stock = group.step((), |order: &Order, ()| ReserveStock { order: order.id.clone() });
    ///     let payment = group.step((), |order, ()| Authorize { order: order.id.clone() });
    ///     (stock, payment)
    /// });
    /// # let _ = (stock, payment);
    /// ```
    pub fn parallel<B>(&mut self, write: impl FnOnce(&mut Group<'_, I, P>) -> B) -> B::Steps
    where
        P: IsBeforePivot,
        B: Branches,
    {
        write(&mut Group::new(&mut self.parts)).steps()
    }

    /// Adds the pivot, the point of no return. From the sending of its command on, a run waits for
    /// the answer; if that is a refusal, the steps before are undone, otherwise the run completes.
    pub fn pivot<C, N, F>(mut self, needs: N, make: F) -> (Saga<I, AfterPivot>, StepRef<C>)
    where
        P: IsBeforePivot,
        C: Command,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        let pivot = self.parts.plain(needs, make, Role::Pivot, false, None);
        let saga = Saga {
            parts: self.parts,
            phase: PhantomData,
        };
        (saga, pivot)
    }

    /// Adds a step behind the pivot. It is never refused.
    pub fn then<C, N, F>(&mut self, needs: N, make: F) -> StepRef<C>
    where
        P: IsAfterPivot,
        C: Unrefusable,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        self.parts.plain(needs, make, Role::Retriable, false, None)
    }

    /// Adds a step behind the pivot that runs in the saga's own database; see
    /// [`local`](Self::local).
    pub fn then_local<C, N, F>(&mut self, needs: N, make: F) -> StepRef<C>
    where
        P: IsAfterPivot,
        C: Unrefusable,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        self.parts.plain(needs, make, Role::Retriable, true, None)
    }

    /// Adds steps behind the pivot that run at the same time; see [`parallel`](Self::parallel).
    pub fn then_parallel<B>(&mut self, write: impl FnOnce(&mut Group<'_, I, P>) -> B) -> B::Steps
    where
        P: IsAfterPivot,
        B: Branches,
    {
        write(&mut Group::new(&mut self.parts)).steps()
    }

    /// The finished definition.
    #[must_use]
    pub fn build(self) -> Definition<I> {
        Definition::new(self.parts.shape, self.parts.code)
    }
}

impl<I: 'static> Parts<I> {
    fn undoable<C, N, F>(
        &mut self,
        needs: N,
        make: F,
        is_local: bool,
        stage: Option<usize>,
    ) -> StepRef<C>
    where
        C: Compensable,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        let () = const {
            assert!(
                same(C::TOPIC, C::Undo::TOPIC),
                "a command and its undo have one topic, so that they keep their order"
            );
        };
        let undo = Some(C::Undo::KIND);
        let code = Undoable::<C, N, F>::new(needs, make);
        self.push::<C>(Arc::new(code), undo, Role::Compensable, is_local, stage)
    }

    fn plain<C, N, F>(
        &mut self,
        needs: N,
        make: F,
        role: Role,
        is_local: bool,
        stage: Option<usize>,
    ) -> StepRef<C>
    where
        C: Command,
        N: Needs,
        F: Fn(&I, N::Values) -> C + Send + Sync + 'static,
    {
        let code = Plain::<C, N, F>::new(needs, make);
        self.push::<C>(Arc::new(code), None, role, is_local, stage)
    }

    fn push<C: Command>(
        &mut self,
        code: Arc<dyn Code<I>>,
        undo: Option<&'static str>,
        role: Role,
        is_local: bool,
        stage: Option<usize>,
    ) -> StepRef<C> {
        let steps = &mut self.shape.steps;
        let place = steps.len();
        let earlier = steps.iter().filter(|step| step.kind == C::KIND).count();
        let name = match earlier {
            0 => C::KIND.to_owned(),
            earlier => format!("{}-{}", C::KIND, earlier + 1),
        };
        let next = steps.last().map_or(0, |step| step.stage + 1);
        steps.push(StepShape {
            name,
            kind: C::KIND,
            topic: C::TOPIC,
            undo,
            role,
            stage: stage.unwrap_or(next),
            is_refusable: C::Refused::KIND != <crate::Never as Event>::KIND,
            is_local,
            timeout: C::TIMEOUT,
        });
        self.code.push(code);
        StepRef::at(place)
    }
}

/// Texts are not comparable in constants yet.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
