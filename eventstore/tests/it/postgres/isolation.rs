//! Transactions that see one snapshot.

use mainstay_eventstore::{Error, EventStore as _, Loaded};

use super::fixture;
use crate::orders::{Order, noted};

/// As the crate page says: the snapshot cannot show what was appended, so the server ends the
/// transaction, which is tried again as a whole.
#[tokio::test]
async fn above_read_committed_a_conflict_is_a_retryable_database_error() {
    let Some(f) = fixture().await else { return };
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for count in [1, 3] {
            let id = format!("{level} {count}");
            let mut tx = f.database.begin().await.unwrap();
            let set = format!("SET TRANSACTION ISOLATION LEVEL {level}");
            let set = sqlx::raw_sql(sqlx::AssertSqlSafe(set));
            set.execute(&mut *tx).await.unwrap();
            let mut order: Loaded<Order> = f.store.load(&mut tx, &id).await.unwrap();

            let mut other = f.database.begin().await.unwrap();
            let first = f.store.create::<Order>(&mut other, &id, [noted("other")]);
            first.await.unwrap();
            f.database.commit(other).await.unwrap();

            let events = (0..count).map(|_| noted("late"));
            let refused = f.store.append(&mut tx, &id, &mut order, events).await;
            let refused = refused.unwrap_err();
            assert!(matches!(refused, Error::Database(_)), "{refused}");
            assert!(refused.is_retryable(), "{refused}");
            drop(tx);

            let mut tx = f.database.begin().await.unwrap();
            let order: Loaded<Order> = f.store.load(&mut tx, &id).await.unwrap();
            assert_eq!(order.notes, ["other"]);
        }
    }
}
