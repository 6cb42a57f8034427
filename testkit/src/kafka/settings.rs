//! What a server reads when it starts.

use std::path::Path;

/// As tests want it: one node that creates no topic unasked and keeps its files small. A group forms at once, and may notice
/// within a second that a member is gone.
const USUAL: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("auto.create.topics.enable", "false"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "500"),
    ("group.consumer.min.session.timeout.ms", "500"),
    ("group.consumer.session.timeout.ms", "1500"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.consumer.heartbeat.interval.ms", "300"),
    ("log.cleaner.backoff.ms", "500"),
    ("log.index.size.max.bytes", "1048576"),
    ("offsets.topic.num.partitions", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.num.partitions", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

/// What a test kit's server says: that it started, and whatever is wrong, without traces of the stack.
pub(super) const LOGGING: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n%throwable{short.message}
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
";

/// A listener beside the usual ones.
#[derive(Clone, Debug)]
pub(super) struct Further {
    pub(super) port: u16,
    /// As `SASL_PLAINTEXT`.
    pub(super) protocol: String,
}

/// Where a server listens.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Ports {
    pub(super) clients: u16,
    pub(super) controller: u16,
}

/// The file of settings; of two that name the same, the later holds.
pub(super) fn text(
    data: &Path,
    ports: Ports,
    further: Option<&Further>,
    more: &[(String, String)],
) -> String {
    let Ports {
        clients,
        controller,
    } = ports;
    let (more_listeners, more_protocols) = match further {
        Some(Further { port, protocol }) => (
            format!(",FURTHER://127.0.0.1:{port}"),
            format!(",FURTHER:{protocol}"),
        ),
        None => Default::default(),
    };
    let listeners = format!("PLAINTEXT://127.0.0.1:{clients}{more_listeners}");
    let protocols = format!("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{more_protocols}");
    let controllers = format!("CONTROLLER://127.0.0.1:{controller}");
    let own = [
        ("log.dirs", data.display().to_string()),
        ("listeners", format!("{listeners},{controllers}")),
        ("advertised.listeners", listeners),
        ("listener.security.protocol.map", protocols),
        (
            "controller.quorum.voters",
            format!("1@127.0.0.1:{controller}"),
        ),
    ];
    let usual = USUAL
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"));
    let own = own.iter().map(|(name, value)| format!("{name}={value}\n"));
    let more = more.iter().map(|(name, value)| format!("{name}={value}\n"));
    usual.chain(own).chain(more).collect()
}
