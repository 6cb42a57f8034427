//! The simulated payment provider: another company's system, with its own books in `psp.db`.
//!
//! The payment method chooses the outcome of an authorisation:
//!
//! | method | outcome |
//! |---|---|
//! | `pm_ok` | succeeds |
//! | `pm_declined` | is refused |
//! | `pm_3ds` | needs the customer, which counts as refused |
//! | `pm_flaky` | is unavailable for the first two requests of an order, then succeeds |
//! | `pm_timeout` | is not done, and no answer comes |
//! | `pm_late` | is done, and the answer is lost |
//! | `pm_expires` | succeeds, and expires before it is captured; it can be renewed |
//! | `pm_lapses` | succeeds, and expires before it is captured; it is not renewed |
//! | `pm_silent` | is not done, and neither requests nor look-ups are answered until the void |
//!
//! The provider does an operation at most once per effect key, and answers a repeated request with
//! the first result. If it is unavailable, it is so for that key from then on, so a caller may ask
//! under another one. It captures no hold that is older than a week, unless that was renewed. A
//! void ends all authorisations of its order, those too that it has not been asked for yet. It
//! refuses a caller whose fencing token is older than one that it has seen for the key.

use std::sync::Arc;

use async_trait::async_trait;
use commerce_chassis::{Db, Deployment, Error, Remote, Result, sql};
use commerce_contracts::{Currency, Money, OrderId};
use mainstay_clock::Clock;
use mainstay_database::{Migrations, Transactions};
use mainstay_messaging::envelope::micros_since_epoch;
use serde::{Deserialize, Serialize};

use crate::{
    intent::{Kind, Question},
    payment::HOLD,
};

/// The provider's tables.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("psp", "0001_psp");

/// A call to the provider.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) question: Question,
    pub(crate) kind: Kind,
    /// The same for every call about the same operation.
    pub(crate) effect_key: String,
    pub(crate) order_id: OrderId,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) payment_method: String,
    /// The fencing token of the caller's lease. The provider refuses a former holder.
    pub(crate) fence: i64,
}

/// The provider's answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) enum Answer {
    /// The operation is done.
    Done {
        reference: String,
        /// What was held, captured or given back: 0 if there was nothing to give back.
        amount: Money,
    },
    /// Refused.
    Declined,
    /// The customer has to do something first.
    RequiresAction,
    /// No answer came in time.
    Silence,
    /// Answer to a look-up: the operation was not done.
    NotDone,
    /// The operation was not done, and will not be under this key; request it under another one.
    Unavailable,
    /// Answer to a capture: the hold is too old. It may be renewed.
    Expired,
}

impl Answer {
    /// Whether the provider answers so from now on.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Done { .. } | Self::Declined | Self::RequiresAction | Self::Unavailable
        )
    }
}

/// The provider.
#[derive(Clone, Debug)]
pub(crate) struct Psp {
    pub(crate) db: Db,
    clock: Arc<dyn Clock>,
}

/// Opens the provider, whose books are in the database `name`.
pub(crate) async fn open(deployment: &Deployment, name: &str) -> Result<Psp> {
    let db = Db::open(deployment.storage(), name).await?;
    db.migrate(&MIGRATIONS).await?;
    let clock = Arc::clone(deployment.clock());
    Ok(Psp { db, clock })
}

#[async_trait]
impl Remote for Psp {
    type Call = Call;
    /// None: a newer holder of the key's lease has called, and nothing was done.
    type Answer = Option<Answer>;

    async fn call(&self, call: Call) -> Option<Answer> {
        let answered = self.answer(&call).await;
        // Without a confirmed commit the outcome is unknown: a lost answer, not a refusal.
        answered.unwrap_or_else(|error| {
            tracing::warn!(%error, key = call.effect_key, "the provider failed during a call");
            Some(Answer::Silence)
        })
    }
}

impl Psp {
    async fn answer(&self, call: &Call) -> Result<Option<Answer>> {
        let mut tx = self.db.begin().await?;
        let authorizes = call.kind == Kind::Authorize && call.question == Question::Ask;
        // Locks the order: calls about it are answered one after another.
        let requested: i64 = sqlx::query_scalar(
            "INSERT INTO orders AS o (order_id, requested) VALUES ($1, $2)
             ON CONFLICT (order_id) DO UPDATE SET requested = o.requested + $2 RETURNING requested",
        )
        .bind(call.order_id.as_str())
        .bind(i64::from(authorizes))
        .fetch_one(&mut *tx)
        .await
        .map_err(sql)?;
        let was_unavailable: Option<i64> = sqlx::query_scalar(
            "INSERT INTO effect_keys AS k (effect_key, fence, unavailable) VALUES ($1, $2, 0)
             ON CONFLICT (effect_key) DO UPDATE SET fence = excluded.fence WHERE k.fence <= excluded.fence
             RETURNING unavailable",
        )
        .bind(&call.effect_key)
        .bind(call.fence)
        .fetch_optional(&mut *tx)
        .await
        .map_err(sql)?;
        match was_unavailable {
            None => return Ok(None),
            Some(0) => {}
            Some(_) => return Ok(Some(Answer::Unavailable)),
        }
        let operations: Vec<(String, String, i64, String, i64)> = sqlx::query_as(
            "SELECT effect_key, kind, amount_minor, reference, done_at FROM operations WHERE order_id = $1",
        )
        .bind(call.order_id.as_str())
        .fetch_all(&mut *tx)
        .await
        .map_err(sql)?;
        let operations: Vec<Operation> = operations.into_iter().map(read).collect::<Result<_>>()?;
        let now = micros_since_epoch(self.clock.now());
        let (answer, does) = decide(call, requested, &operations, now);
        if let Some(amount) = does {
            sqlx::query(
                "INSERT INTO operations (effect_key, order_id, kind, amount_minor, currency, reference, done_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&call.effect_key)
            .bind(call.order_id.as_str())
            .bind(call.kind.name())
            .bind(amount.minor())
            .bind(call.currency.code())
            .bind(reference(call))
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(sql)?;
        }
        if answer == Answer::Unavailable {
            sqlx::query("UPDATE effect_keys SET unavailable = 1 WHERE effect_key = $1")
                .bind(&call.effect_key)
                .execute(&mut *tx)
                .await
                .map_err(sql)?;
        }
        self.db.commit(tx).await?;
        Ok(Some(answer))
    }
}

/// An operation that was done.
#[derive(Clone, Debug)]
struct Operation {
    effect_key: String,
    kind: Kind,
    amount: Money,
    reference: String,
    done_at: i64,
}

fn read(
    (effect_key, kind, amount, reference, done_at): (String, String, i64, String, i64),
) -> Result<Operation> {
    let damaged = |error| Error::damaged("an operation of the provider", error);
    Ok(Operation {
        effect_key,
        kind: Kind::from_name(&kind)
            .ok_or_else(|| Error::damaged("an operation of the provider", format!("{kind:?}")))?,
        amount: Money::from_minor(amount).map_err(damaged)?,
        reference,
        done_at,
    })
}

fn reference(call: &Call) -> String {
    format!("psp-{}", call.effect_key)
}

/// The answer, and the amount of the operation if this call does it. `operations` are those of the
/// order, and `requested` counts the requests to authorise it, this one included.
fn decide(
    call: &Call,
    requested: i64,
    operations: &[Operation],
    now: i64,
) -> (Answer, Option<Money>) {
    if let Some(done) = operations.iter().find(|o| o.effect_key == call.effect_key) {
        let (reference, amount) = (done.reference.clone(), done.amount);
        return (Answer::Done { reference, amount }, None);
    }
    let sum = |kind| {
        let of_kind = operations.iter().filter(|o| o.kind == kind);
        of_kind.fold(0_i64, |sum, o| sum.saturating_add(o.amount.minor()))
    };
    let is_voided = operations.iter().any(|o| o.kind == Kind::Void);
    let is_silent = call.payment_method == "pm_silent" && call.kind == Kind::Authorize;
    match call.question {
        _ if is_silent && !is_voided => return (Answer::Silence, None),
        Question::LookUp => return (Answer::NotDone, None),
        Question::Ask => {}
    }
    let captured = sum(Kind::Capture) - sum(Kind::Refund);
    let held = sum(Kind::Authorize) - sum(Kind::Capture) - sum(Kind::Void);
    let is_expired = is_expired(&call.payment_method, operations, now);
    let amount = match call.kind {
        Kind::Authorize if is_voided => return (Answer::Declined, None),
        Kind::Authorize => match (&*call.payment_method, requested) {
            ("pm_declined", _) => return (Answer::Declined, None),
            ("pm_3ds", _) => return (Answer::RequiresAction, None),
            ("pm_timeout", _) => return (Answer::Silence, None),
            ("pm_flaky", ..=2) => return (Answer::Unavailable, None),
            ("pm_late", _) => return (Answer::Silence, Some(call.amount)),
            _ => call.amount,
        },
        Kind::Capture | Kind::Reauthorize if held < call.amount.minor() => {
            return (Answer::Declined, None);
        }
        Kind::Reauthorize if call.payment_method == "pm_lapses" => return (Answer::Declined, None),
        Kind::Capture if is_expired => return (Answer::Expired, None),
        Kind::Capture | Kind::Reauthorize => call.amount,
        Kind::Void => Money::from_minor(held).unwrap_or(Money::MAX),
        Kind::Refund => call
            .amount
            .min(Money::from_minor(captured).unwrap_or(Money::MAX)),
    };
    let reference = reference(call);
    (Answer::Done { reference, amount }, Some(amount))
}

/// Whether the newest hold is too old to be captured.
fn is_expired(payment_method: &str, operations: &[Operation], now: i64) -> bool {
    let done = |kind| operations.iter().filter(move |o| o.kind == kind);
    let mut holds = done(Kind::Authorize).chain(done(Kind::Reauthorize));
    let is_renewed = done(Kind::Reauthorize).next().is_some();
    let is_short = matches!(payment_method, "pm_expires" | "pm_lapses") && !is_renewed;
    is_short || holds.all(|hold| now >= hold.done_at.saturating_add(HOLD))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(kind: Kind, effect_key: String) -> Call {
        Call {
            question: Question::Ask,
            kind,
            effect_key,
            order_id: OrderId::new("order"),
            amount: Money::from_minor(700).unwrap(),
            currency: Currency::Eur,
            payment_method: "pm_ok".to_owned(),
            fence: 0,
        }
    }

    #[test]
    fn a_hold_of_a_week_is_captured_only_behind_its_renewal() {
        let done = |kind, done_at| Operation {
            effect_key: format!("{kind:?}"),
            kind,
            amount: Money::from_minor(700).unwrap(),
            reference: String::new(),
            done_at,
        };
        let capture = call(Kind::Capture, "capture".to_owned());
        let held = [done(Kind::Authorize, 0)];
        let renewed = [done(Kind::Authorize, 0), done(Kind::Reauthorize, HOLD)];
        for (operations, now, is_captured) in [
            (&held[..], HOLD - 1, true),
            (&held, HOLD, false),
            (&renewed, HOLD, true),
            (&renewed, 2 * HOLD, false),
        ] {
            let (answer, does) = decide(&capture, 1, operations, now);
            assert_eq!(answer == Answer::Expired, !is_captured, "{now}");
            assert_eq!(does.is_some(), is_captured);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_held_behind_a_void_and_nothing_is_given_back_twice(kinds in proptest::collection::vec(
            prop_oneof![Just(Kind::Authorize), Just(Kind::Capture), Just(Kind::Reauthorize), Just(Kind::Void), Just(Kind::Refund)], 0..12,
        )) {
            let mut operations: Vec<Operation> = Vec::new();
            for (number, kind) in kinds.into_iter().enumerate() {
                let call = call(kind, number.to_string());
                let (answer, does) = decide(&call, 1, &operations, 0);
                if let Some(amount) = does {
                    let (effect_key, reference) = (call.effect_key.clone(), reference(&call));
                    operations.push(Operation { effect_key, kind, amount, reference, done_at: 0 });
                    // Asked again, it answers the same and does nothing.
                    prop_assert_eq!(decide(&call, 1, &operations, 0), (answer, None));
                }
                let sum = |kind| -> i64 {
                    operations.iter().filter(|o| o.kind == kind).map(|o| o.amount.minor()).sum()
                };
                let held = sum(Kind::Authorize) - sum(Kind::Capture) - sum(Kind::Void);
                prop_assert!(held >= 0 && sum(Kind::Refund) <= sum(Kind::Capture));
                let is_voided = operations.iter().any(|o| o.kind == Kind::Void);
                prop_assert!(!is_voided || held == 0);
            }
        }
    }
}
