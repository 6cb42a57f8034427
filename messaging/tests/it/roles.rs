//! Roles behind pointers, and joining a group.

use std::sync::Arc;

use mainstay_messaging::{
    Consumer, Error, Message, Publisher, StartAt,
    broker::{ConsumerEvent, PublishOutcome},
    memory::Broker,
};

async fn orders() -> Broker {
    let broker = Broker::new();
    broker.create_topic("orders", 1).await.unwrap();
    broker
}

fn message() -> Message {
    let message = Message::builder().topic("orders").kind("OrderPlaced");
    message.source("/shop").build().unwrap()
}

async fn publish(publisher: impl Publisher) {
    let outcomes = publisher.publish(&[message()]).await;
    assert!(matches!(*outcomes, [PublishOutcome::Acknowledged]));
}

async fn read_one(mut consumer: impl Consumer) {
    assert_eq!(consumer.group().as_str(), "billing");
    loop {
        if let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() {
            let partition = deliveries[0].position.partition.clone();
            consumer.pause(std::slice::from_ref(&partition));
            consumer.resume(std::slice::from_ref(&partition));
            return consumer.release(&[partition]).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pointers_to_a_publisher_are_publishers() {
    let broker = orders().await;
    publish(Arc::new(broker.publisher())).await;
    publish(Box::new(broker.publisher())).await;
    publish(Arc::new(broker.publisher()) as Arc<dyn Publisher>).await;
    publish(Box::new(broker.publisher()) as Box<dyn Publisher>).await;
    assert_eq!(broker.records(&broker.partitions()[0], 0).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_boxed_consumer_is_a_consumer() {
    let broker = orders().await;
    publish(broker.publisher()).await;
    let join = || broker.consumer("billing").subscribe(["orders"]);
    read_one(Box::new(join().await.unwrap())).await;
    let consumer: Box<dyn Consumer> = Box::new(join().await.unwrap());
    read_one(consumer).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_group_topic_or_new_topic_is_named() {
    let broker = orders().await;
    for (group, topic, said) in [
        ("", "orders", r#"invalid group "": it is empty"#),
        ("billing", "", r#"invalid topic "": it is empty"#),
    ] {
        let joining = broker.consumer(group).start_at(StartAt::Latest);
        let error = joining.subscribe([topic]).await.unwrap_err();
        assert!(matches!(error, Error::InvalidName(_)), "{error:?}");
        assert_eq!(error.to_string(), said);
    }
    let error = broker.create_topic("", 1).await.unwrap_err();
    assert_eq!(error.to_string(), r#"invalid topic "": it is empty"#);
}
