//! Combined statements.

use mainstay_inbox::{
    Inbox as _,
    conformance::Fixture as _,
    postgres::{Combined, Effect},
};
use std::time::Duration;

use super::{fixture, scene::delivery};
use crate::named::{group, message};

#[tokio::test]
async fn a_combined_statement_makes_effect_and_processed_record_once() {
    let Some(f) = fixture().await else { return };
    let write = f
        .inbox
        .admit_with(&Effect::insert("effects", "effect", "$1 || '!'"));
    let delivery = delivery(message("a", 0), 0);
    let consumer = group();
    let mut connection = f.database.pool().acquire().await.unwrap();
    for expected in [Combined::Fresh { rows: 1 }, Combined::Duplicate] {
        let made = write
            .admit(&mut connection, &consumer, &delivery, |q| q.bind("a-0"))
            .await
            .unwrap();
        assert_eq!(made, expected);
    }
    assert_eq!(
        (f.effects().await, f.processed().await),
        (vec!["a-0!".to_owned()], 1)
    );
    // The same processed record as any other.
    let mut tx = f.database.begin().await.unwrap();
    let admission = f.inbox.admit(&mut tx, &consumer, &delivery).await.unwrap();
    assert!(!admission.is_fresh());
}

#[tokio::test]
async fn an_effect_that_fails_leaves_no_processed_record() {
    let Some(f) = fixture().await else { return };
    let divide = Effect::insert("accounts", "id, balance", "$1::bigint, 1 / $2::bigint");
    let divide = f.inbox.admit_with(&divide);
    let delivery = delivery(message("a", 0), 0);
    let consumer = group();
    let mut connection = f.database.pool().acquire().await.unwrap();
    for (by, made) in [(0_i64, None), (1, Some(Combined::Fresh { rows: 1 }))] {
        let answer = divide
            .admit(&mut connection, &consumer, &delivery, |q| {
                q.bind(1_i64).bind(by)
            })
            .await;
        assert_eq!(answer.ok(), made);
    }
    assert_eq!(f.processed().await, 1);
}

/// The statement that waits must not make its effect without the processed record.
#[tokio::test]
async fn the_second_of_two_concurrent_statements_waits_and_makes_no_effect() {
    let Some(f) = fixture().await else { return };
    let accounts = "INSERT INTO accounts VALUES (1, 100), (2, 0)";
    sqlx::query(accounts).execute(&f.owner).await.unwrap();
    let add = Effect::update("accounts", "balance = balance + $2", "id = $1 OR id = -$1");
    let add = f.inbox.admit_with(&add);
    let consumer = group();
    for (round, commits) in [true, false].into_iter().enumerate() {
        let delivery = delivery(message("a", round), 0);
        let mut tx = f.database.begin().await.unwrap();
        let first = add.admit(&mut tx, &consumer, &delivery, |q| q.bind(1_i64).bind(5_i64));
        assert_eq!(first.await.unwrap(), Combined::Fresh { rows: 1 });
        let mut connection = f.database.pool().acquire().await.unwrap();
        let mut second = Box::pin(add.admit(&mut connection, &consumer, &delivery, |q| {
            q.bind(1_i64).bind(5_i64)
        }));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
        assert!(early.is_err(), "{early:?}");
        let expected = if commits {
            f.database.commit(tx).await.unwrap();
            Combined::Duplicate
        } else {
            tx.rollback().await.unwrap();
            Combined::Fresh { rows: 1 }
        };
        assert_eq!(second.await.unwrap(), expected);
    }
    let balances: Vec<i64> = sqlx::query_scalar("SELECT balance FROM accounts ORDER BY id")
        .fetch_all(&f.owner)
        .await
        .unwrap();
    assert_eq!(balances, [110, 0]);
}

#[tokio::test]
async fn an_effect_reports_that_it_changed_no_row() {
    let Some(f) = fixture().await else { return };
    let delete = f.inbox.admit_with(&Effect::delete("accounts", "id = $1"));
    let consumer = group();
    let mut connection = f.database.pool().acquire().await.unwrap();
    let made = delete
        .admit(
            &mut connection,
            &consumer,
            &delivery(message("a", 0), 0),
            |q| q.bind(7_i64),
        )
        .await
        .unwrap();
    assert_eq!(made, Combined::Fresh { rows: 0 });
}
