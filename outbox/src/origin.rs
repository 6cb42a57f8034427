//! What the messages of one outbox have in common.

use std::sync::Arc;

use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_messaging::{Cause, Message, MessageId, Source, event::AnyEvent};

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

    /// Makes a message of `event`, with the trace and ids of the [`Cause`] of the work in progress.
    ///
    /// # Errors
    /// [`Error::NoSource`], and [`Error::Event`] when the event names an invalid topic or key, or
    /// does not serialise.
    pub fn message(&self, event: &dyn AnyEvent) -> Result<Message, Error> {
        let source = self.source.clone().ok_or(Error::NoSource)?;
        let made = Message::builder()
            .source(source)
            .event(event)
            .id(MessageId::minted_by(&self.ids))
            .occurred_at(self.clock.now())
            .build();
        let mut message = made.map_err(Error::Event)?;
        Cause::mark(&mut message);
        Ok(message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_messaging::Event;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Placed;

    impl Event for Placed {
        const TOPIC: &'static str = "orders";
        const KIND: &'static str = "Placed";
    }

    #[tokio::test]
    async fn an_event_has_the_trace_of_the_work_that_emits_it() {
        let source = Source::new("/shop").unwrap();
        let origin = Origin::new(
            Some(source),
            Arc::new(SystemClock::new()),
            Arc::new(SystemIds::new()),
        );
        let emitted = Cause::traced("trace").scope(async { origin.message(&Placed) });
        assert_eq!(emitted.await.unwrap().traceparent.as_deref(), Some("trace"));
        assert_eq!(origin.message(&Placed).unwrap().traceparent, None);
    }
}
