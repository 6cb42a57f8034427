//! What a user sees when something is wrong.

use std::time::Duration;

use mainstay_messaging::conformance::PublisherFixture as _;
use mainstay_messaging::{
    Error, Publisher,
    broker::PublishOutcome,
    kafka::{Broker, rdkafka::admin::AdminOptions},
};

use super::{fixture::message, real};

#[tokio::test]
async fn a_cluster_that_is_not_there_is_unavailable() {
    let opened = Broker::builder("127.0.0.1:1")
        .request_timeout(Duration::from_millis(500))
        .open()
        .await;
    let error = opened.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let text = error.to_string();
    assert!(text.contains("connecting to the cluster failed"), "{text}");
    assert!(text.contains("127.0.0.1:1"), "{text}");
}

#[tokio::test]
async fn settings_on_which_the_guarantees_rest_are_refused() {
    for (name, value, expected) in [
        ("acks", "1", "acks"),
        ("batch.size", "1", "batch.size"),
        ("delivery.report.only.error", "true", "only.error"),
        ("enable.auto.commit", "true", "enable.auto.commit"),
        ("message.max.bytes", "1000", "message.max.bytes"),
        ("metadata.broker.list", "other:9092", "broker.list"),
        ("transactional.id", "shop", "transactional.id"),
        ("no.such.setting", "1", "no.such.setting"),
        ("linger.ms", "soon", "linger.ms"),
    ] {
        let opened = Broker::builder("127.0.0.1:1")
            .setting(name, value)
            .open()
            .await;
        let error = opened.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let builder = Broker::builder("kafka:9092").setting("sasl.password", "swordfish");
    let shown = format!("{builder:?}");
    assert!(
        shown.contains("sasl.password") && !shown.contains("swordfish"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_topic_with_a_name_that_kafka_refuses_is_refused() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let error = f.broker.create_topic("with space", 1).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert!(
        error.to_string().contains("creating a topic failed"),
        "{error}"
    );
    let read = f.broker.read(["missing"]).await;
    assert!(matches!(read, Err(Error::UnknownTopic(_))), "{read:?}");
}

#[tokio::test]
async fn a_topic_that_is_deleted_is_unknown_to_its_publisher() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    let publisher = f.publisher();
    assert!(publisher.publish(&[message("a", 0)]).await[0].is_acknowledged());
    let full = f.full(&topic);
    let deleted = f
        .admin()
        .delete_topics(&[&full], &AdminOptions::new())
        .await;
    deleted.unwrap().remove(0).unwrap();
    let waiting = async {
        loop {
            match publisher.publish(&[message("a", 1)]).await.remove(0) {
                PublishOutcome::Refused(Error::UnknownTopic(unknown)) => return unknown,
                // Its node hears of the deletion a moment later.
                PublishOutcome::Acknowledged | PublishOutcome::Unknown(_) => {}
                other @ PublishOutcome::Refused(_) => panic!("{other:?}"),
            }
        }
    };
    let unknown = tokio::time::timeout(super::fixture::PATIENCE, waiting).await;
    assert_eq!(unknown.unwrap(), topic);
}
