//! Replays what workers could not handle.

use std::time::Duration;

use clap::Args;
use mainstay_dlq::DeadLetterQueue;
use mainstay_inbox::{Handlers, PostgresInbox};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    BACKOFF, Place, until_it_answers,
    worker::{Making, make},
};
use crate::{Failure, GROUP};

/// Runs a replayer with the workers' handlers.
#[derive(Args, Clone, Debug)]
pub struct Replayer {
    #[command(flatten)]
    place: Place,
    /// How many milliseconds a handler takes at least, so that something is in flight.
    #[arg(long, default_value_t = 2)]
    linger: u64,
    /// As a worker's.
    #[arg(long)]
    poison: Option<i64>,
    /// Keys at once.
    #[arg(long, default_value_t = 2)]
    concurrency: usize,
}

impl Replayer {
    /// Replays until `shutdown`. Answers with a summary.
    pub async fn run(self, shutdown: CancellationToken) -> Result<serde_json::Value, Failure> {
        let database = self.place.database().await?;
        let opening = async || {
            let inbox = PostgresInbox::builder(&database).open().await?;
            Ok(DeadLetterQueue::builder(inbox).open().await?)
        };
        let queue = until_it_answers(opening).await?;
        let points = self.place.points();
        let state = Making {
            linger: Duration::from_millis(self.linger),
            points,
            poison: self.poison,
        };
        let handlers = Handlers::new().with_state(state).on(make);
        let replayer = queue
            .replayer(GROUP, handlers)
            .map_err(Failure::at("the replayer"))?
            .poll_interval(Duration::from_millis(50))
            .concurrency(self.concurrency)
            .handler_deadline(Duration::from_millis(self.place.idle_limit / 2))
            .backoff(BACKOFF);
        let (handle, mut status) = (replayer.handle(), mainstay_dlq::Status::default());
        let ending = async {
            shutdown.cancelled().await;
            status = handle.status();
        };
        replayer.run_until(ending).await?;
        Ok(json!({ "name": self.place.name, "replayed": status.replayed, "failed": status.failed }))
    }
}
