//! What a sweep leaves, and holes in the log.

use super::*;

#[tokio::test]
async fn a_sweep_removes_only_what_every_group_has_finished() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    publish(&f.broker, 0..5).await;
    assert_eq!(
        f.broker.sweep(Duration::ZERO, 100).await.unwrap(),
        0,
        "nobody has read it"
    );
    let mut fast = f.broker.consumer(
        Group::from_static("fast"),
        std::slice::from_ref(&topic),
        StartAt::Earliest,
    );
    let mut slow = f.broker.consumer(
        Group::from_static("slow"),
        std::slice::from_ref(&topic),
        StartAt::Earliest,
    );
    for (consumer, finished) in [(&mut fast, 5), (&mut slow, 2)] {
        let mut position = next_deliveries(consumer).await[0].position.clone();
        position.offset = finished;
        consumer.commit(&[position]).await.unwrap();
    }
    assert_eq!(
        f.broker
            .sweep(Duration::from_secs(3600), 100)
            .await
            .unwrap(),
        0,
        "too young"
    );
    assert_eq!(f.broker.sweep(Duration::MAX, 100).await.unwrap(), 0);
    assert_eq!(f.broker.sweep(Duration::ZERO, 100).await.unwrap(), 2);
    publish(&f.broker, 5..6).await;
    let progress = f
        .broker
        .progress(&Group::from_static("slow"))
        .await
        .unwrap();
    assert_eq!((progress[0].1, progress[0].2), (2, 6));
}

#[tokio::test]
async fn a_hole_in_the_log_is_told_however_long_it_is_and_whatever_else_flows() {
    for hole in [1, 5, 6, 12] {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("broker.db"))
            .await
            .unwrap();
        let mut options = Options::default();
        options.lease = Duration::from_millis(300);
        options.fetch_records = 5;
        let broker = Broker::open(database.clone(), options).await.unwrap();
        let topics = [TOPIC, "other"].map(Topic::from_static);
        for topic in &topics {
            broker.create_topic(topic, 1).await.unwrap();
        }
        publish(&broker, 0..20).await;
        let mut tx = database.begin().await.unwrap();
        sqlx::query("DELETE FROM broker_records WHERE id & 0xffffffffff BETWEEN 5 AND 4 + $1")
            .bind(hole)
            .execute(&mut *tx)
            .await
            .unwrap();
        database.commit(tx).await.unwrap();
        let mut consumer = broker.consumer(Group::from_static("g"), &topics, StartAt::Earliest);
        let mut number = 20;
        let error = async {
            loop {
                match consumer.next().await {
                    Ok(Incoming::Deliveries(_)) => {
                        // The other topic has always something to deliver.
                        let mut message = message(number);
                        message.topic = topics[1].clone();
                        number += 1;
                        for answer in broker.publisher().publish(&[message]).await {
                            assert!(answer.is_acknowledged(), "{answer:?}");
                        }
                    }
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(60), error).await;
        let error = error.unwrap_or_else(|_| panic!("a hole of {hole} is passed over in silence"));
        assert!(!error.is_retryable(), "{error:?}");
    }
}

/// A wall clock that can be set.
#[derive(Debug)]
struct WallClock(std::sync::Mutex<std::time::SystemTime>);

impl Clock for WallClock {
    fn now(&self) -> std::time::SystemTime {
        *self.0.lock().unwrap()
    }
    fn monotonic(&self) -> Monotonic {
        SystemClock::new().monotonic()
    }
    fn boot_id(&self) -> BootId {
        SystemClock::new().boot_id()
    }
}

#[tokio::test]
async fn a_sweep_leaves_no_hole_when_the_wall_clock_went_back() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("broker.db"))
        .await
        .unwrap();
    let noon = SystemClock::new().now();
    let clock = Arc::new(WallClock(std::sync::Mutex::new(noon)));
    let mut options = Options::default();
    options.clock = Arc::<WallClock>::clone(&clock);
    let broker = Broker::open(database, options).await.unwrap();
    let topic = Topic::from_static(TOPIC);
    broker.create_topic(&topic, 1).await.unwrap();
    publish(&broker, 0..3).await;
    *clock.0.lock().unwrap() = noon.checked_sub(Duration::from_secs(7200)).unwrap();
    publish(&broker, 3..6).await; // looks two hours older than what lies before it
    *clock.0.lock().unwrap() = noon + Duration::from_secs(60);
    let topics = [topic];
    let mut consumer = broker.consumer(Group::from_static("g"), &topics, StartAt::Earliest);
    let mut position = next_deliveries(&mut consumer).await[0].position.clone();
    position.offset = 6;
    consumer.commit(&[position]).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(broker.sweep(hour, 100).await.unwrap(), 0);
    let mut fresh = broker.consumer(Group::from_static("fresh"), &topics, StartAt::Earliest);
    assert_eq!(next_deliveries(&mut fresh).await.len(), 6);
}
