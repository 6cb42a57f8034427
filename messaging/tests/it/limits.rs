//! Documented limits, each checked where its value enters.

use mainstay_messaging::{Error, Group, InvalidName, Key, Kind, Message, MessageId, Source, Topic};

#[test]
fn a_name_has_1_to_255_bytes_and_no_control_character() {
    type Check = fn(String) -> Result<(), InvalidName>;
    let names: [(&str, Check); 6] = [
        ("message id", |text| MessageId::new(text).map(drop)),
        ("source", |text| Source::new(text).map(drop)),
        ("topic", |text| Topic::new(text).map(drop)),
        ("key", |text| Key::new(text).map(drop)),
        ("kind", |text| Kind::new(text).map(drop)),
        ("group", |text| Group::new(text).map(drop)),
    ];
    for (what, check) in names {
        for text in ["x".to_owned(), "x".repeat(255), "é".repeat(127)] {
            check(text).unwrap();
        }
        for (text, limit) in [
            (String::new(), "it is empty"),
            ("x".repeat(256), "it is longer than 255 bytes"),
            ("é".repeat(128), "it is longer than 255 bytes"),
            ("a\nb".to_owned(), "it holds a control character"),
            ("a\u{0}b".to_owned(), "it holds a control character"),
            ("a\u{9f}b".to_owned(), "it holds a control character"),
        ] {
            let refused = check(text).unwrap_err();
            assert_eq!((refused.what, refused.reason), (what, limit));
        }
    }
}

fn builder() -> mainstay_messaging::MessageBuilder {
    let builder = Message::builder().topic("orders").kind("OrderPlaced");
    builder.source("/shop")
}

#[test]
fn a_version_is_1_or_more() {
    assert_eq!(
        builder().version(u32::MAX).build().unwrap().version,
        u32::MAX
    );
    let error = builder().version(0).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the version of a message is 0: it must be 1 or more"
    );
    assert!(!error.is_retryable());
}

fn refuses_no_partitions(refused: Result<(), Error>) {
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the number of partitions of a topic is 0: it must be 1 to 65535"
    );
}

#[cfg(feature = "memory")]
mod memory {
    use super::*;
    use mainstay_messaging::{Consumer, Publisher, broker::ConsumerEvent, memory::Broker};

    #[tokio::test]
    async fn a_topic_has_1_to_65535_partitions() {
        let broker = Broker::new();
        refuses_no_partitions(broker.create_topic("orders", 0).await);
        broker.create_topic("orders", 3).await.unwrap();
        broker.create_topic("many", u16::MAX).await.unwrap();
        assert_eq!(broker.partitions().len(), 3 + usize::from(u16::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_holds_at_least_one_record() {
        for builder in [
            Broker::builder().fetch_records(0),
            Broker::builder().fetch_bytes(0),
        ] {
            let broker = builder.build();
            broker.create_topic("orders", 1).await.unwrap();
            let outcomes = broker.publisher().publish(&[builder_message()]).await;
            assert!(outcomes[0].is_acknowledged());
            let mut consumer = broker.consumer("g").subscribe(["orders"]).await.unwrap();
            let reading = async {
                while !matches!(consumer.next().await.unwrap(), ConsumerEvent::Deliveries(_)) {}
            };
            let read = tokio::time::timeout(std::time::Duration::from_secs(60), reading).await;
            read.expect("the record did not come");
        }
    }

    fn builder_message() -> Message {
        builder().build().unwrap()
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use std::time::Duration;

    use mainstay_database::sqlite::Database;
    use mainstay_messaging::{
        Consumer, Publisher,
        broker::{ConsumerEvent, PublishOutcome},
        sqlite::{Broker, Builder},
    };

    async fn open(set: impl FnOnce(Builder) -> Builder) -> (tempfile::TempDir, Broker) {
        let directory = tempfile::tempdir().unwrap();
        let builder = Broker::builder(directory.path().join("log.db"));
        let broker = set(builder).open().await.unwrap();
        (directory, broker)
    }

    async fn change(directory: &tempfile::TempDir, sql: &'static str) {
        let database = Database::open(directory.path().join("log.db"))
            .await
            .unwrap();
        let mut tx = database.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
    }

    #[tokio::test]
    async fn a_topic_has_1_to_65535_partitions() {
        let (_directory, broker) = open(|builder| builder).await;
        refuses_no_partitions(broker.create_topic("orders", 0).await);
        broker.create_topic("orders", 3).await.unwrap();
        broker.create_topic("many", u16::MAX).await.unwrap();
    }

    #[tokio::test]
    async fn a_delivery_holds_at_least_one_record() {
        for set in [
            |b: Builder| b.fetch_records(0),
            |b: Builder| b.fetch_bytes(0),
        ] {
            let (_directory, broker) = open(set).await;
            broker.create_topic("orders", 1).await.unwrap();
            let message = builder().build().unwrap();
            let outcomes = broker.publisher().publish(&[message]).await;
            assert!(outcomes[0].is_acknowledged());
            let mut consumer = broker.consumer("g").subscribe(["orders"]).await.unwrap();
            let reading = async {
                while !matches!(consumer.next().await.unwrap(), ConsumerEvent::Deliveries(_)) {}
            };
            let read = tokio::time::timeout(Duration::from_secs(20), reading).await;
            read.expect("the record did not come");
        }
    }

    /// An id of a record has 23 bits for the partition.
    #[tokio::test]
    async fn a_file_has_8388607_partitions() {
        let (directory, broker) = open(|builder| builder).await;
        change(
            &directory,
            "INSERT INTO broker_partitions (id, topic, number) VALUES (8388600, 'old', 0)",
        )
        .await;
        let error = broker.create_topic("orders", 8).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the number of partitions of all topics is 8388608: it must be 8388607 or less"
        );
        broker.create_topic("orders", 7).await.unwrap();
        let messages: Vec<Message> = (0..50).map(|_| builder().build().unwrap()).collect();
        for outcome in broker.publisher().publish(&messages).await {
            assert!(outcome.is_acknowledged(), "{outcome:?}");
        }
    }

    /// The other 40 bits are the offset.
    #[tokio::test]
    async fn a_partition_has_1099511627776_records() {
        let (directory, broker) = open(|builder| builder).await;
        broker.create_topic("orders", 1).await.unwrap();
        change(
            &directory,
            "UPDATE broker_partitions SET next_offset = (1 << 40) - 1",
        )
        .await;
        let publisher = broker.publisher();
        let publish = async |count: usize| {
            let message = || builder().build().unwrap();
            let messages: Vec<_> = std::iter::repeat_with(message).take(count).collect();
            publisher.publish(&messages).await
        };
        let outcomes = publish(2).await;
        let [PublishOutcome::Unknown(error), PublishOutcome::Unknown(_)] = &*outcomes else {
            panic!("{outcomes:?}");
        };
        assert_eq!(
            error.to_string(),
            "the number of records of a partition is 1099511627777: it must be 1099511627776 or less"
        );
        assert!(publish(1).await[0].is_acknowledged());
    }

    /// SQLite takes a thousand million bytes in one value, and JSON may write a byte as six.
    #[tokio::test]
    async fn a_message_has_134217728_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let open = async |size| {
            let builder = Broker::builder(directory.path().join("log.db"));
            builder.max_message_size(size).open().await
        };
        open(128 * 1024 * 1024).await.unwrap();
        let error = open(128 * 1024 * 1024 + 1).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "max_message_size is 134217729: it must be 134217728 or less"
        );
    }
}
