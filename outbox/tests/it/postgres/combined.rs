//! A business write and its message in one statement.

use mainstay_outbox::{
    Error, Outbox as _,
    store::{RelayStore as _, Row},
};
use sqlx::{AssertSqlSafe, Executor as _};

use super::{LEASE, Shop, ids, message, shop};

async fn stock() -> Option<Shop> {
    let shop = shop().await?;
    shop.run("CREATE TABLE stock (sku TEXT PRIMARY KEY, left_over BIGINT NOT NULL); INSERT INTO stock VALUES ('mug', 5), ('cup', 5)")
        .await;
    Some(shop)
}

const TAKE: &str = "UPDATE stock SET left_over = left_over - $1 WHERE sku = $2 RETURNING left_over";

/// Two transactions on one row: the first locks it, the second writes it by `statement` and waits, and
/// only then the first writes. Returns the messages in position order.
async fn race(shop: &Shop, statement: &str) -> Vec<String> {
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    let write = |number: usize| {
        let id = format!("{{\"id\":\"mug-{number}\"}}");
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .bind(1_i64)
            .bind("mug")
            .bind(0)
            .bind("orders")
            .bind(number.to_string())
            .bind(id)
            .bind(None::<Vec<u8>>)
    };
    let mut first = shop.pool().begin().await.unwrap();
    let lock = "SELECT FROM stock WHERE sku = 'mug' FOR UPDATE";
    first.execute(lock).await.unwrap();
    let (second, ()) = tokio::join!(write(2).execute(shop.pool()), async {
        shop.until_blocked(1).await;
        write(1).execute(&mut *first).await.unwrap();
        first.commit().await.unwrap();
    });
    second.unwrap();
    let rows = shop
        .outbox
        .fetch(&leases, super::ALL, &[])
        .await
        .unwrap()
        .rows;
    let key = |row: Row| row.ordering_key.unwrap().1.to_string();
    rows.into_iter().map(key).collect()
}

#[tokio::test]
async fn messages_about_one_row_are_published_in_commit_order() {
    let Some(shop) = stock().await else { return };
    let take = shop.outbox.enqueue_with(TAKE);
    assert_eq!(race(&shop, take.sql()).await, ["1", "2"]);
}

/// This is why the statement has no other form.
#[tokio::test]
async fn a_message_beside_the_write_would_draw_its_position_before_the_lock() {
    let Some(shop) = stock().await else { return };
    let beside = format!(
        "WITH business AS ({TAKE}) INSERT INTO outbox (shard, topic, key, envelope, payload)
         VALUES ($3::int4, $4::text, $5::text, $6::text, $7::bytea)"
    );
    assert_eq!(race(&shop, &beside).await, ["2", "1"]);
}

#[tokio::test]
async fn no_written_row_enqueues_no_message_and_many_rows_enqueue_one() {
    let Some(shop) = stock().await else { return };
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    let take = shop.outbox.enqueue_with(TAKE);
    let left: Option<(i64,)> = {
        let row = take
            .query(&message("mug", 0), |take| take.bind(2_i64).bind("mug"))
            .unwrap()
            .fetch_optional(shop.pool())
            .await
            .unwrap();
        row.map(|row| sqlx::FromRow::from_row(&row).unwrap())
    };
    assert_eq!(left, Some((3,)), "its rows are those of RETURNING");
    let nothing = take
        .query(&message("jar", 0), |take| take.bind(2_i64).bind("jar"))
        .unwrap()
        .fetch_optional(shop.pool())
        .await
        .unwrap();
    assert!(nothing.is_none());
    let all = shop
        .outbox
        .enqueue_with("UPDATE stock SET left_over = 0 RETURNING sku; ");
    let rows = all
        .query(&message("all", 0), |all| all)
        .unwrap()
        .fetch_all(shop.pool())
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    // In a transaction that is rolled back, it enqueues nothing.
    let mut tx = shop.pool().begin().await.unwrap();
    let query = take.query(&message("mug", 1), |take| take.bind(0_i64).bind("mug"));
    query.unwrap().execute(&mut *tx).await.unwrap();
    drop(tx);
    assert_eq!(ids(&shop.outbox, &leases).await, ["mug-0", "all-0"]);
    let mut oversize = message("mug", 2);
    oversize.payload = Some(vec![0; 2 << 20].into());
    let refused = take.query(&oversize, |take| take).map(drop);
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
    shop.outbox.notify();
}
