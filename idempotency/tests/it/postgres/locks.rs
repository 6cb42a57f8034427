//! Advisory locks: they tell at once, and nobody ever waits for one.

use mainstay_idempotency::{
    Answer, Begun, KeyedRequest, Records as _, Scope, Settled, conformance::RecordsFixture as _,
};
use sqlx::PgConnection;

use super::{PostgresFixture, fixture};

fn request(key: &str) -> KeyedRequest {
    let scope = Scope::single_tenant("POST /orders").unwrap();
    KeyedRequest::new(scope.key(key).unwrap(), "a mug")
}

/// Advisory locks of the whole database.
async fn locks(f: &PostgresFixture) -> i64 {
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(locks).fetch_one(&f.owner).await.unwrap()
}

/// A statement that waits for any lock fails.
async fn never_wait(tx: &mut PgConnection) {
    let nothing = "SET LOCAL lock_timeout = 1";
    sqlx::query(nothing).execute(tx).await.unwrap();
}

fn is_running<C>(begun: &Begun<C>) -> bool {
    matches!(begun, Begun::Settled(Settled::Running { .. }))
}

#[tokio::test]
async fn a_lock_is_held_for_the_transaction_and_no_longer() {
    let Some(f) = fixture().await else { return };
    for commits in [true, false] {
        let mut tx = f.database.begin().await.unwrap();
        let begun = f.records().begin(&mut tx, &request("k1")).await.unwrap();
        let Begun::Fresh(claim) = begun else {
            panic!("{begun:?}");
        };
        assert_eq!(locks(&f).await, 1);
        if commits {
            let answer = Answer::new(200_u16, "made");
            f.records().complete(&mut tx, claim, &answer).await.unwrap();
            f.database.commit(tx).await.unwrap();
            assert_eq!(locks(&f).await, 0, "after a commit");
            // An answer that is given again takes none.
            let mut tx = f.database.begin().await.unwrap();
            let begun = f.records().begin(&mut tx, &request("k1")).await.unwrap();
            assert!(matches!(begun, Begun::Settled(Settled::Done(_))));
            assert_eq!(locks(&f).await, 0, "for a replay");
            tx.rollback().await.unwrap();
            sqlx::query("TRUNCATE sales.shop_idempotency_records")
                .execute(&f.owner)
                .await
                .unwrap();
        } else {
            tx.rollback().await.unwrap();
            assert_eq!(locks(&f).await, 0, "after a rollback");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_running_is_told_without_a_wait() {
    let Some(f) = fixture().await else { return };
    let mut first = f.database.begin().await.unwrap();
    let begun = f.records().begin(&mut first, &request("k1")).await.unwrap();
    let Begun::Fresh(claim) = begun else {
        panic!("{begun:?}");
    };
    let answer = Answer::new(200_u16, "made");
    f.records()
        .complete(&mut first, claim, &answer)
        .await
        .unwrap();
    let mut second = f.database.begin().await.unwrap();
    never_wait(&mut second).await;
    for _ in 0..3 {
        let begun = f
            .records()
            .begin(&mut second, &request("k1"))
            .await
            .unwrap();
        assert!(is_running(&begun), "{begun:?}");
    }
    f.database.commit(first).await.unwrap();
    // READ COMMITTED: the next statement of the same transaction sees the answer.
    let begun = f
        .records()
        .begin(&mut second, &request("k1"))
        .await
        .unwrap();
    assert!(matches!(begun, Begun::Settled(Settled::Done(_))));
}

#[tokio::test]
async fn batches_with_common_keys_never_wait_for_each_other() {
    let Some(f) = fixture().await else { return };
    let keys: Vec<KeyedRequest> = (0..50).map(|n| request(&format!("k{n}"))).collect();
    let forwards: Vec<_> = keys.iter().collect();
    let backwards: Vec<_> = keys.iter().rev().collect();
    let begin = async |batch: &[&KeyedRequest]| {
        let mut tx = f.database.begin().await.unwrap();
        never_wait(&mut tx).await;
        let begun = f.records().begin_batch(&mut tx, batch).await.unwrap();
        (tx, begun.iter().filter(|begun| !is_running(begun)).count())
    };
    for _ in 0..20 {
        // Both stay open until both have begun.
        let ((one, ones), (other, others)) = tokio::join!(begin(&forwards), begin(&backwards));
        assert_eq!(ones + others, 50, "{ones} and {others}");
        one.rollback().await.unwrap();
        other.rollback().await.unwrap();
    }
}

/// The same table name in another schema is another store.
#[tokio::test]
async fn stores_in_two_namespaces_do_not_exclude_each_other() {
    let Some(f) = fixture().await else { return };
    let owner = mainstay_database::postgres::Database::from(&f.owner);
    let namespace = mainstay_database::Namespace::prefixed("other_").unwrap();
    let other = mainstay_idempotency::PostgresRecords::builder(&owner)
        .namespace(namespace)
        .open()
        .await
        .unwrap();
    let mut first = f.database.begin().await.unwrap();
    let begun = f.records().begin(&mut first, &request("k1")).await.unwrap();
    assert!(matches!(begun, Begun::Fresh(_)));
    let mut second = owner.begin().await.unwrap();
    let begun = other.begin(&mut second, &request("k1")).await.unwrap();
    assert!(matches!(begun, Begun::Fresh(_)));
}
