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
//! the first result. It refuses a caller whose fencing token is older than one that it has seen for
//! the key.

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
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::intent::{Kind, Question};

/// The provider's tables.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("psp", "0001_psp", "0002_fences");

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
    /// The fencing token of the caller's lease. The provider refuses a former holder.
    pub(crate) fence: i64,
}

/// The provider's answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
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

impl Answer {
    /// Whether the provider answers so from now on.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Declined | Self::RequiresAction)
    }
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
    /// None: a newer holder of the key's lease has called, and nothing was done.
    type Answer = Option<Answer>;

    async fn call(&self, call: Call) -> Option<Answer> {
        // Without a confirmed commit the outcome is unknown: a lost answer, not a refusal.
        let answered = self.books.submit(call).await;
        answered.unwrap_or(Some(Answer::Silence))
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
    type Answer = Option<Answer>;

    async fn run(&self, calls: &[Call]) -> Result<Vec<Option<Answer>>> {
        let mut tx = self.db.begin().await?;
        // Write in sorted order before reading: concurrent calls with the same key wait here.
        let keys: BTreeSet<&str> = calls.iter().map(|call| &*call.effect_key).collect();
        let keys = column(keys)?;
        let asked: Vec<(String, i64, i64)> = sqlx::query_as(
            "INSERT INTO asks (effect_key, asked) SELECT value ->> 0, 0 FROM json_each($1) WHERE true
             ON CONFLICT (effect_key) DO UPDATE SET asked = asks.asked
             RETURNING effect_key, asked, fence",
        )
        .bind(&keys)
        .fetch_all(&mut *tx)
        .await
        .map_err(sql)?;
        let mut asked: BTreeMap<String, (i64, i64)> = asked
            .into_iter()
            .map(|(key, times, fence)| (key, (times, fence)))
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
                let (times, fence) = asked.entry(call.effect_key.clone()).or_default();
                if call.fence < *fence {
                    return None;
                }
                *fence = call.fence;
                if let Some(reference) = done.get(&call.effect_key) {
                    return Some(Answer::Done(reference.clone()));
                }
                if call.question == Question::LookUp {
                    return Some(Answer::NotDone);
                }
                *times += 1;
                let (does, answer) = outcome(call, *times);
                if does {
                    done.insert(call.effect_key.clone(), reference(call));
                    new.push(call);
                }
                Some(answer)
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
        asked: &BTreeMap<String, (i64, i64)>,
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
        let asked: Vec<_> = asked
            .iter()
            .map(|(key, (times, fence))| (key, times, fence))
            .collect();
        sqlx::query(
            "UPDATE asks SET asked = CAST(w.value ->> 1 AS BIGINT), fence = CAST(w.value ->> 2 AS BIGINT)
             FROM json_each($1) AS w WHERE effect_key = w.value ->> 0",
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

#[cfg(test)]
mod tests {
    use commerce_chassis::{ON_A_SERVER, Storage, StorageSettings};
    use mainstay_clock::SystemClock;
    use mainstay_testkit::postgres::{Server, TestDatabase, URL};
    use tempfile::TempDir;

    use super::*;

    /// Books of the test's own.
    async fn books() -> Option<(Books, TempDir, Option<TestDatabase>)> {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = StorageSettings {
            data: directory.path().to_owned(),
            ..StorageSettings::default()
        };
        let mut owned = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-payment")?;
            let database = server.database().await.unwrap();
            settings.postgres = std::env::var(URL).ok();
            settings.postgres_prefix = Some(database.name().to_owned());
            owned = Some(database);
        }
        let storage = Storage::new(&settings).unwrap();
        let name = if ON_A_SERVER { "" } else { "psp" };
        let db = Db::open(&storage, name).await.unwrap();
        db.migrate(&MIGRATIONS).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Some((Books { db, clock }, directory, owned))
    }

    #[tokio::test]
    async fn a_former_holder_of_a_key_is_refused() {
        let Some((books, _directory, owned)) = books().await else {
            return;
        };
        let call = |fence, effect_key: &str| Call {
            question: Question::Ask,
            kind: Kind::Authorize,
            effect_key: effect_key.to_owned(),
            amount: Money::ZERO,
            currency: Currency::Eur,
            payment_method: "pm_flaky".to_owned(),
            fence,
        };
        let calls = [call(7, "a"), call(6, "a"), call(6, "b")];
        let unavailable = Some(Answer::Unavailable);
        let answers = books.run(&calls).await.unwrap();
        assert_eq!(
            answers,
            [unavailable.clone(), None, unavailable.clone()],
            "in one transaction"
        );
        let calls = [call(6, "a"), call(7, "a"), call(8, "a"), call(7, "a")];
        let done = Some(Answer::Done("psp-a".to_owned()));
        let answers = books.run(&calls).await.unwrap();
        assert_eq!(
            answers,
            [None, unavailable, done, None],
            "the refused calls count for nothing"
        );
        if let Some(owned) = owned {
            owned.close().await.unwrap();
        }
    }
}
