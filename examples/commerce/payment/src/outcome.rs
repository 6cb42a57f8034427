//! Writes what came of an operation at the provider: the payment, its ledger entries and the answer,
//! in one transaction. Whoever tells first wins: the answer to a call, or the provider's webhook.

use commerce_chassis::{Connection, Db, Error, Result};
use commerce_contracts::{
    AuthorizePayment, CapturePayment, DeclineStage, Money, PaymentDeclined, PaymentRefunded,
    RefundKind,
};
use mainstay_database::Transactions as _;
use mainstay_outbox::Outbox as _;
use mainstay_saga::{Task, UndoTask};
use serde::de::DeserializeOwned;

use crate::{
    handlers::Desk,
    intent::{Kind, Outcome, Resolution, resolve},
    payment::{AUTH_EXPIRED, Event, NO_ANSWER, ORDER_CANCELLED, Payment, declined, returned},
    psp::Answer,
    refund,
    store::{self, Intent},
};

/// How often a webhook is written again that met an answer to a call.
const MEETINGS: u32 = 8;

/// What the effect key of a renewal adds to that of its capture.
const RENEWAL: &str = ":renewal";

/// The books, in which outcomes are written.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    pub(crate) db: Db,
    pub(crate) desk: Desk,
}

/// What became of a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Settled,
    /// The operation was settled before, or it is none of ours, or nothing follows.
    Nothing,
    /// It names another amount than we asked for.
    WrongAmount,
}

/// What became of an outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    Settled,
    /// The intent has changed or was settled since it was read.
    Changed,
    /// The provider did it with another amount than we asked for.
    WrongAmount,
}

impl Books {
    /// Takes what the provider tells of the operation with an effect key. The intent is the guard:
    /// only the first outcome finds it.
    pub(crate) async fn tell(&self, effect_key: &str, answer: &Answer) -> Result<Told> {
        for _ in 0..MEETINGS {
            let Some(intent) = store::intent(self.db.reader(), effect_key).await? else {
                return Ok(Told::Nothing);
            };
            let resolution = resolve(intent.kind, intent.calls, answer.clone());
            let Resolution::Settled(outcome) = resolution else {
                return Ok(Told::Nothing);
            };
            match self.write(&intent, outcome).await? {
                Written::Settled => return Ok(Told::Settled),
                Written::WrongAmount => return Ok(Told::WrongAmount),
                Written::Changed => {}
            }
        }
        Err(Error::Changed { what: "an intent" })
    }

    /// Writes an outcome, or nothing.
    pub(crate) async fn write(&self, intent: &Intent, outcome: Outcome) -> Result<Written> {
        if let Outcome::Done { amount, .. } = &outcome {
            // A void releases what there is.
            let is_exact = intent.kind != Kind::Void;
            if *amount > intent.amount || (is_exact && *amount != intent.amount) {
                return Ok(Written::WrongAmount);
            }
        }
        let mut tx = self.db.begin().await?;
        // Lock the payment before its intent, as the handlers do.
        let payment = store::find(&mut tx, &intent.order_id).await?;
        if !store::close(&mut tx, intent).await? {
            return Ok(Written::Changed);
        }
        let mut payment = payment.ok_or(Error::Changed { what: "a payment" })?;
        let event = match outcome {
            Outcome::Done { reference, amount } => match intent.kind {
                Kind::Reauthorize => self.renewed(&mut tx, intent, &mut payment, reference).await,
                Kind::Authorize | Kind::Capture => {
                    self.taken(&mut tx, intent, &mut payment, reference).await
                }
                Kind::Void => {
                    self.voided(&mut tx, intent, &payment, reference, amount)
                        .await
                }
                Kind::Refund => {
                    self.refunded(&mut tx, intent, &mut payment, reference, amount)
                        .await
                }
            },
            Outcome::Refused(stage, code) => {
                self.refused(&mut tx, intent, &payment, stage, code).await
            }
        };
        let status = payment.status.after(event?);
        payment.status = status.map_err(|illegal| Error::damaged("a stored payment", illegal))?;
        store::save(&mut tx, &payment, self.desk.now()).await?;
        self.db.commit(tx).await?;
        Ok(Written::Settled)
    }

    /// The money is held, or captured.
    async fn taken(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        payment: &mut Payment,
        reference: String,
    ) -> Result<Event> {
        let (kit, now) = (&self.desk.kit, self.desk.now());
        store::book(tx, intent, payment.amount, now).await?;
        if intent.kind == Kind::Capture {
            let task: Task<CapturePayment> = task(intent)?;
            kit.done(tx, &task, &payment.captured(reference)).await?;
            return Ok(Event::Captured);
        }
        let task: Task<AuthorizePayment> = task(intent)?;
        let authorized = payment.authorized(reference.clone(), now);
        payment.provider_ref = Some(reference);
        kit.done(tx, &task, &authorized).await?;
        Ok(Event::Authorized)
    }

    /// The expired hold is renewed. It is captured again, by the same operation.
    async fn renewed(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        payment: &mut Payment,
        reference: String,
    ) -> Result<Event> {
        let capture = intent.effect_key.strip_suffix(RENEWAL);
        let unknown = || Error::damaged("a stored intent", "it renews the hold of no capture");
        let effect_key = capture.ok_or_else(unknown)?.to_owned();
        payment.provider_ref = Some(reference);
        let again = (Kind::Capture, effect_key);
        store::go_on(tx, intent, again, self.desk.now()).await?;
        Ok(Event::Authorized)
    }

    /// The provider holds nothing any more.
    async fn voided(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        payment: &Payment,
        reference: String,
        amount: Money,
    ) -> Result<Event> {
        // We never booked a hold that the provider had done, but not answered, before its void.
        if payment.provider_ref.is_some() {
            store::book(tx, intent, payment.amount, self.desk.now()).await?;
        }
        let (order_id, amounts) = (intent.order_id.clone(), [amount, payment.refunded]);
        let returned = returned(
            order_id,
            reference,
            RefundKind::Void,
            amounts,
            ORDER_CANCELLED,
        );
        self.answer(tx, intent, &returned).await?;
        Ok(Event::Returned)
    }

    /// Captured money was given back: for an operator or a return, or all of it for an undo.
    async fn refunded(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        payment: &mut Payment,
        reference: String,
        amount: Money,
    ) -> Result<Event> {
        let now = self.desk.now();
        store::book(tx, intent, amount, now).await?;
        let refunded = payment.refunded.plus(amount);
        payment.refunded = refunded.map_err(|error| Error::damaged("a refund", error))?;
        let requested = refund::finish(tx, &intent.effect_key, now).await?;
        let is_part = requested.is_some() && payment.refunded < payment.amount;
        let undo = || (ORDER_CANCELLED.to_owned(), None);
        let (reason, return_id) = requested.unwrap_or_else(undo);
        let (order_id, amounts) = (intent.order_id.clone(), [amount, payment.refunded]);
        let mut returned = returned(order_id, reference, RefundKind::Refund, amounts, &reason);
        returned.return_id = return_id;
        self.answer(tx, intent, &returned).await?;
        Ok(if is_part {
            Event::PartlyReturned
        } else {
            Event::Returned
        })
    }

    /// Answers the saga's undo; without one, tells whoever listens, if any money was given back.
    async fn answer(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        returned: &PaymentRefunded,
    ) -> Result<()> {
        let task: Option<UndoTask<AuthorizePayment>> = task(intent)?;
        match task {
            Some(task) => self.desk.kit.undone(tx, &task, returned).await?,
            None if returned.amount_minor == Money::ZERO => {}
            None => self.desk.outbox.emit(tx, returned).await?,
        }
        Ok(())
    }

    async fn refused(
        &self,
        tx: &mut Connection,
        intent: &Intent,
        payment: &Payment,
        stage: DeclineStage,
        code: &str,
    ) -> Result<Event> {
        let can_renew = payment.status.after(Event::Expired).is_ok();
        if intent.kind == Kind::Capture && code == AUTH_EXPIRED && can_renew {
            let effect_key = format!("{}{RENEWAL}", intent.effect_key);
            let renewal = (Kind::Reauthorize, effect_key);
            store::go_on(tx, intent, renewal, self.desk.now()).await?;
            return Ok(Event::Expired);
        }
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
        if code != NO_ANSWER {
            return Ok(Event::Declined);
        }
        // The provider may still do it. The void releases that, or has it declined.
        let (effect_key, of) = (
            format!("{}:void", intent.effect_key),
            (&intent.order_id, payment.amount),
        );
        let (task, now) = (None::<()>, self.desk.now());
        store::intend(tx, Kind::Void, &effect_key, of, &task, now).await?;
        Ok(Event::Undone)
    }
}

fn task<T: DeserializeOwned>(intent: &Intent) -> Result<T> {
    serde_json::from_str(&intent.task).map_err(|error| Error::damaged("a stored task", error))
}
