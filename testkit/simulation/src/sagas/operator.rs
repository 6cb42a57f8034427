//! The operator, who reaches the database without faults of calls: mends broken runs, and asks for
//! retries and cancels.

use mainstay_messaging::Event as _;
use mainstay_outbox::MemoryOutbox;
use mainstay_saga::{
    Cancellation, Desk, Error, MemorySagas, Query, Signature, Status, operator::RunSummary,
};

use super::{
    Failure,
    messages::{Order, Reserve},
};
use crate::Rng;

pub(super) struct Operator {
    pub(super) desk: Desk<Order, MemorySagas, MemoryOutbox>,
    pub(super) rng: Rng,
    /// Whether some runs are cancelled.
    pub(super) may_cancel: bool,
}

impl Operator {
    /// All runs. The database may be down.
    pub(super) async fn runs(&self) -> Result<Vec<RunSummary>, Error> {
        Ok(self.desk.list(&Query::all(), None, 1_000).await?.items)
    }

    /// Looks at each run that has not ended. Answers what may not be.
    pub(super) async fn look(&self) -> Result<Vec<String>, Failure> {
        let mut told = Vec::new();
        let looked = async {
            for run in self.runs().await? {
                if !run.status.is_ended() {
                    told.extend(self.act(&run).await?);
                }
            }
            Ok::<_, Error>(())
        };
        match looked.await {
            Err(error) if !error.is_retryable() => Err(error.into()),
            _ => Ok(told),
        }
    }

    async fn act(&self, run: &RunSummary) -> Result<Option<String>, Error> {
        let by = Signature::new("operator", "the simulation says so");
        let acted = if run.status == Status::Broken {
            let details = self.desk.show(&run.run).await?;
            let broken = details.state.broken;
            if broken.is_some_and(|broken| broken.replies.is_empty()) {
                let told = format!("a broken run keeps its reply; {}", run.run);
                return Ok(Some(told));
            }
            if self.rng.one_in(3) {
                self.desk.retry(&run.run, &by).await
            } else {
                // What the faulty build wanted to say.
                let result = r#"{"note":"Good"}"#;
                self.desk.skip(&run.run, Reserve::KIND, result, &by).await
            }
        } else if self.rng.one_in(if run.is_overdue { 2 } else { 16 }) {
            self.desk.retry(&run.run, &by).await
        } else if self.may_cancel && self.rng.one_in(24) {
            let _: Cancellation = self.desk.cancel(&run.run, &by).await?;
            Ok(())
        } else {
            Ok(())
        };
        match acted {
            // A reply or a timer was faster.
            Err(Error::WrongState { .. } | Error::NotInFlight { .. }) => Ok(None),
            acted => acted.map(|()| None),
        }
    }
}
