//! Pruning, and holes in the log.

use super::*;

#[tokio::test]
async fn pruning_removes_only_records_that_every_group_has_finished() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    publish(&f.broker, 0..5).await;
    assert_eq!(
        f.broker.prune(Duration::ZERO, 100).await.unwrap(),
        0,
        "no group has read it"
    );
    let mut fast = f.broker.consumer("fast").subscribe([&topic]).await.unwrap();
    let mut slow = f.broker.consumer("slow").subscribe([&topic]).await.unwrap();
    for (consumer, finished) in [(&mut fast, 5), (&mut slow, 2)] {
        let mut position = next_deliveries(consumer).await[0].position.clone();
        position.offset = finished;
        consumer.commit(&[position]).await.unwrap();
    }
    assert_eq!(
        f.broker
            .prune(Duration::from_secs(3600), 100)
            .await
            .unwrap(),
        0,
        "too young"
    );
    assert_eq!(f.broker.prune(Duration::MAX, 100).await.unwrap(), 0);
    assert_eq!(f.broker.prune(Duration::ZERO, 100).await.unwrap(), 2);
    publish(&f.broker, 5..6).await;
    let progress = f
        .broker
        .progress(&Group::from_static("slow"))
        .await
        .unwrap();
    assert_eq!((progress[0].1, progress[0].2), (2, 6));
}

#[tokio::test]
async fn a_group_that_is_away_finds_a_topic_that_was_created_meanwhile_from_its_beginning() {
    let f = fixture().await;
    let topics = [TOPIC, "present"].map(Topic::from_static);
    f.broker.create_topic(&topics[1], 1).await.unwrap();
    let join = || f.broker.consumer("away").start_at(StartAt::Latest);
    let mut away = join().subscribe(&topics).await.unwrap();
    let ConsumerEvent::Assigned(held) = away.next().await.unwrap() else {
        panic!("no assignment");
    };
    away.release(&[held[0].partition.clone()]).await.unwrap();
    drop(away);
    f.broker.create_topic(&topics[0], 1).await.unwrap();
    publish(&f.broker, 0..3).await;
    let mut other = f.broker.consumer("other").subscribe([TOPIC]).await.unwrap();
    let last = next_deliveries(&mut other).await.pop().unwrap();
    other.commit(&[last.position.next()]).await.unwrap();
    let pruned = f.broker.prune(Duration::ZERO, 100).await.unwrap();
    assert_eq!(pruned, 0, "a group has not seen the topic yet");
    let mut back = join().subscribe(&topics).await.unwrap();
    assert_eq!(next_deliveries(&mut back).await.len(), 3);
    // A topic that it subscribes to for the first time holds older records.
    let joining = f.broker.consumer("new").start_at(StartAt::Latest);
    let mut new = joining.subscribe(&topics).await.unwrap();
    let ConsumerEvent::Assigned(held) = new.next().await.unwrap() else {
        panic!("no assignment");
    };
    assert_eq!(held.iter().map(|a| a.start).max(), Some(3));
}

#[tokio::test]
async fn a_hole_in_the_log_of_any_length_is_an_error_even_while_others_flow() {
    for hole in [1, 5, 6, 12] {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("broker.db"))
            .await
            .unwrap();
        let broker = Broker::builder_on(database.clone())
            .lease(Duration::from_millis(300))
            .fetch_records(5)
            .open()
            .await
            .unwrap();
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
        let mut consumer = broker.consumer("g").subscribe(&topics).await.unwrap();
        let mut number = 20;
        let error = async {
            loop {
                match consumer.next().await {
                    Ok(ConsumerEvent::Deliveries(_)) => {
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
async fn pruning_leaves_no_hole_when_the_wall_clock_went_back() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("broker.db"))
        .await
        .unwrap();
    let noon = SystemClock::new().now();
    let clock = Arc::new(WallClock(std::sync::Mutex::new(noon)));
    let broker = Broker::builder_on(database)
        .clock(Arc::<WallClock>::clone(&clock))
        .open()
        .await
        .unwrap();
    let topic = Topic::from_static(TOPIC);
    broker.create_topic(&topic, 1).await.unwrap();
    publish(&broker, 0..3).await;
    *clock.0.lock().unwrap() = noon.checked_sub(Duration::from_secs(7200)).unwrap();
    publish(&broker, 3..6).await; // looks two hours older than what lies before it
    *clock.0.lock().unwrap() = noon + Duration::from_secs(60);
    let topics = [topic];
    let mut consumer = broker.consumer("g").subscribe(&topics).await.unwrap();
    let mut position = next_deliveries(&mut consumer).await[0].position.clone();
    position.offset = 6;
    consumer.commit(&[position]).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(broker.prune(hour, 100).await.unwrap(), 0);
    let mut fresh = broker.consumer("fresh").subscribe(&topics).await.unwrap();
    assert_eq!(next_deliveries(&mut fresh).await.len(), 6);
}
