//! Calls the provider for due intents, and has the outcomes written.
//!
//! The call is outside of any transaction. If the process dies before it writes the outcome, the
//! next one calls again with the same effect key, and the provider answers with the first result.

use std::time::Duration;

use async_trait::async_trait;
use commerce_chassis::{Progress, Remote, Result, Round};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use mainstay_database::Transactions as _;

use crate::{
    intent::{Question, Resolution, resolve},
    leased::{Leased, ProviderCall},
    outcome::{Books, Written},
    psp::{Answer, Call},
    store::{self, Intent},
};

/// Intents in one round at most.
const DUE_AT_ONCE: i64 = 256;
/// Intents that are settled at the same time.
const CONCURRENT: usize = 32;
/// Pause before a call whose key another process has.
const BUSY: Duration = Duration::from_millis(200);
/// Pause before an intent whose outcome cannot be written is tried again.
const BROKEN: Duration = Duration::from_secs(60);

/// The round that settles intents.
#[derive(Debug)]
pub(crate) struct Settling<R> {
    pub(crate) books: Books,
    pub(crate) provider: Leased<R>,
}

#[async_trait]
impl<R: Remote<Call = Call, Answer = Option<Answer>>> Round for Settling<R> {
    async fn round(&self) -> Result<Progress> {
        let now = self.books.desk.now();
        let due = store::due(self.books.db.reader(), now, DUE_AT_ONCE).await?;
        if due.is_empty() {
            let next = store::next_due(self.books.db.reader()).await?;
            return Ok(Progress::until(next, now));
        }
        let settled: Vec<Result<()>> = stream::iter(due)
            .map(|intent| self.settle(intent))
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        settled.into_iter().collect::<Result<()>>()?;
        Ok(Progress::More)
    }
}

impl<R: Remote<Call = Call, Answer = Option<Answer>>> Settling<R> {
    /// Writes in a transaction of its own. One for all settled only a fifth more on SQLite,
    /// probably because the provider commits each call.
    pub(crate) async fn settle(&self, intent: Intent) -> Result<()> {
        let again = async |calls, question, after| {
            call_again(&self.books, &intent, calls, question, after).await
        };
        let asking = ask_if_current(self.books.clone(), intent.clone());
        let Some(answer) = self.provider.call(call(&intent), asking).await else {
            return again(intent.calls, intent.question, BUSY).await;
        };
        let calls = intent.calls + 1;
        let outcome = match resolve(intent.kind, calls, answer) {
            Resolution::Settled(outcome) => outcome,
            Resolution::Again(question, after) => return again(calls, question, after).await,
        };
        match self.books.write(&intent, outcome).await {
            // It stops no other payment.
            Err(error) if !error.is_retryable() => {
                let key = &intent.effect_key;
                tracing::error!(%error, key, "the outcome of a call to the provider cannot be written; it is tried again in a minute");
                again(intent.calls, intent.question, BROKEN).await
            }
            Ok(Written::WrongAmount) => {
                let key = &intent.effect_key;
                tracing::error!(
                    key,
                    "the provider did another amount than we asked for: compare its books; it is asked again in a minute"
                );
                again(intent.calls, intent.question, BROKEN).await
            }
            // An undo withdrew the intent, or another process or a webhook was faster.
            written => written.map(|_| ()),
        }
    }
}

/// Asks the provider under the lease, if the intent has not changed since it was read. Writes the next
/// call before the lease is released: otherwise another process would repeat the request.
fn ask_if_current(
    books: Books,
    intent: Intent,
) -> impl FnOnce(ProviderCall) -> BoxFuture<'static, Option<Answer>> + Send {
    move |call| {
        let asking = async move {
            let key = &intent.effect_key;
            let calls = store::calls(books.db.reader(), key).await;
            let calls = calls.inspect_err(|error| {
                tracing::warn!(%error, key, "an intent could not be read; the provider is not asked");
            });
            if calls.ok()? != Some(intent.calls) {
                return None;
            }
            let (answer, calls) = (call.await?, intent.calls + 1);
            let next = resolve(intent.kind, calls, answer.clone());
            if let Resolution::Again(question, after) = next
                && let Err(error) = call_again(&books, &intent, calls, question, after).await
            {
                // The caller writes it again.
                tracing::warn!(%error, key, "the next call could not be written under the lease; another process may repeat this one");
            }
            Some(answer)
        };
        asking.boxed()
    }
}

/// Writes when to call again, unless the intent changed since it was read.
async fn call_again(
    books: &Books,
    intent: &Intent,
    calls: i64,
    question: Question,
    after: Duration,
) -> Result<()> {
    let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
    let due_at = books.desk.now().saturating_add(after);
    let mut tx = books.db.begin().await?;
    store::call_again(&mut tx, intent, calls, question, due_at).await?;
    Ok(books.db.commit(tx).await?)
}

fn call(intent: &Intent) -> Call {
    Call {
        question: intent.question,
        kind: intent.kind,
        effect_key: intent.effect_key.clone(),
        order_id: intent.order_id.clone(),
        amount: intent.amount,
        currency: intent.currency,
        payment_method: intent.method.clone(),
        // The lease's token takes its place.
        fence: 0,
    }
}
