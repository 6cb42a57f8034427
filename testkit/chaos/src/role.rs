//! What processes do, each until it is told to end.

mod keyed;
mod relay;
mod replayer;
mod worker;
mod writer;

use std::{sync::Arc, time::Duration};

use clap::Args;
use mainstay_clock::{Backoff, SystemIds};
use mainstay_database::postgres::Database;
use mainstay_messaging::sqlite::Broker;
use mainstay_testkit::crash::Points;

use crate::Failure;

pub use keyed::Keyed;
pub use relay::Relay;
pub use replayer::Replayer;
pub use worker::Worker;
pub use writer::Writer;

/// Where a role works.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// What it is called, also on the server.
    #[arg(long)]
    name: String,
    /// The database.
    #[arg(long, env = "CHAOS_URL", hide_env_values = true)]
    url: String,
    /// The broker's file.
    #[arg(long, env = "CHAOS_BROKER")]
    broker: std::path::PathBuf,
    /// Shards of the outbox.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// After how many milliseconds the server ends a transaction that lies idle.
    #[arg(long, default_value_t = 60_000)]
    idle_limit: u64,
    /// How many milliseconds a statement waits for a lock.
    #[arg(long, default_value_t = 1_000)]
    lock_timeout: u64,
    /// Points at which the process aborts, such as `before:record:3`; the first one counts.
    #[arg(long)]
    abort: Vec<String>,
}

impl Place {
    /// Where this process aborts.
    fn points(&self) -> Arc<Points> {
        Points::aborting(self.abort.clone())
    }

    /// The database, as soon as it answers.
    async fn database(&self) -> Result<Database, Failure> {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}application_name={}", self.url, self.name);
        until_it_answers(async || {
            let database = Database::builder(&*url)
                .idle_in_transaction_timeout(Duration::from_millis(self.idle_limit))
                .lock_timeout(Duration::from_millis(self.lock_timeout));
            Ok(database.open().await?)
        })
        .await
    }

    async fn broker(&self, lease: Duration) -> Result<Broker, Failure> {
        until_it_answers(async || {
            let broker = Broker::builder(&*self.broker)
                .lease(lease)
                .revocation_timeout(lease / 2);
            Ok(broker.open().await?)
        })
        .await
    }
}

/// Between two attempts, while something is away.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));

async fn until_it_answers<T>(attempt: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
    let (ids, mut failures) = (SystemIds::new(), 0);
    loop {
        match attempt().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "trying again");
                tokio::time::sleep(BACKOFF.delay(failures, &ids)).await;
                failures += 1;
            }
            outcome => return outcome,
        }
    }
}
