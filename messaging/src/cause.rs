//! What the work in progress is caused by, for the messages that it makes.

use std::{cell::RefCell, future::poll_fn, mem, pin::pin, sync::Arc};

use crate::{Message, MessageId};

thread_local! {
    /// Set while a future within [`Cause::scope`] is polled.
    static CURRENT: RefCell<Cause> = const { RefCell::new(Cause(None)) };
}

/// The request or message that the work in progress is caused by. The default names none.
///
/// A worker calls each handler of single events within the cause of its message. An outbox gives the
/// events that are emitted within a cause its trace, correlation id and causation id; messages that are
/// enqueued as they are stay as they are. **A batch handler has no cause**, since it has several messages:
/// use `Cause::of(&received.message).scope(…)` for each.
///
/// ```
/// use mainstay_messaging::{Cause, Message};
///
/// # async fn run() -> Result<(), mainstay_messaging::Error> {
/// let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let request = Cause::traced(trace);
/// let made = request.scope(async {
///     let mut message = Message::builder().topic("orders").kind("Placed").source("/orders").build()?;
///     Cause::mark(&mut message);
///     Ok::<_, mainstay_messaging::Error>(message)
/// });
/// assert_eq!(made.await?.traceparent.as_deref(), Some(trace));
/// # Ok(())
/// # }
/// ```
///
/// A spawned task has no cause: take [`current`](Self::current) along.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Cause(Option<Arc<Parts>>);

#[derive(PartialEq, Eq, Debug)]
struct Parts {
    traceparent: Option<String>,
    correlation_id: Option<String>,
    message: Option<MessageId>,
}

impl Cause {
    /// A request with a W3C trace context.
    pub fn traced(traceparent: impl Into<String>) -> Self {
        Self(Some(Arc::new(Parts {
            traceparent: Some(traceparent.into()),
            correlation_id: None,
            message: None,
        })))
    }

    /// A message. Its effects have its trace, its id as their causation id, and its correlation id; a
    /// message without one is correlated by its id.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self(Some(Arc::new(Parts {
            traceparent: message.traceparent.clone(),
            correlation_id: message.correlation_id.clone(),
            message: Some(message.id.clone()),
        })))
    }

    /// The cause of the work in progress.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The W3C trace context.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.0.as_ref()?.traceparent.as_deref()
    }

    /// Does `work`. While it is polled, [`current`](Self::current) is this cause; a scope within a scope
    /// hides the outer one.
    ///
    /// # Cancel safety
    /// That of `work`.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut held = self;
        poll_fn(|context| {
            let _entered = Entered::swap(&mut held);
            work.as_mut().poll(context)
        })
        .await
    }

    /// Gives a message the trace, correlation id and causation id of the work in progress, where it has
    /// none of its own.
    pub fn mark(message: &mut Message) {
        let Self(Some(parts)) = Self::current() else {
            return;
        };
        let id = parts.message.as_ref().map(MessageId::as_str);
        let correlation_id = parts.correlation_id.as_deref().or(id);
        let fill = |own: &mut Option<String>, cause: Option<&str>| {
            if own.is_none() {
                *own = cause.map(str::to_owned);
            }
        };
        fill(&mut message.traceparent, parts.traceparent.as_deref());
        fill(&mut message.correlation_id, correlation_id);
        fill(&mut message.causation_id, id);
    }
}

/// Swaps the cause in, and out again when it is dropped, even by a panic.
struct Entered<'h>(&'h mut Cause);

impl<'h> Entered<'h> {
    fn swap(held: &'h mut Cause) -> Self {
        CURRENT.with_borrow_mut(|current| mem::swap(current, held));
        Self(held)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| mem::swap(current, self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use futures_util::{FutureExt as _, join};

    use super::*;

    fn message() -> Message {
        let built = Message::builder().topic("t").kind("K").source("/s");
        built.build().unwrap()
    }

    async fn trace() -> Option<String> {
        let before = Cause::current();
        tokio::task::yield_now().await;
        assert_eq!(Cause::current(), before);
        before.traceparent().map(str::to_owned)
    }

    #[tokio::test]
    async fn work_has_its_own_cause_across_every_await() {
        let (first, second, none) = join!(
            Cause::traced("first").scope(async {
                let within = Cause::traced("within").scope(trace()).await;
                (within, trace().await)
            }),
            Cause::traced("second").scope(trace()),
            trace(),
        );
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(first, (some("within"), some("first")));
        assert_eq!((second, none), (some("second"), None));
        let panicking = Cause::traced("lost").scope(async { panic!("on purpose") });
        let ended = catch_unwind(AssertUnwindSafe(|| panicking.now_or_never()));
        assert!(ended.is_err());
        assert_eq!(Cause::current(), Cause::default());
    }

    #[tokio::test]
    async fn a_message_gets_what_it_does_not_have() {
        let mut cause = message();
        cause.traceparent = Some("trace".to_owned());
        let mut own = message();
        own.correlation_id = Some("own".to_owned());
        let own = Cause::of(&cause).scope(async {
            Cause::mark(&mut own);
            own
        });
        let own = own.await;
        assert_eq!(own.traceparent.as_deref(), Some("trace"));
        assert_eq!(own.correlation_id.as_deref(), Some("own"));
        assert_eq!(own.causation_id.as_deref(), Some(cause.id.as_str()));

        let mut outside = message();
        Cause::mark(&mut outside);
        assert_eq!(outside.causation_id, None);
    }
}
