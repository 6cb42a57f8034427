//! Giving partitions back.

use std::{sync::Arc, time::Duration};

use rdkafka::consumer::Consumer as _;

use super::{Entry, LogConsumer, Standing, joined};
use crate::{
    Error,
    broker::Partition,
    kafka::{client::Patience, error, line::Command, member::list},
};

impl LogConsumer {
    pub(super) async fn give_back(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let held = self.holdings.ids(partitions);
        let asked = |partition: &Partition| {
            let revoking = self.revoking.as_ref();
            revoking.is_some_and(|(_, open)| open.contains(partition))
        };
        let unasked: Vec<Partition> = held.iter().filter(|p| !asked(p)).cloned().collect();
        // A member that gives back everything because it was asked stays in the group.
        if held.len() == self.holdings.count() && unasked.len() == held.len() {
            return self.leave(&held).await;
        }
        self.forget(&held);
        // Kafka gives a partition to nobody else while it is this member's. So it begins anew.
        let again = unasked.into_iter().map(|p| (p, Entry::Again));
        self.entering.extend(again);
        self.answer_revocation(&held);
        Ok(())
    }

    fn forget(&mut self, partitions: &[Partition]) {
        self.holdings.give_back(partitions);
        for partition in partitions {
            self.buffers.drop(&self.line, partition);
        }
    }

    async fn leave(&mut self, held: &[Partition]) -> Result<(), Error> {
        if self.standing == Standing::Outside {
            return Ok(());
        }
        let patience = self.settings.request_timeout;
        if !held.is_empty() {
            self.find_the_group(held, patience).await?;
        }
        self.forget(held);
        self.entering.clear();
        self.positioning.clear();
        self.revoking = None;
        self.standing = Standing::Leaving;
        self.line.command(Command::Leave);
        let left = async {
            loop {
                self.incoming.extend(self.line.take());
                self.note_incoming();
                if self.standing == Standing::Outside && self.asking.is_none() {
                    return;
                }
                tokio::select! {
                    () = self.line.news() => {}
                    // Nobody needs the answer, but a revocation waits for it.
                    answer = joined(&mut self.asking) => drop(answer),
                }
            }
        };
        if tokio::time::timeout(patience, left).await.is_err() {
            return Err(error::unavailable("leaving the group takes too long"));
        }
        Ok(())
    }

    /// librdkafka does not say whether the group heard that a member leaves. It can hear now.
    async fn find_the_group(&self, held: &[Partition], within: Duration) -> Result<(), Error> {
        let (client, settings) = (Arc::clone(&self.client.0), Arc::clone(&self.settings));
        let list = list(&settings, &held[..1]);
        let asking = tokio::task::spawn_blocking(move || {
            let patience = Patience::of(&settings);
            let asked = client.committed_offsets(list, patience.left());
            let trouble = &client.context().trouble;
            asked
                .map(drop)
                .map_err(|cause| trouble.explain("leaving the group", cause))
        });
        let asked = tokio::time::timeout(within, asking).await;
        asked
            .map_err(|_| error::unavailable("the group does not answer"))?
            .map_err(error::ended)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Group, StartAt, Topic,
        broker::builder::Subscription,
        kafka::{Builder, line::Incoming, starts::Answer},
    };

    fn subscription() -> Subscription {
        Subscription {
            group: Group::from_static("g"),
            topics: vec![Topic::from_static("orders")],
            start_at: StartAt::Latest,
        }
    }

    #[tokio::test]
    async fn a_member_leaves_although_a_revocation_waits_for_where_its_partitions_begin() {
        let builder = Builder::new("127.0.0.1:1".to_owned());
        let settings = Arc::new(builder.settings);
        let mut member = LogConsumer::new(settings, subscription()).unwrap();
        member.standing = Standing::Inside;
        member.asking = Some(tokio::spawn(async {
            tokio::task::yield_now().await;
            Ok(Answer::Begun(Vec::new()))
        }));
        member.incoming.push_back(Incoming::Revoked {
            partitions: vec![Partition {
                topic: Topic::from_static("orders"),
                number: 0,
            }],
            lost: false,
        });
        member.leave(&[]).await.unwrap();
        assert!(member.asking.is_none() && member.incoming.is_empty());
        assert_eq!(member.standing, Standing::Outside);
    }
}
