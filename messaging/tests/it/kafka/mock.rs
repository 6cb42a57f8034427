//! The cluster that librdkafka mocks. It can be made to fail at will, and needs no Java.

use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use mainstay_messaging::{
    Consumer as _, Error, Publisher as _,
    broker::{ConsumerEvent, PublishOutcome},
    conformance::PublisherFixture as _,
    kafka::rdkafka::{
        mocking::MockCluster,
        types::{RDKafkaApiKey, RDKafkaRespErr},
    },
};

use super::fixture::{KafkaFixture, PATIENCE, message};

/// A cluster of one node. librdkafka's handle stays on its thread.
pub(crate) struct Mock {
    orders: mpsc::SyncSender<(Order, mpsc::Sender<()>)>,
    pub(crate) servers: String,
}

enum Order {
    CreateTopic(String, u16),
    Refuse(RDKafkaApiKey, Vec<RDKafkaRespErr>),
    Down,
    Up,
}

impl Mock {
    pub(crate) fn start() -> Self {
        let (orders, received) = mpsc::sync_channel::<(Order, mpsc::Sender<()>)>(0);
        let (started, servers) = mpsc::channel();
        thread::spawn(move || {
            let cluster = MockCluster::new(1).unwrap();
            started.send(cluster.bootstrap_servers()).unwrap();
            while let Ok((order, done)) = received.recv() {
                match order {
                    Order::CreateTopic(topic, partitions) => {
                        cluster.create_topic(&topic, partitions.into(), 1)
                    }
                    Order::Refuse(requests, errors) => {
                        cluster.request_errors(requests, &errors);
                        Ok(())
                    }
                    Order::Down => cluster.broker_down(1),
                    Order::Up => cluster.broker_up(1),
                }
                .unwrap();
                done.send(()).unwrap();
            }
        });
        Self {
            orders,
            servers: servers.recv().unwrap(),
        }
    }

    fn order(&self, order: Order) {
        let (done, waiting) = mpsc::channel();
        self.orders.send((order, done)).unwrap();
        waiting.recv().unwrap();
    }

    pub(crate) fn create_topic(&self, topic: &str, partitions: u16) {
        self.order(Order::CreateTopic(topic.to_owned(), partitions));
    }

    /// Answers the next of these requests so.
    fn refuse(&self, requests: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.order(Order::Refuse(requests, errors.to_vec()));
    }

    pub(super) fn down(&self) {
        self.order(Order::Down);
    }

    pub(super) fn up(&self) {
        self.order(Order::Up);
    }
}

/// A mocked cluster, which gives up soon.
async fn fixture() -> KafkaFixture {
    fixture_on(Arc::new(Mock::start())).await
}

async fn fixture_on(mock: Arc<Mock>) -> KafkaFixture {
    let servers = mock.servers.clone();
    KafkaFixture::new(&servers, Some(mock), |builder| {
        builder
            .request_timeout(Duration::from_secs(2))
            // The mocked group waits for three seconds for more members.
            .session_timeout(Duration::from_secs(6))
            .max_message_size(1_000_000)
    })
    .await
}

mainstay_messaging::conformance!(outage: fixture());

#[tokio::test]
async fn nothing_of_a_key_is_sent_behind_a_message_for_which_there_was_no_room() {
    let mock = Arc::new(Mock::start());
    let f = KafkaFixture::new(&mock.servers, Some(Arc::clone(&mock)), |builder| {
        builder
            .max_message_size(1_000_000)
            // The first message stays in the queue until the others were to be put there.
            .setting("linger.ms", "500")
            .setting("queue.buffering.max.messages", "1")
    })
    .await;
    let topic = f.topic(2).await;
    let first = KEYS.map(|key| message(key, 0));
    let messages = [first, KEYS.map(|key| message(key, 1))].concat();
    let outcomes = f.publisher().publish(&messages).await;
    // The first messages to the two partitions go together, and there is room for one.
    assert!(outcomes[KEYS.len()..].iter().all(not_tried), "{outcomes:?}");
    let taken = outcomes.iter().filter(|outcome| outcome.is_acknowledged());
    assert_eq!(taken.count(), 1, "{outcomes:?}");
    assert_eq!(f.records(&topic).await.len(), 1);
}

#[tokio::test]
async fn a_reader_whose_cluster_goes_away_loses_nothing() {
    let mock = Arc::new(Mock::start());
    let f = KafkaFixture::new(&mock.servers, Some(Arc::clone(&mock)), |builder| {
        builder
            .request_timeout(Duration::from_secs(2))
            .max_message_size(1_000_000)
            // A call makes one batch, and a fetch brings one while nothing else waits to be read.
            .setting("linger.ms", "500")
            .setting("queued.min.messages", "1")
    })
    .await;
    let topic = f.topic(1).await;
    let publisher = f.publisher();
    let mut total = 0;
    // More than comes at once, and more behind it.
    for count in [1, 1_500, 100] {
        let batch: Vec<_> = (total..total + count)
            .map(|number| message("a", number))
            .collect();
        for outcome in publisher.publish(&batch).await {
            assert!(outcome.is_acknowledged(), "{outcome:?}");
        }
        total += count;
    }
    let mut reader = f.broker.read([&topic]).await.unwrap();
    let mut read = 0;
    while read < 1_001 {
        read += reader.next().await.unwrap().unwrap().len();
    }
    mock.down();
    // It notices that the cluster is away, and so does the reader.
    let unanswered = publisher.publish(&[message("a", total)]).await;
    assert!(!unanswered[0].is_acknowledged(), "{unanswered:?}");
    let mut failures = 0;
    loop {
        match reader.next().await {
            Ok(None) => break,
            Ok(Some(more)) => read += more.len(),
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                failures += 1;
                mock.up();
            }
        }
    }
    assert!(failures > 0);
    assert_eq!(read, total);
}

#[tokio::test]
async fn a_member_begins_although_its_group_stores_nothing_while_it_rebalances() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION as GENERATION,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS as REBALANCE,
    };
    let mock = Arc::new(Mock::start());
    let f = fixture_on(Arc::clone(&mock)).await;
    let topic = f.topic(2).await;
    let outcomes = f.publisher().publish(&[message("a", 0)]).await;
    assert!(outcomes[0].is_acknowledged(), "{outcomes:?}");
    mock.refuse(
        RDKafkaApiKey::OffsetCommit,
        &[REBALANCE, GENERATION, REBALANCE],
    );
    let mut consumer = f.join(&topic).await;
    let assigned = consumer.next().await.unwrap();
    let ConsumerEvent::Assigned(assigned) = assigned else {
        panic!("{assigned:?}");
    };
    assert!(assigned.len() == 2 && assigned.iter().all(|a| a.start == 0));
    let read = consumer.next().await.unwrap();
    let ConsumerEvent::Deliveries(deliveries) = read else {
        panic!("{read:?}");
    };
    assert_eq!(deliveries.len(), 1);
    // Where both begin is stored.
    let progress = f.broker.progress(consumer.group()).await.unwrap();
    assert_eq!(progress.len(), 2, "{progress:?}");
}

#[tokio::test]
async fn a_cluster_that_says_by_mistake_that_an_offset_is_out_of_range_silences_nothing() {
    let mock = Arc::new(Mock::start());
    let f = fixture_on(Arc::clone(&mock)).await;
    let topic = f.topic(2).await;
    let publisher = f.publisher();
    let mut consumer = f.join(&topic).await;
    let mut read = BTreeSet::new();
    for round in 0..2 {
        let messages = KEYS.map(|key| message(key, round));
        for outcome in publisher.publish(&messages).await {
            assert!(outcome.is_acknowledged(), "{outcome:?}");
        }
        while read.len() < KEYS.len() * (1 + round) {
            let next = tokio::time::timeout(PATIENCE, consumer.next());
            match next.await.expect("it fell silent") {
                Ok(ConsumerEvent::Deliveries(deliveries)) => {
                    read.extend(deliveries.into_iter().map(|delivery| delivery.position));
                }
                // What was not committed comes again.
                Ok(ConsumerEvent::Lost(_) | ConsumerEvent::Assigned(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        mock.refuse(
            RDKafkaApiKey::Fetch,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE],
        );
    }
    assert_eq!(read.len(), 2 * KEYS.len());
}

/// Both partitions of a topic have some of them.
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

const fn not_tried(outcome: &PublishOutcome) -> bool {
    matches!(outcome, PublishOutcome::Unknown(Error::NotTried))
}

/// Where there is no real cluster. The mocked one cannot remove records, so two cases are missing.
mod stand_in {
    use std::{
        env,
        sync::{Arc, LazyLock},
    };

    use mainstay_testkit::kafka::URL;

    use super::{KafkaFixture, Mock, fixture_on};

    static SHARED: LazyLock<Arc<Mock>> = LazyLock::new(|| Arc::new(Mock::start()));

    async fn fixture() -> Option<KafkaFixture> {
        if env::var(URL).is_ok_and(|url| !url.is_empty()) {
            return None;
        }
        Some(fixture_on(Arc::clone(&SHARED)).await)
    }

    mainstay_messaging::conformance!(publisher: if_there fixture());
    mainstay_messaging::conformance!(@cases () fixture();
        a_consumer_knows_its_group
        a_group_reads_everything_from_the_earliest
        a_group_that_starts_at_the_latest_reads_only_what_comes_after
        two_groups_both_get_everything
        a_paused_partition_delivers_nothing_until_resumed
        a_dropped_wait_loses_nothing
        an_assignment_comes_before_its_first_delivery
        one_member_reads_several_topics
        a_record_of_another_kind_is_delivered_raw_in_its_place
        a_fetch_is_bounded_in_bytes_and_every_partition_has_its_turn
        committed_records_are_not_delivered_again
        uncommitted_records_are_delivered_to_the_next_holder
        offsets_never_move_back
        one_commit_stores_several_partitions
        a_commit_that_names_a_partition_twice_stores_the_highest
        a_commit_with_a_foreign_partition_stores_the_others
        an_empty_commit_does_nothing
        partitions_are_divided_and_revoked_before_they_go
        a_revoked_partition_may_be_committed_until_it_is_released
        a_former_holder_cannot_commit
        commits_before_a_loss_count
        a_member_that_stalled_is_told_what_it_lost
        pausing_a_partition_that_is_not_held_is_ignored
        a_partition_that_comes_back_is_not_paused
        a_revocation_without_an_answer_ends_in_a_loss
        a_member_that_leaves_hands_everything_on
        a_partition_that_was_released_unasked_is_announced_anew
        a_release_from_before_a_loss_does_not_strand_the_partition
    );
}
