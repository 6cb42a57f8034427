//! The way to the broker.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_messaging::{
    Consumer, Error, Group, Message, Partition, Position, Publisher,
    broker::{ConsumerEvent, PublishOutcome},
    memory::{LogConsumer, LogPublisher},
};
use tokio::time::Instant;

use super::Process;
use crate::plan::{CallFault, Port, Reach};

/// Why a call failed.
fn lost(why: &'static str) -> Error {
    Error::Unavailable(why.into())
}

/// A publisher on a host.
#[derive(Clone, Debug)]
pub struct HostPublisher {
    pub(super) process: Process,
    pub(super) publisher: LogPublisher,
}

impl HostPublisher {
    /// The messages arrive later, and no one waits for the answer.
    fn send_later(&self, messages: &[Message], time: Duration) {
        let (publisher, messages) = (self.publisher.clone(), messages.to_vec());
        let world = Arc::clone(&self.process.world);
        self.process.world.runtime.spawn(async move {
            tokio::time::sleep(time).await;
            world.note(0xEC, || format!("{} messages arrive late", messages.len()));
            drop(publisher.publish(&messages).await);
        });
    }
}

fn unknown(messages: &[Message], why: &'static str) -> Vec<PublishOutcome> {
    let answer = |_| PublishOutcome::Unknown(lost(why));
    messages.iter().map(answer).collect()
}

#[async_trait]
impl Publisher for HostPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let fault = self.process.pass(Port::Publish).await;
        self.process.travel().await;
        if self.process.is_cut(Reach::Broker) {
            return unknown(messages, "cut off from the broker");
        }
        let publishing = |messages| self.process.gate(self.publisher.publish(messages));
        let answers = match fault {
            Some(CallFault::AnswerLost) => {
                drop(publishing(messages).await);
                unknown(messages, "the answer was lost")
            }
            Some(CallFault::AppliedLater(time)) => {
                self.send_later(messages, time);
                unknown(messages, "no answer yet")
            }
            Some(CallFault::HalfLost) => {
                let (first, second) = messages.split_at(messages.len() / 2);
                let mut answers = publishing(first).await;
                answers.extend(unknown(second, "the second half was lost"));
                answers
            }
            Some(CallFault::Twice) => {
                let answers = publishing(messages).await;
                drop(publishing(messages).await);
                answers
            }
            Some(CallFault::Echo(time)) => {
                self.send_later(messages, time);
                publishing(messages).await
            }
            Some(CallFault::LateAnswer(time)) => {
                let answers = publishing(messages).await;
                self.process.wait(time).await;
                answers
            }
            Some(_) => unknown(messages, "the request was lost"),
            None => publishing(messages).await,
        };
        self.process.travel().await;
        answers
    }
}

/// A consumer on a host.
#[derive(Debug)]
pub struct HostConsumer {
    pub(super) process: Process,
    pub(super) consumer: LogConsumer,
    pub(super) group: Group,
    /// An event that the broker has sent, and when it arrives.
    pub(super) on_its_way: Option<(Instant, Result<ConsumerEvent, Error>)>,
}

impl HostConsumer {
    async fn store(&mut self, positions: &[Position]) -> Result<(), Error> {
        let stored = self.process.gate(self.consumer.commit(positions)).await;
        if let Some(told) = self.process.world.on_stored.get() {
            told(&self.group);
        }
        stored
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what simulates time")]
fn now() -> Instant {
    Instant::now()
}

#[async_trait]
impl Consumer for HostConsumer {
    fn group(&self) -> &Group {
        &self.group
    }

    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        loop {
            self.process.awake().await;
            if let Some((when, _)) = &self.on_its_way {
                tokio::time::sleep_until(*when).await;
                self.process.awake().await;
                if let Some((_, told)) = self.on_its_way.take() {
                    return told;
                }
            }
            if self.process.is_cut(Reach::Broker) {
                return Err(lost("cut off from the broker"));
            }
            let told = self.process.gate(self.consumer.next()).await;
            match (self.process.fault(Port::Deliver), told) {
                (None, told) => return told,
                // The broker delivers it again, since its offset was not committed.
                (Some(CallFault::Lost), Ok(ConsumerEvent::Deliveries(_))) => {
                    let broker = &self.process.world.broker;
                    broker.faults().redeliver(&self.group);
                }
                (Some(CallFault::Stall(time) | CallFault::LateAnswer(time)), told) => {
                    self.on_its_way = Some((now() + time, told));
                }
                (Some(_), told) => {
                    self.on_its_way = Some((now(), told));
                    return Err(lost("the answer was lost"));
                }
            }
        }
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        let fault = self.process.pass(Port::Acknowledge).await;
        if self.process.is_cut(Reach::Broker) {
            return Err(lost("cut off from the broker"));
        }
        match fault {
            None => self.store(positions).await,
            Some(CallFault::AnswerLost) => {
                drop(self.store(positions).await);
                Err(lost("the answer was lost"))
            }
            Some(CallFault::LateAnswer(time)) => {
                let answer = self.store(positions).await;
                self.process.wait(time).await;
                answer
            }
            Some(_) => Err(lost("the request was lost")),
        }
    }

    fn pause(&mut self, partitions: &[Partition]) {
        self.consumer.pause(partitions);
    }

    fn resume(&mut self, partitions: &[Partition]) {
        self.consumer.resume(partitions);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let fault = self.process.pass(Port::Release).await;
        if self.process.is_cut(Reach::Broker) || fault.is_some() {
            return Err(lost("the request was lost"));
        }
        self.process.gate(self.consumer.release(partitions)).await
    }
}
