//! Calls the provider for one effect at a time, whichever process asks.
//!
//! An effect at the provider cannot commit with a row of ours. Its key is under a lease, and the
//! provider is told the key, so that asking twice is one effect, and the lease's fencing token, so
//! that a process that stood still past its lease is refused.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use commerce_chassis::{Leases, Remote, call_leases};
use mainstay_idempotency::{
    Answer as Kept, InvalidKey, KeyedRequest, OperationError, Operations, Outcome, Scope, Settled,
};

use crate::psp::{Answer, Call};

/// A call of the provider, made when it is polled.
pub(crate) type ProviderCall = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

/// The provider behind leases.
pub(crate) struct Leased<R> {
    provider: Arc<R>,
    operations: Operations<Leases>,
}

impl<R: Remote<Call = Call, Answer = Option<Answer>>> Leased<R> {
    pub(crate) fn new(provider: R, leases: Leases) -> Self {
        Self {
            provider: Arc::new(provider),
            operations: call_leases(leases),
        }
    }

    /// Runs `work` under the lease of the effect. `work` may decide not to call. What it writes is
    /// visible before another process gets the lease.
    ///
    /// None: nothing was done. `work` did not call, another process holds the lease, the provider
    /// refused the fencing token, or the leases cannot be reached. Call again later.
    pub(crate) async fn call<W, F>(&self, call: Call, work: W) -> Option<Answer>
    where
        W: FnOnce(ProviderCall) -> F + Send + 'static,
        F: Future<Output = Option<Answer>> + Send,
    {
        let key = call.effect_key.clone();
        let request = match request(&call) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(%error, key, "the provider cannot be asked for an effect");
                return None;
            }
        };
        let (provider, asked) = (Arc::clone(&self.provider), Arc::new(AtomicBool::new(false)));
        let asks = Arc::clone(&asked);
        let outcome = self.operations.run(request, move |lease| async move {
            let fence = i64::try_from(lease.token().get()).unwrap_or(i64::MAX);
            let calling = async move {
                asks.store(true, Ordering::Relaxed);
                provider.call(Call { fence, ..call }).await
            };
            let answer = work(Box::pin(calling)).await;
            // What may change is not kept: the next call asks the provider again.
            match answer.as_ref().filter(|answer| answer.is_final()) {
                Some(answer) => Kept::json(200_u16, answer).map_err(|_| Some(Answer::Silence)),
                None => Err(answer),
            }
        });
        match outcome.await {
            Ok(Outcome::Fresh(kept) | Outcome::Settled(Settled::Done(kept))) => {
                // An answer that cannot be read is a lost one: look it up.
                Some(kept.read().ok().flatten().unwrap_or(Answer::Silence))
            }
            Ok(Outcome::Settled(settled)) => {
                tracing::debug!(?settled, key, "another process calls the provider");
                None
            }
            Err(OperationError::Work(answer)) => answer,
            Err(failed) => {
                tracing::warn!(
                    ?failed,
                    key,
                    "the lease of a call to the provider was not to be had, or was lost"
                );
                asked.load(Ordering::Relaxed).then_some(Answer::Silence)
            }
        }
    }
}

/// A request and a look-up of one effect are one key, and never overlap.
fn request(call: &Call) -> Result<KeyedRequest, InvalidKey> {
    let key = Scope::single_tenant("psp")?.key(&call.effect_key)?;
    let content = format!(
        "{} {} {} {}",
        call.kind.name(),
        call.amount.minor(),
        call.currency.code(),
        call.payment_method
    );
    Ok(KeyedRequest::new(key, content))
}

impl<R> fmt::Debug for Leased<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use async_trait::async_trait;
    use commerce_contracts::{Currency, Money, OrderId};
    use mainstay_idempotency::MemoryLeases;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::intent::{Kind, Question};

    /// A provider that answers when it is told to.
    struct Slow {
        answers: Mutex<Vec<Answer>>,
        fences: Mutex<Vec<i64>>,
        may_answer: Semaphore,
    }

    #[async_trait]
    impl Remote for &'static Slow {
        type Call = Call;
        type Answer = Option<Answer>;

        async fn call(&self, call: Call) -> Option<Answer> {
            self.fences.lock().unwrap().push(call.fence);
            self.may_answer.acquire().await.unwrap().forget();
            self.answers.lock().unwrap().pop()
        }
    }

    fn slow(answers: &[Answer]) -> &'static Slow {
        Box::leak(Box::new(Slow {
            answers: Mutex::new(answers.iter().rev().cloned().collect()),
            fences: Mutex::default(),
            may_answer: Semaphore::new(0),
        }))
    }

    fn done() -> Answer {
        Answer::Done {
            reference: "r".to_owned(),
            amount: Money::ZERO,
        }
    }

    fn call(question: Question) -> Call {
        Call {
            question,
            kind: Kind::Authorize,
            effect_key: "run:authorize:1".to_owned(),
            order_id: OrderId::new("order"),
            amount: Money::from_minor(700).unwrap(),
            currency: Currency::Eur,
            payment_method: "pm_ok".to_owned(),
            fence: 0,
        }
    }

    /// Work that always calls.
    async fn ask(call: ProviderCall) -> Option<Answer> {
        call.await
    }

    #[tokio::test]
    async fn the_provider_is_asked_for_an_effect_by_one_process_at_a_time() {
        let (done, leases) = (done(), Arc::new(MemoryLeases::new()) as Leases);
        let provider = slow(&[Answer::Silence, done.clone()]);
        let first = Leased::new(provider, Arc::clone(&leases));
        let second = Leased::new(provider, leases);
        let asking = tokio::spawn(async move { first.call(call(Question::Ask), ask).await });
        while provider.fences.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let busy = second.call(call(Question::Ask), ask);
        let busy = tokio::time::timeout(Duration::from_secs(60), busy).await;
        assert_eq!(busy.unwrap(), None);
        provider.may_answer.add_permits(2);
        assert_eq!(asking.await.unwrap(), Some(Answer::Silence));

        // Work that decides not to call leaves the provider alone.
        let not_called = second.call(call(Question::Ask), async |_| None).await;
        assert_eq!(not_called, None);

        // A lost answer frees the key, and a final one is given again without a call.
        for _ in 0..3 {
            let answer = second.call(call(Question::LookUp), ask).await;
            assert_eq!(answer, Some(done.clone()));
        }
        let fences = provider.fences.lock().unwrap().clone();
        assert_eq!(fences.len(), 2);
        assert!(fences[0] < fences[1], "{fences:?}");
    }

    #[tokio::test]
    async fn another_effect_under_the_same_key_is_not_asked_for() {
        let provider = slow(&[done()]);
        provider.may_answer.add_permits(9);
        let leased = Leased::new(provider, Arc::new(MemoryLeases::new()));
        assert!(leased.call(call(Question::Ask), ask).await.is_some());
        let other = Call {
            amount: Money::from_minor(7_000).unwrap(),
            ..call(Question::Ask)
        };
        assert_eq!(leased.call(other, ask).await, None);
        assert_eq!(provider.fences.lock().unwrap().len(), 1);
    }
}
