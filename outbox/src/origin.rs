//! What the messages of one outbox have in common.

use std::sync::Arc;

use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_messaging::{Message, MessageId, Source, event::AnyEvent};

use crate::Error;

/// Source, clock and ids of the messages that an outbox makes of events.
#[derive(Clone, Debug)]
pub struct Origin {
    source: Option<Source>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl Origin {
    /// An origin with this source, clock and ids. Events need a source; messages bring their own.
    #[must_use]
    pub fn new(source: Option<Source>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        Self { source, clock, ids }
    }

    /// The source.
    #[must_use]
    pub const fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The ids.
    #[must_use]
    pub const fn ids(&self) -> &Arc<dyn IdGenerator> {
        &self.ids
    }

    /// Makes a message of `event`.
    ///
    /// # Errors
    /// [`Error::NoSource`], and [`Error::Event`] when the event names an invalid topic or key, or
    /// does not serialise.
    pub fn message(&self, event: &dyn AnyEvent) -> Result<Message, Error> {
        let source = self.source.clone().ok_or(Error::NoSource)?;
        Message::builder()
            .source(source)
            .event(event)
            .id(MessageId::minted_by(&self.ids))
            .occurred_at(self.clock.now())
            .build()
            .map_err(Error::Event)
    }
}

/// No source, and the system's clock and ids.
impl Default for Origin {
    fn default() -> Self {
        Self::new(
            None,
            Arc::new(SystemClock::new()),
            Arc::new(SystemIds::new()),
        )
    }
}
