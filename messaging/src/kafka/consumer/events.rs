//! What the polling thread forwards, and what follows from it.

use std::{sync::Arc, time::Duration};

use super::{Entry, Health, LogConsumer, Standing};
use crate::{
    broker::{Partition, Position},
    holdings::Claim,
    kafka::{
        client::Patience,
        error,
        line::{Command, Incoming},
        starts::{Answer, Question},
    },
};

/// How often a member asks whether the group has been founded, or stores where partitions begin.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);

/// How long to wait if nothing has a deadline.
const LONG: Duration = Duration::from_secs(3600);

impl LogConsumer {
    /// Joins the group, unless it is a member.
    pub(super) fn join(&mut self) {
        if self.standing != Standing::Inside {
            self.standing = Standing::Inside;
            self.line.command(Command::Subscribe);
        }
    }

    pub(super) fn note_incoming(&mut self) {
        while let Some(incoming) = self.incoming.pop_front() {
            // Until then, the answer may still store where its partitions begin.
            if self.asking.is_some() && matches!(incoming, Incoming::Revoked { .. }) {
                self.incoming.push_front(incoming);
                return;
            }
            self.note(incoming);
        }
        let limit = self.settings.read_ahead_bytes / 4;
        self.buffers.stop(&self.line, limit);
    }

    fn note(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Assigned(partitions) if partitions.is_empty() => {
                self.line.command(Command::Assign(Vec::new()));
            }
            Incoming::Assigned(partitions) => {
                let new = partitions.into_iter().map(|p| (p, Entry::Assigned));
                self.entering.extend(new);
            }
            Incoming::Revoked { partitions, lost } => self.note_revoked(partitions, lost),
            Incoming::Records(records) => {
                for record in records {
                    self.buffers.add(&self.line, record);
                }
            }
            Incoming::Positioned(positions) => {
                let mut claims = Vec::new();
                for Position { partition, offset } in positions {
                    if let Some(claim) = self.positioning.remove(&partition) {
                        self.buffers.begin(&self.line, partition.clone(), offset);
                        self.commits.begin(partition, offset);
                        claims.push(claim);
                    }
                }
                self.holdings.assign(claims);
            }
            Incoming::NotPositioned(positions, failed) => {
                tracing::debug!(%failed, ?positions, "partitions could not be positioned");
                for Position { partition, .. } in positions {
                    if self.positioning.remove(&partition).is_some() {
                        self.entering.insert(partition, Entry::Again);
                    }
                }
            }
            Incoming::Left if self.standing == Standing::Leaving => {
                self.standing = Standing::Outside;
            }
            // It has joined again since.
            Incoming::Left => {}
            Incoming::Failed(failed) => self.note_failure(failed),
        }
    }

    fn note_revoked(&mut self, partitions: Vec<Partition>, lost: bool) {
        for partition in &partitions {
            self.entering.remove(partition);
            self.positioning.remove(partition);
            self.buffers.drop(&self.line, partition);
        }
        let held = self.holdings.ids(&partitions);
        if lost {
            self.holdings.take_away(&held);
            self.revoking = None;
            self.line.command(Command::Unassign(partitions));
            return;
        }
        let now = self.settings.clock.monotonic();
        let deadline = self.settings.revocation_timeout;
        self.holdings.revoke(&held, now, deadline);
        self.revoking = Some((partitions, held.into_iter().collect()));
        self.answer_revocation(&[]);
    }

    /// The group goes on without this member, which was silent for too long. librdkafka says later
    /// that the partitions are gone.
    pub(super) fn note_exclusion(&mut self) {
        self.health = Health::Left;
        let held = self.holdings.all();
        self.holdings.take_away(&held);
        for partition in &held {
            self.buffers.drop(&self.line, partition);
        }
        self.answer_revocation(&held);
    }

    /// These partitions are given back. librdkafka is answered when all are that it waits for.
    pub(super) fn answer_revocation(&mut self, given_back: &[Partition]) {
        if let Some((all, open)) = &mut self.revoking {
            open.retain(|partition| !given_back.contains(partition));
            if open.is_empty() {
                let all = std::mem::take(all);
                self.revoking = None;
                self.line.command(Command::Unassign(all));
            }
        }
    }

    pub(super) fn withdraw_overdue(&mut self) {
        let overdue = self.holdings.overdue(self.settings.clock.monotonic());
        if !overdue.is_empty() {
            self.holdings.take_away(&overdue);
            self.answer_revocation(&overdue);
        }
    }

    pub(super) fn until_deadline(&self) -> Duration {
        let now = self.settings.clock.monotonic();
        self.holdings
            .deadline()
            .into_iter()
            .chain(self.ask_again)
            .map(|deadline| deadline.remaining_at(now))
            .min()
            .unwrap_or(LONG)
    }

    pub(super) fn ask_where_to_start(&mut self) {
        if self.asking.is_some() {
            return;
        }
        if self.entering.is_empty() {
            // All that was to be asked again was lost or given back.
            self.ask_again = None;
            return;
        }
        // Only the application waits for what librdkafka has.
        let is_answered = self.entering.values().all(|entry| *entry == Entry::Again);
        let now = self.settings.clock.monotonic();
        if is_answered && self.ask_again.is_some_and(|due| !due.has_passed_at(now)) {
            return;
        }
        self.ask_again = None;
        let question = Arc::new(Question {
            settings: Arc::clone(&self.settings),
            client: Arc::clone(&self.client.0),
            group: self.holdings.group().clone(),
            topics: Arc::clone(&self.topics),
            start_at: self.start_at,
            partitions: self.entering.keys().cloned().collect(),
        });
        self.asking = Some(tokio::spawn(async move {
            let patience = Patience::of(&question.settings);
            loop {
                let asked = Arc::clone(&question);
                // The first partition may be nobody's yet: its topic may be newer than the group's
                // assignment.
                let alone = patience.is_over();
                let answering = tokio::task::spawn_blocking(move || asked.answer(alone));
                if let Some(answer) = answering.await.map_err(error::ended)?? {
                    return Ok(answer);
                }
                tokio::time::sleep(BETWEEN_QUESTIONS).await;
            }
        }));
    }

    /// Takes the partitions of which it is known now where they begin.
    pub(super) fn start(&mut self, answer: Answer) {
        let claims = match answer {
            Answer::Begun(claims) => claims,
            Answer::Rejoin(claims) => {
                self.ask_again = Some(self.settings.clock.monotonic() + BETWEEN_QUESTIONS);
                return self.answer_assignment(claims);
            }
        };
        let (mut assigned, mut again) = (Vec::new(), Vec::new());
        for claim in claims {
            let position = Position {
                partition: claim.partition.clone(),
                offset: claim.committed,
            };
            match self.entering.remove(&claim.partition) {
                Some(Entry::Assigned) => assigned.push(position),
                Some(Entry::Again) => again.push(position),
                // It was lost meanwhile.
                None => continue,
            }
            self.positioning.insert(claim.id.clone(), claim);
        }
        for (positions, command) in [
            (assigned, Command::Assign as fn(Vec<Position>) -> Command),
            (again, Command::Seek),
        ] {
            if !positions.is_empty() {
                self.line.command(command(positions));
            }
        }
    }

    /// Takes an assignment without beginning its partitions. A member cannot rejoin before it has
    /// answered, and its group waits for it.
    fn answer_assignment(&mut self, claims: Vec<Claim<Partition>>) {
        let mut assigned = Vec::new();
        for claim in claims {
            if let Some(entry @ Entry::Assigned) = self.entering.get_mut(&claim.partition) {
                *entry = Entry::Again;
                assigned.push(Position {
                    partition: claim.partition,
                    offset: claim.committed,
                });
            }
        }
        if !assigned.is_empty() {
            self.line.command(Command::Assign(assigned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Group, StartAt, Topic, broker::builder::Subscription, kafka::Builder};

    #[tokio::test]
    async fn an_assignment_is_answered_although_the_group_stores_nothing() {
        let topic = Topic::from_static("orders");
        let partition = Partition {
            topic: topic.clone(),
            number: 0,
        };
        let subscription = Subscription {
            group: Group::from_static("g"),
            topics: vec![topic],
            start_at: StartAt::Earliest,
        };
        let builder = Builder::new("127.0.0.1:1".to_owned());
        let mut member = LogConsumer::new(Arc::new(builder.settings), subscription).unwrap();
        member.entering.insert(partition.clone(), Entry::Assigned);
        let claim = Claim {
            id: partition.clone(),
            partition: partition.clone(),
            owner: None,
            epoch: 0,
            committed: 7,
            first: 0,
            next: 9,
        };
        member.start(Answer::Rejoin(vec![claim]));
        // It is still to be asked where the partition begins.
        assert_eq!(member.entering.get(&partition), Some(&Entry::Again));
        member.line.news().await;
        let answered = member.line.take();
        assert!(
            matches!(
                answered.front(),
                Some(Incoming::Positioned(positions) | Incoming::NotPositioned(positions, _))
                    if positions[0].offset == 7
            ),
            "{answered:?}"
        );
        member.incoming.extend(answered);
        member.note_incoming();
        assert_eq!(member.holdings.count(), 0);
        // It is lost before it is asked for again: there is nothing to wake up for.
        assert!(member.until_deadline() <= BETWEEN_QUESTIONS);
        member.entering.clear();
        member.ask_where_to_start();
        assert_eq!(member.until_deadline(), LONG);
    }
}
