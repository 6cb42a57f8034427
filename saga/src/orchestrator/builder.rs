//! What an orchestrator is made of.

use std::{collections::HashMap, fmt, sync::Arc};

use mainstay_messaging::Event;
use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Inner, Observer, Orchestrator,
    local::{Erased, Typed},
};
use crate::{
    Answer, Command, Definition, Error, definition::Shape, handler::StepFn, store::SagaStore,
};

/// The handlers of local steps, by the kind of the command or undo that they take.
pub(super) type Locals<C> = HashMap<&'static str, Arc<dyn Erased<C>>>;

/// Configures an [`Orchestrator`].
///
/// | setter | default |
/// |---|---|
/// | `older` | none |
/// | `with_state`, `local`, `local_undo` | none; each local step needs its handlers |
/// | `observe` | none |
#[must_use = "call build() to make the orchestrator"]
pub struct OrchestratorBuilder<I, S: SagaStore, O, T = ()> {
    definitions: Vec<Definition<I>>,
    sagas: S,
    outbox: O,
    state: T,
    locals: Locals<S::Connection>,
    observers: Vec<Arc<dyn Observer<I, S::Connection>>>,
}

impl<I, S: SagaStore, O> OrchestratorBuilder<I, S, O> {
    pub(super) fn new(definition: Definition<I>, sagas: S, outbox: O) -> Self {
        Self {
            definitions: vec![definition],
            sagas,
            outbox,
            state: (),
            locals: Locals::new(),
            observers: Vec::new(),
        }
    }
}

impl<I, S, O, T> OrchestratorBuilder<I, S, O, T>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
    T: Clone + Send + Sync + 'static,
{
    /// Also continues runs that an older version of the definition has started, until they have
    /// ended. New runs start with the newest.
    pub fn older(mut self, definition: Definition<I>) -> Self {
        self.definitions.push(definition);
        self
    }

    /// Gives the state that handlers of local steps registered after this call may take as third
    /// argument. Each call gets a clone.
    pub fn with_state<U>(self, state: U) -> OrchestratorBuilder<I, S, O, U> {
        OrchestratorBuilder {
            definitions: self.definitions,
            sagas: self.sagas,
            outbox: self.outbox,
            state,
            locals: self.locals,
            observers: self.observers,
        }
    }

    /// Runs `handler` for each local step `C`: `async fn(connection: &mut Connection, command: C) ->
    /// Result<Answer<C>, HandlerError>`, with the [state](Self::with_state) as third argument if it
    /// takes one.
    ///
    /// It runs in the transaction of the transition: its effect, the run and the next command commit
    /// together. An error rolls the transition back, and its cause is tried again.
    pub fn local<C, M, H>(self, handler: H) -> Self
    where
        C: Command,
        M: 'static,
        H: for<'a> StepFn<'a, S::Connection, T, C, Answer<C>, M> + 'static,
    {
        let typed = Typed::new(self.state.clone(), handler);
        self.register(C::KIND, Arc::new(typed.answering::<C, M>()))
    }

    /// Runs `handler` for the undo `U` of a local step: `async fn(connection: &mut Connection, undo:
    /// U) -> Result<(), HandlerError>`.
    pub fn local_undo<U, M, H>(self, handler: H) -> Self
    where
        U: Event,
        M: 'static,
        H: for<'a> StepFn<'a, S::Connection, T, U, (), M> + 'static,
    {
        let typed = Typed::new(self.state.clone(), handler);
        self.register(U::KIND, Arc::new(typed.undoing::<U, M>()))
    }

    /// Tells `observer` of each transition, in the transition's transaction.
    pub fn observe(mut self, observer: impl Observer<I, S::Connection>) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// The orchestrator.
    ///
    /// # Errors
    /// [`Error::NoLocalHandler`] names a local step without a handler.
    pub fn build(self) -> Result<Orchestrator<I, S, O>, Error> {
        for definition in &self.definitions {
            check_locals(definition.shape(), &self.locals)?;
        }
        let shapes = self.definitions.iter().map(Definition::shape);
        let fingerprints = shapes.map(Shape::fingerprint).collect();
        let inner = Inner {
            fingerprints,
            definitions: self.definitions,
            store: self.sagas,
            outbox: self.outbox,
            locals: self.locals,
            observers: self.observers,
        };
        let inner = Arc::new(inner);
        Ok(Orchestrator { inner })
    }

    fn register(mut self, kind: &'static str, handler: Arc<dyn Erased<S::Connection>>) -> Self {
        self.locals.insert(kind, handler);
        self
    }
}

fn check_locals<C>(shape: &Shape, locals: &Locals<C>) -> Result<(), Error> {
    for step in shape.steps.iter().filter(|step| step.is_local) {
        for kind in [Some(step.kind), step.undo].into_iter().flatten() {
            if !locals.contains_key(kind) {
                let saga = shape.name;
                return Err(Error::NoLocalHandler { saga, kind });
            }
        }
    }
    Ok(())
}

impl<I, S: SagaStore, O, T> fmt::Debug for OrchestratorBuilder<I, S, O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut locals: Vec<_> = self.locals.keys().collect();
        locals.sort_unstable();
        f.debug_struct("OrchestratorBuilder")
            .field("definitions", &self.definitions)
            .field("locals", &locals)
            .finish_non_exhaustive()
    }
}
