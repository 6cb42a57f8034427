//! Clients of librdkafka that live for one question, and what all clients have in common.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mainstay_clock::Monotonic;
use rdkafka::{
    ClientContext,
    client::Client,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};

use super::{builder::Settings, config, error};
use crate::Error;

/// How long one try of a question lasts. In between, refused credentials are noticed.
const TRY: Duration = Duration::from_millis(500);

const SERVING: Duration = Duration::from_millis(5);

const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The last thing that went wrong with the connections of a client.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<(KafkaError, String)>>);

impl Trouble {
    pub(super) fn note(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "a connection has an error");
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all nodes are away is a consequence, and refused credentials outweigh the rest.
        let consequence = matches!(error::code(&error), Some(Code::AllBrokersDown));
        let kept = last.as_ref().is_some_and(|(last, _)| {
            consequence || error::code(last).is_some_and(error::is_of_credentials)
        });
        if !kept {
            *last = Some((error, reason.to_owned()));
        }
    }

    /// Adds the reason to an error that only says that no answer came.
    pub(super) fn explain(&self, doing: &'static str, cause: KafkaError) -> Error {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.take() {
            Some((trouble, reason)) if !error::is_final(&cause) => {
                error::because(doing, trouble, Some(reason))
            }
            _ => error::sort(doing, cause),
        }
    }

    fn is_refusal(&self) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|(error, _)| {
            let code = error::code(error);
            code.is_some_and(error::is_of_credentials)
        })
    }
}

/// What librdkafka logs goes to `tracing`. All of it shows in this crate's errors too.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, message);
        }
        _ => tracing::debug!(target: "librdkafka", facility, message),
    }
}

/// A client that is no member of a group.
pub(super) type Asker = BaseConsumer<Quiet>;

#[derive(Debug, Default)]
pub(super) struct Quiet(Trouble);

impl Quiet {
    pub(super) fn explain(&self, doing: &'static str, cause: KafkaError) -> Error {
        self.0.explain(doing, cause)
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note(error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// A client to ask, and the time until when.
#[derive(Debug)]
pub(super) struct Patience<'s> {
    settings: &'s Settings,
    until: Monotonic,
}

impl<'s> Patience<'s> {
    pub(super) fn of(settings: &'s Settings) -> Self {
        let until = settings.clock.monotonic() + settings.request_timeout;
        Self { settings, until }
    }

    /// What is left, but some time in any case.
    pub(super) fn left(&self) -> Duration {
        let left = self.until.remaining_at(self.settings.clock.monotonic());
        left.max(Duration::from_millis(1))
    }

    pub(super) fn is_over(&self) -> bool {
        self.until.has_passed_at(self.settings.clock.monotonic())
    }
}

/// Asks again while the answer may be another one later, such as at once after a topic was created.
///
/// Blocks the thread.
pub(super) fn insist<T>(
    patience: &Patience<'_>,
    mut question: impl FnMut() -> KafkaResult<T>,
) -> KafkaResult<T> {
    loop {
        match question() {
            Err(cause) if !error::is_final(&cause) && !patience.is_over() => {
                std::thread::sleep(BETWEEN_TRIES);
            }
            answered => return answered,
        }
    }
}

/// Asks the cluster on a blocking thread, with a client of its own. `question` gets the time for one
/// try, and is asked again until it is answered or refused, or the time is over.
pub(super) async fn ask<T: Send + 'static>(
    settings: &Arc<Settings>,
    doing: &'static str,
    question: impl Fn(&Client<Quiet>, Duration) -> KafkaResult<T> + Send + 'static,
) -> Result<T, Error> {
    let settings = Arc::clone(settings);
    let asking = move || {
        let config = config::reader(&settings);
        let client = Asker::from_config_and_context(&config, Quiet::default())
            .map_err(|cause| error::sort(doing, cause))?;
        let patience = Patience::of(&settings);
        loop {
            let asked = question(client.client(), patience.left().min(TRY));
            // Serves the client's errors. What it logs counts as nothing.
            while client.poll(SERVING).is_some() {}
            match asked {
                Ok(answer) => return Ok(answer),
                Err(cause) if patience.is_over() || client.context().0.is_refusal() => {
                    return Err(client.context().0.explain(doing, cause));
                }
                Err(cause) => {
                    if let failed @ Error::Refused(_) = error::sort(doing, cause) {
                        return Err(failed);
                    }
                    std::thread::sleep(BETWEEN_TRIES.min(patience.left()));
                }
            }
        }
    };
    tokio::task::spawn_blocking(asking)
        .await
        .map_err(error::ended)?
}

/// The id of the cluster, which also shows that it answers and accepts the credentials.
pub(super) async fn cluster_id(settings: &Arc<Settings>) -> Result<String, Error> {
    ask(settings, "connecting to the cluster", |client, timeout| {
        // Without an answer there is no id.
        client
            .fetch_cluster_id(timeout)
            .ok_or(KafkaError::Global(Code::OperationTimedOut))
    })
    .await
}
