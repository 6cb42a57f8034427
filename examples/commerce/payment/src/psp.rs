//! The simulated payment provider: another company's system, with its own books in `psp.db`.
//!
//! The payment method chooses the outcome of an authorisation:
//!
//! | method | outcome |
//! |---|---|
//! | `pm_ok` | succeeds |
//! | `pm_declined` | is refused |
//! | `pm_3ds` | needs the customer, which counts as refused |
//! | `pm_flaky` | fails twice, then succeeds |
//! | `pm_timeout` | is not done, and no answer comes |
//! | `pm_late` | is done, and the answer is lost |
//!
//! The provider does an operation at most once per effect key, and answers a repeated request with
//! the first result.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use commerce_chassis::{Batch, Db, Deployment, GroupCommit, Remote, Result, column, rows, sql};
use commerce_contracts::{Currency, Money};
use mainstay_clock::Clock;
use mainstay_database::{Migrations, Transactions};
use mainstay_messaging::envelope::micros_since_epoch;
use tokio_util::sync::CancellationToken;

use crate::intent::{Kind, Question};

/// The provider's tables.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("psp", "0001_psp");

/// Calls in one transaction at most.
const ANSWERED_TOGETHER: usize = 256;

/// A call to the provider.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) question: Question,
    pub(crate) kind: Kind,
    /// The same for every request of the same operation.
    pub(crate) effect_key: String,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) payment_method: String,
}

/// The provider's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The operation is done, under this reference.
    Done(String),
    /// Refused.
    Declined,
    /// The customer has to do something first.
    RequiresAction,
    /// No answer came in time.
    Silence,
    /// Answer to a look-up: the operation was not done.
    NotDone,
    /// The operation was not done; request it again.
    Unavailable,
}

/// A client of the provider.
#[derive(Clone, Debug)]
pub(crate) struct Psp {
    books: GroupCommit<Books>,
}

/// Opens the provider. The task serves its calls.
pub(crate) async fn open(
    deployment: &Deployment,
) -> Result<(Psp, impl Future<Output = Result<()>> + Send + 'static)> {
    let db = Db::open(deployment.storage(), "psp").await?;
    db.migrate(&MIGRATIONS).await?;
    let clock = Arc::clone(deployment.clock());
    let (books, work) = GroupCommit::new(
        Books { db, clock },
        ANSWERED_TOGETHER,
        // The provider outlives shutdown until its last client is dropped, so open calls complete.
        CancellationToken::new(),
    );
    Ok((Psp { books }, work))
}

#[async_trait]
impl Remote for Psp {
    type Call = Call;
    type Answer = Answer;

    async fn call(&self, call: Call) -> Answer {
        // Without a confirmed commit the outcome is unknown: a lost answer, not a refusal.
        self.books.submit(call).await.unwrap_or(Answer::Silence)
    }
}

#[derive(Debug)]
pub(crate) struct Books {
    db: Db,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Batch for Books {
    type Request = Call;
    type Answer = Answer;

    async fn run(&self, calls: &[Call]) -> Result<Vec<Answer>> {
        let mut tx = self.db.begin().await?;
        // Write in sorted order before reading: concurrent calls with the same key wait here.
        let keys: BTreeSet<&str> = calls.iter().map(|call| &*call.effect_key).collect();
        let keys = column(keys)?;
        let mut asked: BTreeMap<String, i64> = sqlx::query_as(
            "INSERT INTO asks (effect_key, asked) SELECT value ->> 0, 0 FROM json_each($1) WHERE true
             ON CONFLICT (effect_key) DO UPDATE SET asked = asks.asked
             RETURNING effect_key, asked",
        )
        .bind(&keys)
        .fetch_all(&mut *tx)
        .await
        .map_err(sql)?
        .into_iter()
        .collect();
        let mut done: HashMap<String, String> = sqlx::query_as(
            "SELECT o.effect_key, o.reference FROM json_each($1) AS w CROSS JOIN operations AS o
             WHERE o.effect_key = w.value ->> 0",
        )
        .bind(&keys)
        .fetch_all(&mut *tx)
        .await
        .map_err(sql)?
        .into_iter()
        .collect();

        let mut new = Vec::new();
        let answers = calls
            .iter()
            .map(|call| {
                if let Some(reference) = done.get(&call.effect_key) {
                    return Answer::Done(reference.clone());
                }
                if call.question == Question::LookUp {
                    return Answer::NotDone;
                }
                let times = asked.entry(call.effect_key.clone()).or_default();
                *times += 1;
                let (does, answer) = outcome(call, *times);
                if does {
                    done.insert(call.effect_key.clone(), reference(call));
                    new.push(call);
                }
                answer
            })
            .collect();
        self.write(&mut tx, &new, &asked).await?;
        self.db.commit(tx).await?;
        Ok(answers)
    }
}

impl Books {
    async fn write(
        &self,
        connection: &mut commerce_chassis::Connection,
        new: &[&Call],
        asked: &BTreeMap<String, i64>,
    ) -> Result<()> {
        let set: Vec<_> = new
            .iter()
            .map(|call| {
                (
                    &call.effect_key,
                    call.kind.name(),
                    call.amount.minor(),
                    call.currency.code(),
                    reference(call),
                )
            })
            .collect();
        sqlx::query(
            "INSERT INTO operations (effect_key, kind, amount_minor, currency, reference, done_at)
             SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT), value ->> 3, value ->> 4, $2
             FROM json_each($1)",
        )
        .bind(rows(&set)?)
        .bind(micros_since_epoch(self.clock.now()))
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
        let asked: Vec<_> = asked.iter().collect();
        sqlx::query(
            "UPDATE asks SET asked = CAST(w.value ->> 1 AS BIGINT) FROM json_each($1) AS w WHERE effect_key = w.value ->> 0",
        )
        .bind(rows(&asked)?)
        .execute(connection)
        .await
        .map_err(sql)?;
        Ok(())
    }
}

fn reference(call: &Call) -> String {
    format!("psp-{}", call.effect_key)
}

/// Whether the n-th request does the operation, and its answer.
fn outcome(call: &Call, times: i64) -> (bool, Answer) {
    let done = (true, Answer::Done(reference(call)));
    if call.kind != Kind::Authorize {
        return done;
    }
    match &*call.payment_method {
        "pm_declined" => (false, Answer::Declined),
        "pm_3ds" => (false, Answer::RequiresAction),
        "pm_timeout" => (false, Answer::Silence),
        "pm_late" => (true, Answer::Silence),
        "pm_flaky" if times <= 2 => (false, Answer::Unavailable),
        _ => done,
    }
}
