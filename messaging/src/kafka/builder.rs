//! Settings of the broker.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use mainstay_clock::{Clock, SystemClock};

use super::{Broker, Inner, client, config};
use crate::Error;

/// Settings of a [`Broker`]; from [`Broker::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is opened"]
pub struct Builder {
    pub(super) settings: Settings,
}

/// librdkafka takes no longer one from an admin client.
const LONGEST_REQUEST: Duration = Duration::from_hours(1);

/// How a group divides its partitions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// The members divide the partitions, and only those that move are interrupted
    /// (`cooperative-sticky`).
    #[default]
    Cooperative,
    /// Every rebalance takes all partitions from all members first (`range`). For groups that have
    /// members of other libraries.
    Eager,
    /// Kafka divides the partitions (KIP-848, Kafka 4.0 and later). Session timeout and heartbeats
    /// are then settings of the broker.
    Consumer,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) servers: String,
    pub(super) namespace: String,
    pub(super) client_id: String,
    pub(super) replication: Option<u16>,
    pub(super) max_message_size: Option<usize>,
    pub(super) request_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Option<Duration>,
    pub(super) revocation_timeout: Duration,
    pub(super) instance_id: Option<String>,
    pub(super) group_protocol: GroupProtocol,
    pub(super) fetch_records: u16,
    pub(super) fetch_bytes: usize,
    pub(super) read_ahead_bytes: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) further: Further,
}

/// Settings of librdkafka. Their values may be secrets.
#[derive(Clone, Default)]
pub(super) struct Further(pub(super) BTreeMap<String, String>);

impl fmt::Debug for Further {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Builder {
    pub(super) fn new(servers: String) -> Self {
        Self {
            settings: Settings {
                servers,
                namespace: String::new(),
                client_id: "mainstay".to_owned(),
                replication: None,
                max_message_size: None,
                request_timeout: Duration::from_secs(10),
                session_timeout: Duration::from_secs(6),
                heartbeat_interval: None,
                revocation_timeout: Duration::from_secs(25),
                instance_id: None,
                group_protocol: GroupProtocol::default(),
                fetch_records: 500,
                fetch_bytes: 8 * 1024 * 1024,
                read_ahead_bytes: 32 * 1024 * 1024,
                clock: Arc::new(SystemClock::new()),
                further: Further::default(),
            },
        }
    }

    /// What stands before the names of all topics and groups in the cluster, so that several
    /// installations share it; default nothing. The program uses the names without it.
    pub fn namespace(mut self, prefix: impl Into<String>) -> Self {
        self.settings.namespace = prefix.into();
        self
    }

    /// How this program is called in Kafka's logs and quotas; default `mainstay`.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.settings.client_id = id.into();
        self
    }

    /// Replicas of the topics that [`Broker::create_topic`] creates; default what the cluster is
    /// set to.
    pub const fn replication(mut self, replicas: u16) -> Self {
        self.settings.replication = Some(replicas);
        self
    }

    /// The largest message accepted, in bytes of a Kafka record before compression; default the
    /// `max.message.bytes` of each topic. Set it to what the topics have where the program may not
    /// describe their configuration.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = Some(bytes);
        self
    }

    /// How long a call waits for an answer of the cluster before it returns
    /// [`Error::Unavailable`]; default 10 s, at most an hour. Publishing retries until then.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout.min(LONGEST_REQUEST);
        self
    }

    /// How long a member that was killed keeps its partitions; default 6 s, the shortest that a
    /// cluster accepts unless its `group.min.session.timeout.ms` is lower. Has no effect with
    /// [`GroupProtocol::Consumer`].
    pub const fn session_timeout(mut self, timeout: Duration) -> Self {
        self.settings.session_timeout = timeout;
        self
    }

    /// How often a member shows that it lives, and hears of rebalances; default a quarter of the
    /// session timeout, at most 500 ms. Has no effect with [`GroupProtocol::Consumer`].
    pub const fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.heartbeat_interval = Some(interval);
        self
    }

    /// How long a member may take to give a revoked partition back; default 25 s. A member that does
    /// not call [`Consumer::next`](crate::Consumer::next) for this time and a session timeout loses
    /// its partitions.
    pub const fn revocation_timeout(mut self, timeout: Duration) -> Self {
        self.settings.revocation_timeout = timeout;
        self
    }

    /// Makes the members of this broker static (KIP-345): a program that restarts within the session
    /// timeout, with the same id, gets its partitions back without a rebalance. The partitions of one
    /// that does not come back move when that timeout has passed, even after a regular end. Each
    /// process needs an id of its own; default none.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.settings.instance_id = Some(id.into());
        self
    }

    /// How groups divide partitions; default [`GroupProtocol::Cooperative`]. All members of a group
    /// must have the same.
    pub const fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.settings.group_protocol = protocol;
        self
    }

    /// Records per partition that one delivery holds at most; default 500, at least 1.
    pub fn fetch_records(mut self, count: u16) -> Self {
        self.settings.fetch_records = count.max(1);
        self
    }

    /// Bytes over all partitions that one delivery holds at most; a single larger record still
    /// comes. Default 8 MiB.
    pub fn fetch_bytes(mut self, bytes: usize) -> Self {
        self.settings.fetch_bytes = bytes.max(1);
        self
    }

    /// Bytes over all partitions that one consumer reads ahead, at most; default 32 MiB, at least
    /// 1 MiB. One fetch of each cluster node comes on top.
    pub fn read_ahead_bytes(mut self, bytes: usize) -> Self {
        self.settings.read_ahead_bytes = bytes.max(1024 * 1024);
        self
    }

    /// The clock of revocations; default the host's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// A setting of [librdkafka], such as `linger.ms`. Its value is not shown in debug output.
    ///
    /// [`open`](Self::open) refuses those on which the guarantees rest, such as `acks`.
    ///
    /// [librdkafka]: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.further.0.insert(name.into(), value.into());
        self
    }

    /// Connects to the cluster.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the cluster does not answer; [`Error::Refused`] when it refuses
    /// the credentials, or a setting is unknown, has a bad value, or may not be changed.
    pub async fn open(self) -> Result<Broker, Error> {
        config::check(&self.settings)?;
        let settings = Arc::new(self.settings);
        let id = client::cluster_id(&settings).await?;
        Ok(Broker {
            inner: Arc::new(Inner { id, settings }),
        })
    }
}
