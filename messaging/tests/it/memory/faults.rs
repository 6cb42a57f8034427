//! Each fault, on demand.

use std::time::Duration;

use mainstay_messaging::{
    Consumer, Error, Group, Partition, Position, Publisher, Topic,
    broker::{ConsumerEvent, PublishOutcome},
    memory::{Broker, LogConsumer},
};

use super::{deliveries, message, number_of, stored};

async fn broker() -> Broker {
    let broker = Broker::new();
    broker.create_topic("orders", 1).await.unwrap();
    broker
}

fn partition() -> Partition {
    Partition {
        topic: Topic::from_static("orders"),
        number: 0,
    }
}

fn group() -> Group {
    Group::from_static("g")
}

async fn consumer(broker: &Broker) -> LogConsumer {
    broker
        .consumer(group())
        .subscribe([partition().topic])
        .await
        .unwrap()
}

async fn publish(broker: &Broker, numbers: std::ops::Range<usize>) {
    let messages: Vec<_> = numbers.map(|number| message("k", number)).collect();
    for answer in broker.publisher().publish(&messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
}

/// The next event, in bounded (paused) time.
async fn event(consumer: &mut LogConsumer) -> Result<ConsumerEvent, Error> {
    tokio::time::timeout(Duration::from_secs(600), consumer.next())
        .await
        .expect("no event came")
}

fn below(offset: i64) -> [Position; 1] {
    [Position {
        partition: partition(),
        offset,
    }]
}

#[tokio::test(start_paused = true)]
async fn a_message_refused_for_good_is_refused_again_and_stops_its_key() {
    let broker = broker().await;
    broker.faults().refuse(|m| m.id.as_str() == "a-1");
    for _ in 0..2 {
        let messages = [message("a", 1), message("a", 2), message("b", 3)];
        let answers = broker.publisher().publish(&messages).await;
        let [
            PublishOutcome::Refused(Error::Refused(_)),
            PublishOutcome::Unknown(Error::NotTried),
            PublishOutcome::Acknowledged,
        ] = answers.as_slice()
        else {
            panic!("{answers:?}");
        };
    }
    assert_eq!(stored(&broker, 2).await, [3, 3]);
    broker.faults().heal();
    publish(&broker, 4..5).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_answer_is_lost_is_stored_and_later_ones_of_its_key_are_not() {
    let broker = broker().await;
    broker.faults().lose_answer(|m| m.id.as_str() == "a-1");
    let messages = [message("a", 0), message("a", 1), message("a", 2)];
    let answers = broker.publisher().publish(&messages).await;
    let [
        PublishOutcome::Acknowledged,
        PublishOutcome::Unknown(Error::Unavailable(_)),
        PublishOutcome::Unknown(Error::NotTried),
    ] = answers.as_slice()
    else {
        panic!("{answers:?}");
    };
    assert_eq!(stored(&broker, 2).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_is_unknown_and_not_stored() {
    let broker = broker().await;
    broker.faults().lose_message(|m| m.id.as_str() == "a-0");
    let messages = [message("a", 0), message("a", 1), message("b", 2)];
    let answers = broker.publisher().publish(&messages).await;
    let [
        PublishOutcome::Unknown(Error::Unavailable(_)),
        PublishOutcome::Unknown(Error::NotTried),
        PublishOutcome::Acknowledged,
    ] = answers.as_slice()
    else {
        panic!("{answers:?}");
    };
    assert_eq!(stored(&broker, 1).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn during_an_outage_nothing_is_stored_and_reading_fails() {
    let broker = broker().await;
    publish(&broker, 0..2).await;
    let mut reader = consumer(&broker).await;
    deliveries(&mut reader).await;

    // It reaches a consumer that waits.
    let faults = broker.clone();
    let (waited, ()) = tokio::join!(event(&mut reader), async { faults.faults().outage() });
    let error = waited.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    for answer in broker.publisher().publish(&[message("k", 2)]).await {
        assert!(
            matches!(&answer, PublishOutcome::Unknown(error) if error.is_retryable()),
            "{answer:?}"
        );
    }
    for refused in [
        reader.commit(&below(1)).await,
        reader.release(&[partition()]).await,
    ] {
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }

    broker.faults().heal();
    publish(&broker, 3..4).await;
    let after = deliveries(&mut reader).await;
    assert_eq!(after.iter().map(number_of).collect::<Vec<_>>(), [3]);
    reader.commit(&below(1)).await.unwrap();
    let progress = broker.progress(&group()).await.unwrap();
    assert_eq!(progress, [(partition(), 1, 3)]);
}

#[tokio::test(start_paused = true)]
async fn leases_end_during_an_outage() {
    let broker = broker().await;
    publish(&broker, 0..1).await;
    let mut first = consumer(&broker).await;
    deliveries(&mut first).await;
    broker.faults().outage();
    tokio::time::advance(Duration::from_secs(5)).await;
    broker.faults().heal();
    let mut second = consumer(&broker).await;
    assert_eq!(deliveries(&mut second).await.len(), 1);
    let lost = event(&mut first).await.unwrap();
    assert!(matches!(lost, ConsumerEvent::Lost(_)), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn redelivery_starts_again_at_the_committed_offset() {
    let broker = broker().await;
    publish(&broker, 0..3).await;
    let mut reader = consumer(&broker).await;
    deliveries(&mut reader).await;
    reader.commit(&below(1)).await.unwrap();
    broker.faults().redeliver(&group());
    let ConsumerEvent::Lost(lost) = event(&mut reader).await.unwrap() else {
        panic!("not lost");
    };
    assert_eq!(lost, [partition()]);
    let ConsumerEvent::Assigned(assigned) = event(&mut reader).await.unwrap() else {
        panic!("not assigned");
    };
    assert_eq!(assigned[0].start, 1);
    let again = deliveries(&mut reader).await;
    assert_eq!(again.iter().map(number_of).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_expelled_member_loses_everything_and_cannot_commit() {
    let broker = broker().await;
    publish(&broker, 0..2).await;
    let mut expelled = consumer(&broker).await;
    deliveries(&mut expelled).await;
    broker.faults().expel(&group(), &partition());
    let mut successor = consumer(&broker).await;
    assert_eq!(deliveries(&mut successor).await.len(), 2);
    let refused = expelled.commit(&below(2)).await;
    assert!(matches!(refused, Err(Error::NotAssigned(_))), "{refused:?}");
    let ConsumerEvent::Lost(lost) = event(&mut expelled).await.unwrap() else {
        panic!("not lost");
    };
    assert_eq!(lost, [partition()]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_from_before_a_redelivery_is_refused() {
    let broker = broker().await;
    publish(&broker, 0..2).await;
    let mut reader = consumer(&broker).await;
    deliveries(&mut reader).await;
    broker.faults().redeliver(&group());
    // The broker acts before this member knows: it is still the owner, under another epoch.
    let mut other = broker
        .consumer("other")
        .subscribe([partition().topic])
        .await
        .unwrap();
    deliveries(&mut other).await;
    let refused = reader.commit(&below(2)).await;
    assert!(matches!(refused, Err(Error::NotAssigned(_))), "{refused:?}");
    assert_eq!(
        deliveries(&mut reader).await.len(),
        2,
        "the refused commit moved the offset"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_dropped_on_its_way_may_be_published_again() {
    let broker = broker().await;
    let publisher = broker.publisher();
    let messages = [message("k", 0)];
    // Polled once: on its way to the log. Twice: stored, the answer is on its way back.
    for polls in [1, 2] {
        let mut publishing = publisher.publish(&messages);
        for _ in 0..polls {
            assert!(futures_util::poll!(&mut publishing).is_pending());
        }
    }
    publish(&broker, 0..1).await;
    assert_eq!(stored(&broker, 2).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_last_member_waits_for_the_lease_of_its_former_life() {
    let broker = broker().await;
    publish(&broker, 0..1).await;
    let mut killed = consumer(&broker).await;
    deliveries(&mut killed).await;
    drop(killed);
    let mut restarted = consumer(&broker).await;
    let early = tokio::time::timeout(Duration::from_millis(4_999), deliveries(&mut restarted));
    assert!(early.await.is_err());
    assert_eq!(deliveries(&mut restarted).await.len(), 1);
}
