//! What a key costs: two statements, and no commit.

use mainstay_database::postgres::Database;
use mainstay_idempotency::{
    Answer, Begun, KeyedRequest, PostgresRecords, Records as _, Scope, Settled,
    conformance::RecordsFixture as _,
};
use mainstay_testkit::Wire;

use super::{PostgresFixture, fixture};

fn request(number: usize) -> KeyedRequest {
    let scope = Scope::single_tenant("POST /orders").unwrap();
    KeyedRequest::new(scope.key(&number.to_string()).unwrap(), "a mug")
}

/// Round trips and commits of `work`, once it has been done before: statements are prepared then.
async fn cost(wire: &Wire, work: impl AsyncFn(usize)) -> (usize, usize) {
    work(0).await;
    let before = (wire.round_trips(), wire.commits());
    work(1).await;
    (wire.round_trips() - before.0, wire.commits() - before.1)
}

async fn without_a_key(database: &Database) {
    let mut tx = database.begin().await.unwrap();
    PostgresFixture::write(&mut tx, "made").await.unwrap();
    database.commit(tx).await.unwrap();
}

async fn with_keys(database: &Database, records: &PostgresRecords, numbers: Vec<usize>) {
    let requests: Vec<_> = numbers.into_iter().map(request).collect();
    let answer = Answer::new(200_u16, "made");
    let mut tx = database.begin().await.unwrap();
    if let [request] = &*requests {
        match records.begin(&mut tx, request).await.unwrap() {
            Begun::Fresh(claim) => {
                PostgresFixture::write(&mut tx, "made").await.unwrap();
                records.complete(&mut tx, claim, &answer).await.unwrap();
            }
            Begun::Settled(settled) => panic!("{settled:?}"),
        }
    } else {
        let batch: Vec<_> = requests.iter().collect();
        let begun = records.begin_batch(&mut tx, &batch).await.unwrap();
        PostgresFixture::write(&mut tx, "made").await.unwrap();
        let claims = begun.into_iter().map(|begun| match begun {
            Begun::Fresh(claim) => (claim, &answer),
            Begun::Settled(settled) => panic!("{settled:?}"),
        });
        records
            .complete_batch(&mut tx, claims.collect())
            .await
            .unwrap();
    }
    database.commit(tx).await.unwrap();
}

#[tokio::test]
async fn a_key_costs_two_round_trips_and_no_commit() {
    let Some(f) = fixture().await else { return };
    let (wire, database, records) = f.over_a_wire().await;
    let (without, commits) = cost(&wire, async |_| without_a_key(&database).await).await;
    assert_eq!(commits, 1);
    let one = async |n| with_keys(&database, &records, vec![n]).await;
    assert_eq!(cost(&wire, one).await, (without + 2, 1));
    // As many keys as one likes.
    let many = async |n| {
        let numbers = (0..100).map(|m| 1_000 + 100 * n + m);
        with_keys(&database, &records, numbers.collect()).await;
    };
    assert_eq!(cost(&wire, many).await, (without + 2, 1));
}

#[tokio::test]
async fn an_answer_that_is_given_again_costs_one_round_trip_in_its_transaction() {
    let Some(f) = fixture().await else { return };
    let (wire, database, records) = f.over_a_wire().await;
    with_keys(&database, &records, vec![7]).await;
    let transaction = async |begins: bool| {
        cost(&wire, async |_| {
            let mut tx = database.begin().await.unwrap();
            if begins {
                let begun = records.begin(&mut tx, &request(7)).await.unwrap();
                assert!(matches!(begun, Begun::Settled(Settled::Done(_))));
            }
            tx.rollback().await.unwrap();
        })
        .await
    };
    let (empty, _) = transaction(false).await;
    assert_eq!(transaction(true).await, (empty + 1, 0));
}
