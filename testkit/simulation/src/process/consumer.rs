//! Consuming.

use async_trait::async_trait;
use mainstay_messaging::{
    Consumer, Error, Flow, Group, Incoming, Partition, Position, memory::LogConsumer,
};
use tokio::time::Instant;

use super::lost;
use crate::{
    plan::{CallFault, Port, Reach},
    process::Process,
};

/// Consumes on a host of a simulation.
#[derive(Debug)]
pub struct HostConsumer {
    pub(super) process: Process,
    pub(super) consumer: LogConsumer,
    pub(super) group: Group,
    /// What the broker has told and this host has yet to hear, and when.
    pub(super) on_its_way: Option<(Instant, Result<Incoming, Error>)>,
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
    async fn next(&mut self) -> Result<Incoming, Error> {
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
                // The broker hands it out again, since it was never committed.
                (Some(CallFault::Lost), Ok(Incoming::Deliveries(_))) => {
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

    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        self.consumer.flow(partitions, flow);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let fault = self.process.pass(Port::Release).await;
        if self.process.is_cut(Reach::Broker) || fault.is_some() {
            return Err(lost("the request was lost"));
        }
        self.process.gate(self.consumer.release(partitions)).await
    }
}
