//! Concurrent transactions on a server. An SQLite file has one writer, so nothing races there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use commerce_chassis::{Db, ON_A_SERVER, Storage, StorageSettings};
use commerce_contracts::{OrderId, Sku};
use mainstay_database::Transactions as _;
use mainstay_testkit::postgres::{Server, TestDatabase, URL};

use crate::{
    MIGRATIONS,
    reservation::State,
    store::{self, Reservation},
};

/// A database of the test's own; close it last.
async fn database() -> Option<(Db, TestDatabase)> {
    if !ON_A_SERVER {
        return None;
    }
    let owned = Server::for_suite("commerce-inventory")?
        .database()
        .await
        .unwrap();
    let storage = Storage::new(&StorageSettings {
        data: PathBuf::from("unused"),
        postgres: std::env::var(URL).ok(),
        postgres_prefix: Some(owned.name().to_owned()),
        redis: None,
    });
    let db = Db::open(&storage.unwrap(), "").await.unwrap();
    db.migrate(&MIGRATIONS).await.unwrap();
    Some((db, owned))
}

#[tokio::test]
async fn a_second_reader_of_stock_waits_for_the_first_transaction() {
    let Some((db, owned)) = database().await else {
        return;
    };
    let sku = Sku::new("SKU-200");
    let mut first = db.begin().await.unwrap();
    let skus = BTreeSet::from([&sku]);
    assert_eq!(
        store::levels(&mut first, &skus).await.unwrap()[&sku].reserved,
        0
    );

    let (mut second, wanted) = (db.begin().await.unwrap(), sku.clone());
    let mut reading = tokio::spawn(async move {
        let skus = BTreeSet::from([&wanted]);
        store::levels(&mut second, &skus).await.unwrap()[&wanted].reserved
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut reading).await;
    assert!(
        early.is_err(),
        "it read {early:?} while another transaction was about to change it"
    );
    store::hold(&mut first, &BTreeMap::from([(sku, 5)]))
        .await
        .unwrap();
    db.commit(first).await.unwrap();
    assert_eq!(reading.await.unwrap(), 5);
    owned.close().await.unwrap();
}

#[tokio::test]
async fn a_reservation_of_another_transaction_is_a_conflict() {
    let Some((db, owned)) = database().await else {
        return;
    };
    let reservation = Reservation {
        order_id: OrderId::new("o"),
        state: State::Held,
        expires_at: None,
        emitted: 0,
        lines: BTreeMap::new(),
    };
    let (mut first, mut second) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    let order_ids = BTreeSet::from([&reservation.order_id]);
    for tx in [&mut first, &mut second] {
        assert!(store::load(tx, &order_ids).await.unwrap().is_empty());
    }
    store::insert(&mut first, std::slice::from_ref(&reservation), 1)
        .await
        .unwrap();
    db.commit(first).await.unwrap();
    let error = store::insert(&mut second, &[reservation], 2)
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    drop(second);
    owned.close().await.unwrap();
}
