//! How many runs of a service's sagas wait for an operator.

use std::time::Duration;

use mainstay_outbox::Outbox as AnyOutbox;
use mainstay_saga::{Desk, Query};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{Connection, Sagas};

/// How often they are counted. Both counts read an index with nothing else in it.
const EVERY: Duration = Duration::from_secs(5);

/// The runs that wait for an operator, counted up to 10,000 each.
#[derive(Serialize, Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct StalledRuns {
    broken: u64,
    overdue: u64,
    /// Why they could not be counted again.
    last_error: Option<String>,
}

impl StalledRuns {
    /// Whether none waits, as far as is known.
    pub(crate) fn is_healthy(&self) -> bool {
        *self == Self::default()
    }
}

/// Counts every few seconds until `shutdown`.
pub(crate) async fn watch<I, O>(
    service: &'static str,
    desk: Desk<I, Sagas, O>,
    counts: watch::Sender<StalledRuns>,
    shutdown: CancellationToken,
) where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    O: AnyOutbox<Connection = Connection>,
{
    let gauge =
        |state| metrics::gauge!("commerce_stalled_sagas", "service" => service, "state" => state);
    let (broken, overdue) = (gauge("broken"), gauge("overdue"));
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let (all_broken, all_overdue) = (Query::broken(), Query::overdue());
        let counted = tokio::try_join!(desk.count(&all_broken), desk.count(&all_overdue));
        match counted {
            Ok(now) => {
                set(&broken, now.0);
                set(&overdue, now.1);
                counts.send_replace(StalledRuns {
                    broken: now.0,
                    overdue: now.1,
                    last_error: None,
                });
            }
            Err(error) => counts.send_modify(|counts| {
                counts.last_error = Some(error.to_string());
            }),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
fn set(gauge: &metrics::Gauge, count: u64) {
    gauge.set(count as f64);
}
