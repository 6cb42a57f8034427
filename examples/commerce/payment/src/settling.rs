//! Calls the provider for due intents, and writes the outcomes.
//!
//! The call is outside of any transaction. If the process dies before it writes the outcome, the
//! next one calls again with the same effect key, and the provider answers with the first result.

use std::{slice, time::Duration};

use async_trait::async_trait;
use commerce_chassis::{Connection, Db, Error, Progress, Remote, Result, Round};
use commerce_contracts::{
    AuthorizePayment, CapturePayment, DeclineStage, Money, PaymentDeclined, RefundKind,
};
use futures_util::{StreamExt as _, stream};
use mainstay_database::Transactions;
use mainstay_saga::{Task, UndoTask};
use serde::de::DeserializeOwned;

use crate::{
    handlers::Desk,
    intent::{Kind, Outcome, Question, Resolution, resolve},
    leased::Leased,
    payment::{Event, Payment, declined, returned},
    psp::{Answer, Call},
    store::{self, Intent},
};

/// Intents in one round at most.
const DUE_AT_ONCE: i64 = 256;
/// Calls at the same time.
const CONCURRENT: usize = 32;
/// Pause before a call whose key another process has.
const BUSY: Duration = Duration::from_millis(200);
/// Pause before an intent whose outcome cannot be written is tried again.
const BROKEN: Duration = Duration::from_secs(60);

/// The round that settles intents.
#[derive(Debug)]
pub(crate) struct Settling<R> {
    pub(crate) db: Db,
    pub(crate) desk: Desk,
    pub(crate) provider: Leased<R>,
}

#[async_trait]
impl<R: Remote<Call = Call, Answer = Option<Answer>>> Round for Settling<R> {
    async fn round(&self) -> Result<Progress> {
        let now = self.desk.now();
        let due = store::due(self.db.reader(), now, DUE_AT_ONCE).await?;
        if due.is_empty() {
            let next = store::next_due(self.db.reader()).await?;
            return Ok(Progress::until(next, now));
        }
        let answered: Vec<Answered> = stream::iter(due)
            .map(|intent| self.ask(intent))
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        self.settle(&answered).await?;
        Ok(Progress::More)
    }
}

/// What the provider said to an intent; none: it was not asked.
struct Answered {
    intent: Intent,
    answer: Option<Answer>,
}

impl<R: Remote<Call = Call, Answer = Option<Answer>>> Settling<R> {
    async fn ask(&self, intent: Intent) -> Answered {
        let answer = self.provider.call(call(&intent)).await;
        Answered { intent, answer }
    }

    /// Writes all answers in one transaction, since each commit is a sync of the disk. If that
    /// fails, each gets its own, so that one that cannot be written stops no other payment.
    async fn settle(&self, answered: &[Answered]) -> Result<()> {
        match self.settle_together(answered).await {
            Err(error) if !error.is_retryable() => {}
            settled => return settled,
        }
        for answered in answered {
            let intent = &answered.intent;
            match self.settle_together(slice::from_ref(answered)).await {
                Err(error) if !error.is_retryable() => {
                    let key = &intent.effect_key;
                    tracing::error!(%error, key, "the outcome of a call to the provider cannot be written; it is tried again in a minute");
                    let mut tx = self.db.begin().await?;
                    self.call_again(&mut tx, intent, intent.calls, intent.question, BROKEN)
                        .await?;
                    self.db.commit(tx).await?;
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    async fn settle_together(&self, answered: &[Answered]) -> Result<()> {
        let mut tx = self.db.begin().await?;
        for Answered { intent, answer } in answered {
            self.settle_one(&mut tx, intent, answer.clone()).await?;
        }
        Ok(self.db.commit(tx).await?)
    }

    async fn settle_one(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        answer: Option<Answer>,
    ) -> Result<()> {
        let Some(answer) = answer else {
            return self
                .call_again(tx, intent, intent.calls, intent.question, BUSY)
                .await;
        };
        let calls = intent.calls + 1;
        match resolve(intent.kind, calls, answer) {
            Resolution::Settled(outcome) => self.write(tx, intent, outcome).await,
            Resolution::Again(question, after) => {
                self.call_again(tx, intent, calls, question, after).await
            }
        }
    }

    async fn call_again(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        calls: i64,
        question: Question,
        after: Duration,
    ) -> Result<()> {
        let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        let due_at = self.desk.now().saturating_add(after);
        store::call_again(tx, intent, calls, question, due_at).await
    }

    /// Writes the outcome, its ledger entries and the answer to the saga.
    async fn write(&self, tx: &mut Connection, intent: &Intent, outcome: Outcome) -> Result<()> {
        // Lock the payment before its intent, as the handlers do.
        let payment = store::find(tx, &intent.order_id).await?;
        if !store::close(tx, intent).await? {
            return Ok(());
        }
        let payment = payment.ok_or(Error::Changed { what: "a payment" })?;
        match outcome {
            Outcome::Done { reference, amount } => {
                self.done(tx, intent, payment, reference, amount).await
            }
            Outcome::Refused(stage, code) => self.refused(tx, intent, payment, stage, code).await,
        }
    }

    async fn done(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        mut payment: Payment,
        reference: String,
        amount: Money,
    ) -> Result<()> {
        let (kit, now) = (&self.desk.kit, self.desk.now());
        // We never booked a hold that the provider had done, but not answered, before its void.
        let is_booked = intent.kind != Kind::Void || payment.provider_ref.is_some();
        let event = match intent.kind {
            Kind::Authorize => {
                let authorized = payment.authorized(reference.clone(), now);
                payment.provider_ref = Some(reference);
                let task: Task<AuthorizePayment> = task(intent)?;
                kit.done(tx, &task, &authorized).await?;
                Event::Authorized
            }
            Kind::Capture => {
                let task: Task<CapturePayment> = task(intent)?;
                kit.done(tx, &task, &payment.captured(reference)).await?;
                Event::Captured
            }
            Kind::Void | Kind::Refund => {
                let kind = match intent.kind {
                    Kind::Refund => RefundKind::Refund,
                    _ => RefundKind::Void,
                };
                let returned = returned(intent.order_id.clone(), reference, kind, amount);
                let task: UndoTask<AuthorizePayment> = task(intent)?;
                kit.undone(tx, &task, &returned).await?;
                Event::Returned
            }
        };
        if is_booked {
            store::book(tx, intent, &payment, now).await?;
        }
        self.change(tx, payment, event, now).await
    }

    async fn refused(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        payment: Payment,
        stage: DeclineStage,
        code: &str,
    ) -> Result<()> {
        let kit = &self.desk.kit;
        let declined: PaymentDeclined =
            declined(intent.order_id.clone(), stage, code, payment.attempts);
        match stage {
            DeclineStage::Authorize => {
                let task: Task<AuthorizePayment> = task(intent)?;
                kit.refused(tx, &task, &declined).await?;
            }
            DeclineStage::Capture => {
                let task: Task<CapturePayment> = task(intent)?;
                kit.refused(tx, &task, &declined).await?;
            }
        }
        self.change(tx, payment, Event::Declined, self.desk.now())
            .await
    }

    async fn change(
        &self,
        tx: &mut Connection,
        mut payment: Payment,
        event: Event,
        now: i64,
    ) -> Result<()> {
        let status = payment.status.after(event);
        payment.status = status.map_err(|illegal| Error::damaged("a stored payment", illegal))?;
        store::save(tx, &payment, now).await
    }
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

fn task<T: DeserializeOwned>(intent: &Intent) -> Result<T> {
    serde_json::from_str(&intent.task).map_err(|error| Error::damaged("a stored task", error))
}
