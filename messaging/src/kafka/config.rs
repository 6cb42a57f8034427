//! Settings as librdkafka wants them.

use std::time::Duration;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use super::{
    GroupProtocol,
    builder::Settings,
    error::{self, Hint},
};
use crate::{Error, Group};

/// What the guarantees rest on: settings that only this crate makes.
const OURS: [&str; 29] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "batch.size",
    "bootstrap.servers",
    "client.id",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "session.timeout.ms",
    "transactional.id",
];

/// Whether every setting is known, has a good value, and is the user's to make.
pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    for name in settings.further.0.keys() {
        if OURS.contains(&name.as_str()) {
            return Err(Error::Refused(Box::new(Hint(format!(
                "the setting {name} is made by this crate: use the methods of the builder"
            )))));
        }
    }
    for config in [producer(settings, 1), reader(settings)] {
        let checked = config.create_native_config();
        checked.map_err(|cause| error::sort("checking the settings", cause))?;
    }
    Ok(())
}

/// For every client.
pub(super) fn common(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let silence = settings.request_timeout.max(Duration::from_secs(1));
    config
        .set("bootstrap.servers", &settings.servers)
        .set("client.id", &settings.client_id)
        .set("allow.auto.create.topics", "false")
        // A connection that is silent for this long is dead.
        .set("socket.timeout.ms", millis(silence, Duration::from_mins(5)))
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        // A cluster that comes back is found within a second, not ten.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in &settings.further.0 {
        config.set(name, value);
    }
    config
}

/// For publishing batches of at most `batch` bytes.
pub(super) fn producer(settings: &Settings, batch: usize) -> ClientConfig {
    let mut config = common(settings);
    for (name, value) in [
        ("linger.ms", "0"),
        ("queue.buffering.max.messages", "1000000"),
    ] {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    config
        .set("batch.size", batch.to_string())
        // Sizes are checked against the limit of each topic.
        .set("message.max.bytes", "1000000000")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        // Messages that time out one by one would leave gaps: a call gives up as a whole.
        .set("message.timeout.ms", "0");
    config
}

/// For reading without being a member of a group.
pub(super) fn reader(settings: &Settings) -> ClientConfig {
    let mut config = common(settings);
    let partition = settings.fetch_bytes.min(1024 * 1024).to_string();
    let queue = (settings.read_ahead_bytes / 2 / 1024).to_string();
    for (name, value) in [
        ("topic.metadata.refresh.interval.ms", "5000"),
        ("fetch.message.max.bytes", partition.as_str()),
        // More messages than any backlog: only bytes bound what is read ahead. A full queue stops
        // the fetches for the backoff.
        ("queued.min.messages", "10000000"),
        ("queued.max.messages.kbytes", queue.as_str()),
        ("fetch.queue.backoff.ms", "5"),
        ("fetch.error.backoff.ms", "100"),
        ("fetch.wait.max.ms", "250"),
    ] {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed");
    config
}

/// For reading about `group` without being a member.
pub(super) fn observer(settings: &Settings, group: &Group) -> ClientConfig {
    let mut config = reader(settings);
    config.set("group.id", format!("{}{group}", settings.namespace));
    config
}

/// For a member of `group`.
pub(super) fn member(settings: &Settings, group: &Group) -> ClientConfig {
    let mut config = observer(settings, group);
    let silence = millis(longest_silence(settings), DAY);
    config.set("max.poll.interval.ms", silence);
    if let Some(id) = &settings.instance_id {
        config.set("group.instance.id", id);
    }
    let strategy = match settings.group_protocol {
        GroupProtocol::Cooperative => "cooperative-sticky",
        GroupProtocol::Eager => "range",
        GroupProtocol::Consumer => {
            config.set("group.protocol", "consumer");
            return config;
        }
    };
    let quarter = (settings.session_timeout / 4).min(Duration::from_millis(500));
    let heartbeat = settings.heartbeat_interval.unwrap_or(quarter);
    config
        .set("partition.assignment.strategy", strategy)
        .set("session.timeout.ms", millis(settings.session_timeout, DAY))
        .set("heartbeat.interval.ms", millis(heartbeat, DAY));
    config
}

/// How long a member may not poll. The cluster allows a rebalance as much.
pub(super) fn longest_silence(settings: &Settings) -> Duration {
    (settings.revocation_timeout).saturating_add(settings.session_timeout)
}

const DAY: Duration = Duration::from_hours(24);

fn millis(duration: Duration, longest: Duration) -> String {
    duration.min(longest).as_millis().max(1).to_string()
}
