//! Records that cannot be read.

use super::*;

#[tokio::test]
async fn a_damaged_or_newer_record_is_kept_raw_and_stops_nothing() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    publish(&f.broker, 0..3).await;
    let mut tx = f.database.begin().await.unwrap();
    for (offset, envelope) in [
        (0, "{"),
        (
            1,
            r#"{"id":"1","source":"s","kind":"K","version":1,"format":9}"#,
        ),
    ] {
        sqlx::query("UPDATE broker_records SET envelope = $1 WHERE id & 0xffffffffff = $2")
            .bind(envelope)
            .bind(offset)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    f.database.commit(tx).await.unwrap();
    let mut consumer = f.broker.consumer("g").subscribe([topic]).await.unwrap();
    let deliveries = next_deliveries(&mut consumer).await;
    let [
        Content::Raw(damaged),
        Content::Raw(newer),
        Content::Message(good),
    ] = [0, 1, 2].map(|i| &deliveries[i].content)
    else {
        panic!("{deliveries:?}");
    };
    assert_eq!(damaged.headers.get("envelope").unwrap(), "{");
    assert_eq!(damaged.payload.as_ref().unwrap(), "0");
    assert!(newer.reason.contains("format 9"), "{}", newer.reason);
    assert_eq!(good.id.as_str(), "2");
}

#[tokio::test]
async fn a_record_that_is_no_text_is_kept_raw_with_its_bytes_and_its_key() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    publish(&f.broker, 0..3).await;
    let mut tx = f.database.begin().await.unwrap();
    for damage in [
        "UPDATE broker_records SET envelope = CAST(x'7bff' AS TEXT) WHERE id & 0xffffffffff = 0",
        "UPDATE broker_records SET key = CAST(x'fe6b' AS TEXT) WHERE id & 0xffffffffff = 1",
    ] {
        sqlx::query(damage).execute(&mut *tx).await.unwrap();
    }
    f.database.commit(tx).await.unwrap();
    let mut consumer = f.broker.consumer("g").subscribe([topic]).await.unwrap();
    let deliveries = next_deliveries(&mut consumer).await;
    let [
        Content::Raw(envelope),
        Content::Raw(key),
        Content::Message(_),
    ] = [0, 1, 2].map(|i| &deliveries[i].content)
    else {
        panic!("{deliveries:?}");
    };
    assert_eq!(envelope.headers.get("envelope").unwrap(), &b"{\xff"[..]);
    assert_eq!(envelope.key.as_ref().unwrap(), "k");
    assert_eq!(envelope.payload.as_ref().unwrap(), "0");
    assert_eq!(key.key.as_ref().unwrap(), &b"\xfek"[..]);
    assert_eq!(key.payload.as_ref().unwrap(), "1");
}
