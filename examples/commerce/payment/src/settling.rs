//! Calls the provider for due intents, and writes the outcomes.
//!
//! The call is outside of any transaction. If the process dies before it writes the outcome, the
//! next one calls again with the same effect key, and the provider answers with the first result.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use commerce_chassis::{
    Connection, Db, Entries, Journal, Progress, Remote, Result, Round, ServiceBuilder,
};
use commerce_contracts::{
    DeclineStage, Money, OrderId, PaymentAuthorized, PaymentCaptured, PaymentDeclined,
};
use futures_util::future::join_all;
use mainstay_database::Transactions;

use crate::{
    handlers::{payment_id, refunded},
    intent::{Kind, Question, Resolution, resolve},
    leased::Leased,
    payment::{Event, Status},
    psp::{Answer, Call},
    store::{self, Intent, Payment, Turn},
};

/// Intents in one round at most.
const SETTLED_TOGETHER: i64 = 256;
/// Pause before a call whose key another process has.
const BUSY: Duration = Duration::from_millis(200);
/// How long the provider holds money.
const HOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The round that settles intents.
#[derive(Debug)]
pub(crate) struct Settling<R> {
    db: Db,
    journal: Journal,
    provider: Leased<R>,
}

impl<R> Settling<R> {
    pub(crate) fn new(builder: &ServiceBuilder, provider: Leased<R>) -> Self {
        Self {
            db: builder.db().clone(),
            journal: builder.journal().clone(),
            provider,
        }
    }
}

#[async_trait]
impl<R: Remote<Call = Call, Answer = Option<Answer>>> Round for Settling<R> {
    async fn round(&self) -> Result<Progress> {
        let due = store::due(self.db.reader(), self.journal.now(), SETTLED_TOGETHER).await?;
        if due.is_empty() {
            let next = store::next_due(self.db.reader()).await?;
            return Ok(Progress::until(next, self.journal.now()));
        }
        let payments = {
            let orders: BTreeSet<&OrderId> = due.iter().map(|intent| &intent.order_id).collect();
            let mut reader = self
                .db
                .reader()
                .acquire()
                .await
                .map_err(commerce_chassis::sql)?;
            store::load(&mut reader, &orders).await?
        };
        let answers = join_all(due.iter().map(|intent| self.ask(intent, &payments))).await;
        let settled = due
            .into_iter()
            .zip(answers)
            .map(|(mut intent, (asked, resolution))| {
                let seen = std::mem::replace(&mut intent.asked, asked);
                (seen, intent, resolution)
            })
            .collect();
        self.write(settled).await?;
        Ok(Progress::More)
    }
}

impl<R: Remote<Call = Call, Answer = Option<Answer>>> Settling<R> {
    /// How often the operation was requested by now, and what follows; none = the payment's status
    /// needs no call.
    async fn ask(
        &self,
        intent: &Intent,
        payments: &HashMap<OrderId, Payment>,
    ) -> (i64, Option<Resolution>) {
        let asks = |payment: &&Payment| match intent.kind {
            Kind::Authorize => payment.status == Status::Requested,
            Kind::Capture | Kind::Void => payment.status == Status::Authorized,
        };
        let Some(payment) = payments.get(&intent.order_id).filter(asks) else {
            return (intent.asked, None);
        };
        let call = Call {
            question: intent.question,
            kind: intent.kind,
            effect_key: intent.effect_key.clone(),
            amount: payment.amount,
            currency: payment.currency,
            payment_method: payment.method.clone(),
            // The lease's token takes its place.
            fence: 0,
        };
        let Some(answer) = self.provider.call(call).await else {
            let again = Resolution::Again(intent.question, BUSY);
            return (intent.asked, Some(again));
        };
        let asked = intent.asked + i64::from(intent.question == Question::Ask);
        (asked, Some(resolve(intent.kind, asked, answer)))
    }

    async fn write(&self, settled: Vec<(i64, Intent, Option<Resolution>)>) -> Result<()> {
        let now = self.journal.now();
        let turns: Vec<Turn<'_>> = settled
            .iter()
            .map(|(seen, intent, resolution)| Turn {
                intent,
                seen: *seen,
                again: match resolution {
                    Some(Resolution::Again(question, after)) => {
                        let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
                        Some((*question, now.saturating_add(after)))
                    }
                    _ => None,
                },
            })
            .collect();
        let mut tx = self.db.begin().await?;
        let turned = store::turn(&mut tx, &turns).await?;
        let outcomes: Vec<_> = settled
            .iter()
            .filter(|(_, intent, resolution)| {
                turned.contains(&intent.effect_key)
                    && !matches!(resolution, Some(Resolution::Again(..)))
            })
            .map(|(_, intent, resolution)| (intent, resolution.as_ref()))
            .collect();
        if !outcomes.is_empty() {
            self.write_outcomes(&mut tx, &outcomes, now).await?;
        }
        self.db.commit(tx).await?;
        Ok(())
    }

    async fn write_outcomes(
        &self,
        tx: &mut Connection,
        outcomes: &[(&Intent, Option<&Resolution>)],
        now: i64,
    ) -> Result<()> {
        let orders: BTreeSet<&OrderId> = outcomes.iter().map(|(i, _)| &i.order_id).collect();
        let mut payments = store::load(tx, &orders).await?;
        let mut entries = self.journal.entries();
        let mut booked = Vec::new();
        for (intent, resolution) in outcomes {
            let Some(payment) = payments.get_mut(&intent.order_id) else {
                continue;
            };
            let happened = match (intent.kind, resolution) {
                (_, None) => None,
                (Kind::Authorize, Some(Resolution::Done(_))) => Some(Event::Authorized),
                (Kind::Authorize, _) => Some(Event::Declined),
                (Kind::Capture, Some(Resolution::Done(_))) => Some(Event::Captured),
                (Kind::Void, Some(Resolution::Done(_))) => Some(Event::Voided),
                (Kind::Capture | Kind::Void, _) => None,
            };
            if let Some(event) = happened {
                match payment.status.after(event) {
                    Ok(status) => payment.status = status,
                    Err(illegal) => {
                        tracing::warn!(%illegal, order = %intent.order_id, "the outcome does not fit the payment; it is skipped");
                        continue;
                    }
                }
                if event == Event::Authorized
                    && let Some(Resolution::Done(reference)) = resolution
                {
                    payment.provider_ref = Some(reference.clone());
                }
                if event != Event::Declined {
                    booked.push(*intent);
                }
            }
            emit(&mut entries, intent, payment, *resolution, now)?;
        }
        let saved: Vec<&Payment> = payments.values().collect();
        store::save(tx, &saved, now).await?;
        let booked: Vec<_> = booked
            .iter()
            .filter_map(|intent| Some((*intent, payments.get(&intent.order_id)?)))
            .collect();
        if !booked.is_empty() {
            store::book(tx, &booked, now).await?;
        }
        entries.write(tx).await
    }
}

/// Emits the event about an outcome, if there is one.
fn emit(
    entries: &mut Entries<'_>,
    intent: &Intent,
    payment: &mut Payment,
    resolution: Option<&Resolution>,
    now: i64,
) -> Result<()> {
    let (order_id, cause) = (payment.order_id.clone(), intent.cause());
    let payment_id = payment_id(&order_id);
    let (aggregate, emitted) = (payment_id.clone(), &mut payment.emitted);
    let hold = i64::try_from(HOLD.as_micros()).unwrap_or(i64::MAX);
    match (intent.kind, resolution) {
        (Kind::Authorize, Some(Resolution::Done(reference))) => {
            let authorized = PaymentAuthorized {
                payment_id,
                order_id,
                amount_minor: payment.amount,
                currency: payment.currency,
                provider: "psp".to_owned(),
                provider_ref: reference.clone(),
                auth_expires_at: now.saturating_add(hold),
            };
            entries.emit(aggregate, emitted, &authorized, cause)
        }
        (Kind::Capture, Some(Resolution::Done(reference))) => {
            let captured = PaymentCaptured {
                payment_id,
                order_id,
                capture_id: reference.clone(),
                amount_minor: payment.amount,
                cumulative_captured_minor: payment.amount,
            };
            entries.emit(aggregate, emitted, &captured, cause)
        }
        (Kind::Authorize | Kind::Capture, Some(Resolution::Refused(code))) => {
            let declined = PaymentDeclined {
                payment_id,
                order_id,
                stage: if intent.kind == Kind::Authorize {
                    DeclineStage::Authorize
                } else {
                    DeclineStage::Capture
                },
                code: (*code).to_owned(),
                retryable: false,
                attempt: u32::try_from(intent.asked).unwrap_or(u32::MAX),
            };
            entries.emit(aggregate, emitted, &declined, cause)
        }
        (Kind::Void, resolution) => {
            let amount = if resolution.is_some() {
                payment.amount
            } else {
                Money::ZERO
            };
            let refunded = refunded(payment, amount, "order_cancelled");
            entries.emit(aggregate, &mut payment.emitted, &refunded, cause)
        }
        _ => Ok(()),
    }
}
