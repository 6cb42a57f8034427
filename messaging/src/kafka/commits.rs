//! Storing offsets of a group.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use rdkafka::{
    consumer::{CommitMode, Consumer as _},
    error::RDKafkaErrorCode as Code,
};
use tokio::sync::oneshot;

use super::{builder::Settings, client::Patience, error, member::Client, starts::offsets};
use crate::{
    Error,
    broker::{Partition, Position},
};

/// The cluster stores whatever it is given: this keeps offsets from moving back.
#[derive(Debug, Default)]
pub(super) struct Commits {
    floors: BTreeMap<Partition, Floor>,
    /// One at a time. A call that was dropped leaves it behind.
    running: Option<oneshot::Receiver<Result<Stored, Error>>>,
}

#[derive(Clone, Copy, Debug)]
struct Floor {
    stored: i64,
    /// What may have been stored.
    tried: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    Yes,
    /// The partitions are others' now.
    NotAssigned,
}

/// How long to wait for a rebalance to end.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

impl Commits {
    /// A partition begins with this committed offset.
    pub(super) fn begin(&mut self, partition: Partition, committed: i64) {
        let floor = Floor {
            stored: committed,
            tried: committed,
        };
        self.floors.insert(partition, floor);
    }

    /// Stores the offsets of partitions that this member holds.
    pub(super) async fn store(
        &mut self,
        settings: &Arc<Settings>,
        client: &Arc<Client>,
        positions: impl Iterator<Item = Position>,
    ) -> Result<Stored, Error> {
        if let Some(earlier) = &mut self.running {
            // Its offsets are not higher than those of this one, or were tried and are repeated.
            if tokio::time::timeout(settings.request_timeout, earlier)
                .await
                .is_err()
            {
                return Err(error::unavailable(
                    "an earlier commit is still not answered",
                ));
            }
            self.running = None;
        }
        let mut wanted = Vec::new();
        for mut position in positions {
            let floor = self.floors.entry(position.partition.clone());
            let floor = floor.or_insert(Floor {
                stored: i64::MIN,
                tried: i64::MIN,
            });
            if position.offset > floor.stored {
                position.offset = position.offset.max(floor.tried);
                floor.tried = position.offset;
                wanted.push(position);
            }
        }
        if wanted.is_empty() {
            return Ok(Stored::Yes);
        }
        let here = Arc::new(());
        let job = Job {
            settings: Arc::clone(settings),
            client: Arc::clone(client),
            positions: wanted.clone(),
            wanted: Arc::downgrade(&here),
        };
        let running = self.running.insert(job.start()?);
        let Ok(stored) = tokio::time::timeout(settings.request_timeout, running).await else {
            return Err(error::unavailable("a commit is not answered"));
        };
        self.running = None;
        let stored = stored.map_err(error::ended)??;
        if stored == Stored::Yes {
            for position in wanted {
                if let Some(floor) = self.floors.get_mut(&position.partition) {
                    floor.stored = floor.stored.max(position.offset);
                }
            }
        }
        Ok(stored)
    }
}

struct Job {
    settings: Arc<Settings>,
    client: Arc<Client>,
    positions: Vec<Position>,
    /// Gone when nobody waits any more. Trying on then would store what a successor has passed.
    wanted: Weak<()>,
}

impl Job {
    /// Starts a thread of its own: one that the cluster does not answer must not keep the runtime
    /// from ending.
    fn start(self) -> Result<oneshot::Receiver<Result<Stored, Error>>, Error> {
        let (done, running) = oneshot::channel();
        let work = move || {
            // Nobody waits any more if the consumer was dropped.
            let _gone = done.send(self.run());
        };
        std::thread::Builder::new()
            .name("kafka-commit".to_owned())
            .spawn(work)
            .map_err(|error| error::unavailable(format!("no thread for a commit: {error}")))?;
        Ok(running)
    }

    fn run(self) -> Result<Stored, Error> {
        const DOING: &str = "committing offsets";
        let sort = |cause| self.client.context().trouble.explain(DOING, cause);
        let list = offsets(&self.settings, &self.positions).map_err(sort)?;
        let patience = Patience::of(&self.settings);
        loop {
            if self.client.assignment_lost() {
                return Ok(Stored::NotAssigned);
            }
            let Err(failed) = self.client.commit(&list, CommitMode::Sync) else {
                return Ok(Stored::Yes);
            };
            match failed.rdkafka_error_code() {
                // The group goes on without this member.
                Some(
                    Code::UnknownMemberId
                    | Code::FencedMemberEpoch
                    | Code::FencedInstanceId
                    | Code::AssignmentLost,
                ) => return Ok(Stored::NotAssigned),
                // The group is rebalancing: the member hears soon whether it still holds them.
                Some(
                    Code::RebalanceInProgress | Code::IllegalGeneration | Code::StaleMemberEpoch,
                ) if !patience.is_over() && self.wanted.strong_count() > 0 => {
                    std::thread::sleep(BETWEEN_TRIES);
                }
                _ => return Err(sort(failed)),
            }
        }
    }
}
