//! Handlers by the kind of event they take.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use mainstay_messaging::{Delivery, Message, broker::Content};

use super::{
    registered::{AnyEvent, Registered},
    unreadable::{DecodingPanicked, NoHandler, NotAMessage, panic_text},
};
use crate::Error;

type Reason = Arc<dyn std::error::Error + Send + Sync>;

/// The handlers, without the state that further ones would get.
pub(crate) struct Registry<C> {
    by_kind: BTreeMap<&'static str, Arc<dyn Registered<C>>>,
    twice: Option<&'static str>,
}

/// An event that was decoded, and the handler that gets it.
pub(crate) struct Decoded<C> {
    pub(crate) handler: Arc<dyn Registered<C>>,
    pub(crate) event: AnyEvent,
}

impl<C> Registry<C> {
    pub(super) fn new() -> Self {
        Self {
            by_kind: BTreeMap::new(),
            twice: None,
        }
    }

    pub(super) fn insert(&mut self, kind: &'static str, handler: Arc<dyn Registered<C>>) {
        if self.by_kind.insert(kind, handler).is_some() {
            self.twice = Some(kind);
        }
    }

    pub(super) fn merge(&mut self, others: Self) {
        self.twice = self.twice.or(others.twice);
        for (kind, handler) in others.by_kind {
            self.insert(kind, handler);
        }
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.by_kind.keys().copied().collect()
    }

    pub(crate) const fn check(&self) -> Result<(), Error> {
        match self.twice {
            Some(kind) => Err(Error::TwoHandlers { kind }),
            None => Ok(()),
        }
    }

    /// Whether messages of this kind have a handler.
    pub(crate) fn takes(&self, message: &Message) -> bool {
        self.by_kind.contains_key(message.kind.as_str())
    }

    /// Decodes the event in `delivery`. Upcasters and `Deserialize` are the user's code, so they
    /// may panic.
    pub(crate) fn read(&self, delivery: &Delivery) -> Result<Decoded<C>, Reason> {
        let message = match &delivery.content {
            Content::Raw(raw) => return Err(Arc::new(NotAMessage(raw.reason.clone()))),
            Content::Message(message) => message,
        };
        let Some(handler) = self.by_kind.get(message.kind.as_str()) else {
            return Err(Arc::new(NoHandler(message.kind.to_string())));
        };
        match catch_unwind(AssertUnwindSafe(|| handler.decode(message))) {
            Ok(Ok(event)) => Ok(Decoded {
                handler: Arc::clone(handler),
                event,
            }),
            Ok(Err(error)) => Err(Arc::new(error)),
            Err(payload) => Err(Arc::new(DecodingPanicked(panic_text(&*payload)))),
        }
    }
}

impl<C> Clone for Registry<C> {
    fn clone(&self) -> Self {
        Self {
            by_kind: self.by_kind.clone(),
            twice: self.twice,
        }
    }
}
