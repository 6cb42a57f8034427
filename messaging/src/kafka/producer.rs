//! A producer of librdkafka, and the answers to what it has sent.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    ClientContext, Message as _,
    client::Client,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::oneshot;

use super::{
    builder::Settings,
    client::{self, Trouble},
    config, error,
};
use crate::{Error, Topic};

/// A producer with a thread of its own, which takes the answers.
pub(super) struct Producer {
    /// None once it is being dropped.
    threaded: Option<Arc<ThreadedProducer<Answers>>>,
    /// The largest batch in bytes.
    pub(super) batch: usize,
    /// Partitions in which the cluster knows this producer. There it refuses a batch behind a failed
    /// one; in others it would take it.
    pub(super) proven: HashSet<(Topic, i32)>,
}

/// The answers to the messages of one call.
#[derive(Default)]
pub(super) struct Answers {
    wave: Mutex<Wave>,
    pub(super) trouble: Trouble,
}

#[derive(Default)]
struct Wave {
    /// By the number of the message.
    answers: Vec<Option<Result<(), Code>>>,
    open: usize,
    done: Option<oneshot::Sender<()>>,
}

impl Producer {
    pub(super) fn new(settings: &Settings, batch: usize) -> Result<Self, Error> {
        let config = config::producer(settings, batch);
        let threaded = ThreadedProducer::from_config_and_context(&config, Answers::default())
            .map_err(|cause| error::sort("starting a producer", cause))?;
        Ok(Self {
            threaded: Some(Arc::new(threaded)),
            batch,
            proven: HashSet::new(),
        })
    }

    fn threaded(&self) -> Option<&Arc<ThreadedProducer<Answers>>> {
        self.threaded.as_ref()
    }

    /// Asks the cluster on a blocking thread.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Client<Answers>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let Some(threaded) = self.threaded().map(Arc::clone) else {
            return Err(error::unavailable("the producer has ended"));
        };
        tokio::task::spawn_blocking(move || question(threaded.client()))
            .await
            .map_err(error::ended)
    }

    /// Prepares for the answers to `count` messages, which are numbered from 0.
    pub(super) fn expect(&self, count: usize) {
        if let Some(threaded) = self.threaded() {
            *threaded.context().wave() = Wave {
                answers: vec![None; count],
                open: 0,
                done: None,
            };
        }
    }

    /// Hands a message over to librdkafka. Its queue may be full.
    pub(super) fn send(&self, record: BaseRecord<'_, str, [u8], usize>) -> Result<(), KafkaError> {
        let Some(threaded) = self.threaded() else {
            return Err(KafkaError::Canceled);
        };
        // Counted before, since the answer may come at once.
        threaded.context().wave().open += 1;
        threaded.send(record).map_err(|(error, _)| {
            threaded.context().wave().open -= 1;
            error
        })
    }

    /// Waits until everything that was sent is answered.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn answered(&self) {
        let Some(threaded) = self.threaded() else {
            return;
        };
        let waiting = {
            let mut wave = threaded.context().wave();
            if wave.open == 0 {
                return;
            }
            let (done, waiting) = oneshot::channel();
            wave.done = Some(done);
            waiting
        };
        // The sender is dropped only with the wave.
        drop(waiting.await);
    }

    /// The answers so far, by the number of the message.
    pub(super) fn answers(&self) -> Vec<Option<Result<(), Code>>> {
        let Some(threaded) = self.threaded() else {
            return Vec::new();
        };
        threaded.context().wave().answers.clone()
    }

    /// Whether it has given up for good.
    pub(super) fn is_broken(&self) -> bool {
        self.threaded()
            .is_none_or(|threaded| threaded.client().fatal_error().is_some())
    }

    pub(super) fn explain(&self, doing: &'static str, cause: KafkaError) -> Error {
        match self.threaded() {
            Some(threaded) => threaded.context().trouble.explain(doing, cause),
            None => error::sort(doing, cause),
        }
    }
}

/// Forgets what was not sent, and does not wait for what was.
impl Drop for Producer {
    fn drop(&mut self) {
        // It waits for its thread and its connections.
        let threaded = self.threaded.take();
        let ending = std::thread::Builder::new()
            .name("kafka-producer-end".to_owned())
            .spawn(move || drop(threaded));
        if let Err(error) = ending {
            tracing::warn!(%error, "no thread could be started to end a producer");
        }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

impl Answers {
    fn wave(&self) -> MutexGuard<'_, Wave> {
        self.wave.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(error, reason);
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, number: usize) {
        let answer = match delivered {
            Ok(_) => Ok(()),
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                tracing::trace!(%code, partition = message.partition(), "a message was not taken");
                Err(code)
            }
        };
        let mut wave = self.wave();
        if let Some(slot) = wave.answers.get_mut(number) {
            *slot = Some(answer);
        }
        wave.open = wave.open.saturating_sub(1);
        if wave.open == 0
            && let Some(done) = wave.done.take()
        {
            // Nobody waits any more if the call was dropped.
            let _gone = done.send(());
        }
    }
}
