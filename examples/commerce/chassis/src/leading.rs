//! Work that one process of a service does at a time.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::IdGenerator;
use mainstay_dlock::{Guard, LeaderHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Connection, Progress, Result, Round, Task,
    db::{Fences, Singletons},
    rounds,
};

/// A round that only the leader among all processes runs.
#[async_trait]
pub trait LedRound: Send + Sync + 'static {
    /// Does the work that is due now. Each transaction that writes first calls
    /// [`check`](Term::check).
    ///
    /// # Cancel safety
    /// The round is dropped when its term ends, and at shutdown.
    async fn round(&self, term: &Term) -> Result<Progress>;
}

/// A term of leadership.
pub struct Term {
    guard: Guard,
    fences: Fences,
}

impl Term {
    /// Refuses a former leader; call it first in each transaction that writes. After it, no
    /// transaction of an earlier leader commits.
    ///
    /// # Errors
    /// [`Error::Locks`](crate::Error::Locks): the term has ended, or there is a newer leader; roll
    /// back.
    pub async fn check(&self, connection: &mut Connection) -> Result<()> {
        Ok(self.guard.check(&self.fences, connection).await?)
    }
}

/// Stands for election as the leader for `name`, and runs `round` whenever it is elected.
pub(crate) fn lead(
    singletons: Singletons,
    name: &'static str,
    round: impl LedRound,
    min_interval: Duration,
    ids: Arc<dyn IdGenerator>,
    shutdown: CancellationToken,
) -> (LeaderHandle, Task) {
    let (round, rounds_end) = (Arc::new(round), shutdown.clone());
    let Singletons { locks, fences } = singletons;
    let work = move |guard| {
        let fences = fences.clone();
        let led = Led {
            round: Arc::clone(&round),
            term: Term { guard, fences },
        };
        rounds::run(
            name,
            led,
            Arc::default(),
            min_interval,
            Arc::clone(&ids),
            rounds_end.clone(),
        )
    };
    let leader = locks.lead(name, work);
    let handle = leader.handle();
    let leading = leader.run_until(shutdown.cancelled_owned());
    (handle, Box::pin(async move { Ok(leading.await?) }))
}

struct Led<R> {
    round: Arc<R>,
    term: Term,
}

#[async_trait]
impl<R: LedRound> Round for Led<R> {
    async fn round(&self) -> Result<Progress> {
        self.round.round(&self.term).await
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(feature = "distributed")))]
mod tests {
    use mainstay_database::Transactions as _;
    use mainstay_dlock::{Fences as _, FencingToken};
    use tokio::sync::{Notify, mpsc};

    use super::*;
    use crate::{Db, Storage, StorageSettings, sql};

    /// Writes a row whenever it may.
    struct Writing {
        db: Db,
        may_write: Arc<Notify>,
        outcomes: mpsc::UnboundedSender<Result<()>>,
    }

    #[async_trait]
    impl LedRound for Writing {
        async fn round(&self, term: &Term) -> Result<Progress> {
            self.may_write.notified().await;
            let written = async {
                let mut tx = self.db.begin().await?;
                term.check(&mut tx).await?;
                let write = sqlx::query("INSERT INTO writes DEFAULT VALUES");
                write.execute(&mut *tx).await.map_err(sql)?;
                Ok(self.db.commit(tx).await?)
            };
            drop(self.outcomes.send(written.await));
            Ok(Progress::Idle)
        }
    }

    #[tokio::test]
    async fn a_former_leader_writes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(&StorageSettings {
            data: directory.path().to_owned(),
            ..StorageSettings::default()
        });
        let db = Db::open(&storage.unwrap(), "service").await.unwrap();
        let create = sqlx::query("CREATE TABLE writes (number INTEGER PRIMARY KEY)");
        let mut tx = db.begin().await.unwrap();
        create.execute(&mut *tx).await.unwrap();
        db.commit(tx).await.unwrap();

        let (outcomes, mut outcome) = mpsc::unbounded_channel();
        let may_write = Arc::new(Notify::new());
        let round = Writing {
            db: db.clone(),
            may_write: Arc::clone(&may_write),
            outcomes,
        };
        let singletons = db.singletons().await.unwrap();
        let fences = singletons.fences.clone();
        let shutdown = CancellationToken::new();
        let ids = Arc::new(mainstay_clock::SystemIds::new());
        let pause = Duration::from_millis(1);
        let (leader, leading) = lead(singletons, "a", round, pause, ids, shutdown.clone());
        let leading = tokio::spawn(leading);
        may_write.notify_one();
        outcome.recv().await.unwrap().unwrap();
        let writes = async || -> i64 {
            let count = sqlx::query_scalar("SELECT count(*) FROM writes");
            count.fetch_one(db.reader()).await.unwrap()
        };
        assert_eq!(writes().await, 1);

        // Another process was elected meanwhile, as far as the guarded rows know.
        let first = leader.status().leading.unwrap();
        let newer = FencingToken::new(first.as_i64() + 1_000);
        let mut tx = db.begin().await.unwrap();
        fences.check(&mut tx, "a", newer).await.unwrap();
        db.commit(tx).await.unwrap();
        may_write.notify_one();
        let refused = outcome.recv().await.unwrap().unwrap_err();
        assert!(matches!(refused, crate::Error::Locks(_)), "{refused}");
        assert_eq!(writes().await, 1);

        // Elected again, above what the rows have seen.
        may_write.notify_one();
        outcome.recv().await.unwrap().unwrap();
        assert_eq!(writes().await, 2);
        assert!(leader.status().leading.unwrap() > newer);
        shutdown.cancel();
        leading.await.unwrap().unwrap();
    }
}
