//! Publishing.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_messaging::{Message, Publication, Publisher, memory::LogPublisher};

use super::lost;
use crate::{
    plan::{CallFault, Port, Reach},
    process::Process,
};

/// Publishes from a host of a simulation.
#[derive(Clone, Debug)]
pub struct HostPublisher {
    pub(super) process: Process,
    pub(super) publisher: LogPublisher,
}

impl HostPublisher {
    /// They arrive by and by; nobody waits for the answer.
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

fn unknown(messages: &[Message], why: &'static str) -> Vec<Publication> {
    let answer = |_| Publication::Unknown(lost(why));
    messages.iter().map(answer).collect()
}

#[async_trait]
impl Publisher for HostPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
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
