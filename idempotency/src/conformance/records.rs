//! Beginning and completing in the caller's transaction.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_database::Transactions as _;

use super::{Concurrent, PATIENCE, RecordsFixture, answer, request, request_in};
use crate::{Answer, Begun, Claim, Error, KeyedRequest, Records, Settled, store::RecordStore};

pub(super) type Connection<F> = <<F as RecordsFixture>::Records as Records>::Connection;
type Database<F> = <<F as RecordsFixture>::Records as RecordStore>::Database;
pub(super) type Transaction<F> = <Database<F> as mainstay_database::Transactions>::Transaction;

pub(super) async fn begin<F: RecordsFixture>(f: &F) -> Transaction<F> {
    f.records().database().begin().await.unwrap()
}

pub(super) async fn commit<F: RecordsFixture>(f: &F, tx: Transaction<F>) {
    f.records().database().commit(tx).await.unwrap();
}

/// The claim on a request that must be free. A transaction that was dropped may still be on its way
/// to its end.
pub(super) async fn claim<F: RecordsFixture>(
    f: &F,
    tx: &mut Connection<F>,
    request: &KeyedRequest,
) -> Claim {
    let beginning = async {
        loop {
            match f.records().begin(tx, request).await.unwrap() {
                Begun::Settled(Settled::Running { .. }) => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                begun => return fresh(begun),
            }
        }
    };
    let begun = tokio::time::timeout(PATIENCE, beginning).await;
    begun.expect("the key stays taken")
}

fn fresh(begun: Begun<Claim>) -> Claim {
    match begun {
        Begun::Fresh(claim) => claim,
        Begun::Settled(settled) => panic!("settled: {settled:?}"),
    }
}

pub(super) fn settled<C: std::fmt::Debug>(begun: Begun<C>) -> Settled {
    match begun {
        Begun::Settled(settled) => settled,
        Begun::Fresh(claim) => panic!("fresh: {claim:?}"),
    }
}

/// How a request is settled, in a transaction of its own.
pub(super) async fn look<F: RecordsFixture>(f: &F, request: &KeyedRequest) -> Settled {
    let mut tx = begin(f).await;
    settled(f.records().begin(&mut tx, request).await.unwrap())
}

/// Makes a request's effect and keeps the answer of that name.
pub(super) async fn process<F: RecordsFixture>(f: &F, request: &KeyedRequest, name: &str) {
    let mut tx = begin(f).await;
    let claim = claim(f, &mut tx, request).await;
    F::write(&mut tx, name).await.unwrap();
    let records = f.records();
    records
        .complete(&mut tx, claim, &answer(name))
        .await
        .unwrap();
    commit(f, tx).await;
}

pub async fn effect_and_answer_commit_or_roll_back_together<F: RecordsFixture>(f: &F) {
    let request = request("k1", "a mug");
    let mut tx = begin(f).await;
    let claim = claim(f, &mut tx, &request).await;
    F::write(&mut tx, "lost").await.unwrap();
    let records = f.records();
    records
        .complete(&mut tx, claim, &answer("lost"))
        .await
        .unwrap();
    drop(tx);
    assert_eq!((f.effects().await.len(), f.kept().await), (0, 0));
    process(f, &request, "made").await;
    assert_eq!(
        (f.effects().await, f.kept().await),
        (vec!["made".to_owned()], 1)
    );
}

pub async fn a_completed_request_is_answered_byte_for_byte<F: RecordsFixture>(f: &F) {
    let request = request("k1", "a mug");
    process(f, &request, "made").await;
    for _ in 0..2 {
        assert_eq!(look(f, &request).await, Settled::Done(answer("made")));
    }
}

pub async fn the_same_key_with_another_fingerprint_is_a_mismatch<F: RecordsFixture>(f: &F) {
    process(f, &request("k1", "a mug"), "made").await;
    assert_eq!(look(f, &request("k1", "a cup")).await, Settled::Mismatch);
}

pub async fn two_tenants_with_the_same_key_never_meet<F: RecordsFixture>(f: &F) {
    for tenant in ["acme", "Zo\u{eb} & S\u{f6}hne", ""] {
        let request = request_in(tenant, "POST /orders", "k1", "a mug");
        process(f, &request, tenant).await;
        assert_eq!(look(f, &request).await, Settled::Done(answer(tenant)));
    }
    assert_eq!(f.effects().await.len(), 3);
}

pub async fn operations_with_the_same_key_never_meet<F: RecordsFixture>(f: &F) {
    for operation in ["POST /orders", "POST /refunds", "PATCH /orders"] {
        let request = request_in("acme", operation, "k1", "a mug");
        process(f, &request, operation).await;
        assert_eq!(look(f, &request).await, Settled::Done(answer(operation)));
    }
}

/// Whatever the parts of a key contain, where one ends and the next one begins makes a difference.
pub async fn scopes_that_read_alike_are_apart<F: RecordsFixture>(f: &F) {
    let alike = [
        ("a:b", "c", "d"),
        ("a", "b:c", "d"),
        ("a", "b", "c:d"),
        ("a'b", "c\"", "d%"),
        ("1:a", "b", "d"),
    ];
    for (tenant, operation, key) in alike {
        let request = request_in(tenant, operation, key, "a mug");
        process(f, &request, &format!("{tenant} {operation} {key}")).await;
    }
    assert_eq!(f.kept().await, alike.len());
}

pub async fn a_request_that_rolled_back_leaves_its_key_free<F: RecordsFixture>(f: &F) {
    let mut tx = begin(f).await;
    let dropped = claim(f, &mut tx, &request("k1", "a mug")).await;
    F::write(&mut tx, "lost").await.unwrap();
    drop((tx, dropped));
    // Even for another request.
    process(f, &request("k1", "a cup"), "made").await;
    assert_eq!(f.effects().await, ["made"]);
}

pub async fn a_request_is_done_in_the_transaction_that_completed_it<F: RecordsFixture>(f: &F) {
    let request = request("k1", "a mug");
    let (records, mut tx) = (f.records(), begin(f).await);
    let claim = claim(f, &mut tx, &request).await;
    records
        .complete(&mut tx, claim, &answer("made"))
        .await
        .unwrap();
    let again = records.begin(&mut tx, &request).await.unwrap();
    assert_eq!(settled(again), Settled::Done(answer("made")));
    commit(f, tx).await;
}

pub async fn a_second_request_is_told_waits_or_loses<F: RecordsFixture>(f: &F) {
    for commits in [true, false] {
        let request = request(&format!("k-{commits}"), "a mug");
        let mut first = begin(f).await;
        let first_claim = claim(f, &mut first, &request).await;
        F::write(&mut first, "first").await.unwrap();
        let records = f.records();
        let mut second = Box::pin(async {
            let mut tx = begin(f).await;
            let begun = records.begin(&mut tx, &request).await.unwrap();
            (tx, begun)
        });
        match F::CONCURRENT {
            Concurrent::IsToldAtOnce => {
                let (_, begun) = second.await;
                assert!(matches!(settled(begun), Settled::Running { .. }));
                let records = f.records();
                records
                    .complete(&mut first, first_claim, &answer("first"))
                    .await
                    .unwrap();
                end(f, first, commits).await;
            }
            Concurrent::Waits => {
                for _ in 0..20 {
                    tokio::select! {
                        biased;
                        _ = &mut second => panic!("it did not wait"),
                        () = tokio::time::sleep(Duration::from_millis(1)) => {}
                    }
                }
                let records = f.records();
                records
                    .complete(&mut first, first_claim, &answer("first"))
                    .await
                    .unwrap();
                end(f, first, commits).await;
                let (_, begun) = second.await;
                assert_eq!(matches!(begun, Begun::Settled(Settled::Done(_))), commits);
            }
            Concurrent::LosesLater => {
                let (mut tx, begun) = second.await;
                let second_claim = fresh(begun);
                let records = f.records();
                records
                    .complete(&mut first, first_claim, &answer("first"))
                    .await
                    .unwrap();
                let second_answer = answer("second");
                let completing = records.complete(&mut tx, second_claim, &second_answer);
                let ending = end(f, first, commits);
                let (completed, ()) = tokio::join!(completing, ending);
                match completed {
                    Ok(()) => assert!(!commits, "both completed"),
                    Err(Error::Conflict { key }) => {
                        assert!(commits);
                        assert_eq!(key, request.key);
                    }
                    Err(error) => panic!("{error}"),
                }
                drop(tx);
            }
        }
        if commits {
            assert_eq!(look(f, &request).await, Settled::Done(answer("first")));
        } else {
            process(f, &request, "afterwards").await;
        }
    }
    assert_eq!(f.effects().await, ["first", "afterwards"]);
}

async fn end<F: RecordsFixture>(f: &F, tx: Transaction<F>, commits: bool) {
    if commits {
        commit(f, tx).await;
    }
}

pub async fn of_many_concurrent_requests_one_makes_the_effect<F: RecordsFixture>(f: &F) {
    const CALLERS: usize = 20;
    let request = request("k1", "a mug");
    let caller = async |number: usize| {
        let (records, name) = (f.records(), number.to_string());
        loop {
            let mut tx = begin(f).await;
            let claim = match records.begin(&mut tx, &request).await.unwrap() {
                Begun::Fresh(claim) => claim,
                Begun::Settled(Settled::Done(answer)) => return answer,
                Begun::Settled(Settled::Running { .. }) => {
                    drop(tx);
                    tokio::task::yield_now().await;
                    continue;
                }
                Begun::Settled(settled) => panic!("{settled:?}"),
            };
            F::write(&mut tx, &name).await.unwrap();
            let answer = answer(&name);
            match records.complete(&mut tx, claim, &answer).await {
                Ok(()) => commit(f, tx).await,
                Err(Error::Conflict { .. }) => continue,
                Err(error) => panic!("{error}"),
            }
            return answer;
        }
    };
    let answers = join_all((0..CALLERS).map(caller)).await;
    let effects = f.effects().await;
    assert_eq!(effects.len(), 1);
    assert_eq!(answers, vec![answer(&effects[0]); CALLERS]);
}

/// A claim may be held by somebody who no longer has the transaction that it was made in.
pub async fn the_unique_key_decides_when_a_request_is_completed<F: RecordsFixture>(f: &F) {
    let request = request("k1", "a mug");
    let mut tx = begin(f).await;
    let late = claim(f, &mut tx, &request).await;
    drop(tx);
    process(f, &request, "made").await;
    let mut tx = begin(f).await;
    F::write(&mut tx, "late").await.unwrap();
    let refused = f.records().complete(&mut tx, late, &answer("late")).await;
    assert!(
        matches!(&refused, Err(Error::Conflict { key }) if *key == request.key),
        "{refused:?}"
    );
    assert!(refused.unwrap_err().is_retryable());
    drop(tx);
    assert_eq!(look(f, &request).await, Settled::Done(answer("made")));
    assert_eq!(f.effects().await, ["made"]);
}

pub async fn a_batch_is_answered_in_order<F: RecordsFixture>(f: &F) {
    for name in ["b", "d"] {
        process(f, &request(name, name), name).await;
    }
    let names = ["a", "b", "c", "d", "e"];
    let requests = names.map(|name| request(name, name));
    let (records, mut tx) = (f.records(), begin(f).await);
    let batch: Vec<_> = requests.iter().collect();
    let begun = records.begin_batch(&mut tx, &batch).await.unwrap();
    let mut claims = Vec::new();
    for (name, begun) in names.into_iter().zip(begun) {
        match begun {
            Begun::Fresh(claim) => {
                assert_eq!(claim.request().key.text(), name);
                claims.push(claim);
            }
            Begun::Settled(settled) => assert_eq!(settled, Settled::Done(answer(name))),
        }
    }
    let answers: Vec<Answer> = ["a", "c", "e"].map(answer).into();
    assert_eq!(claims.len(), answers.len());
    let completions = claims.into_iter().zip(&answers).collect();
    records.complete_batch(&mut tx, completions).await.unwrap();
    commit(f, tx).await;
    for request in &requests {
        let expected = Settled::Done(answer(request.key.text()));
        assert_eq!(look(f, request).await, expected);
    }
    let other = request("c", "another one");
    let mut tx = begin(f).await;
    let begun = records.begin_batch(&mut tx, &[&requests[0], &other]).await;
    let begun: Vec<_> = begun.unwrap().into_iter().map(settled).collect();
    assert_eq!(begun, [Settled::Done(answer("a")), Settled::Mismatch]);
}

pub async fn of_two_requests_with_one_key_in_a_batch_the_later_one_waits<F: RecordsFixture>(f: &F) {
    let (first, same, other) = (
        request("k1", "a mug"),
        request("k1", "a mug"),
        request("k1", "a cup"),
    );
    let (records, mut tx) = (f.records(), begin(f).await);
    let batch = [&first, &same, &other];
    let begun = records.begin_batch(&mut tx, &batch).await.unwrap();
    let [first, same, other] = begun.try_into().unwrap();
    assert!(matches!(first, Begun::Fresh(_)));
    assert!(matches!(settled(same), Settled::Running { .. }));
    assert_eq!(settled(other), Settled::Mismatch);
}

pub async fn a_batch_is_completed_whole_or_not_at_all<F: RecordsFixture>(f: &F) {
    let (mine, contested) = (request("a", "a"), request("b", "b"));
    let mut tx = begin(f).await;
    let late = claim(f, &mut tx, &contested).await;
    drop(tx);
    process(f, &contested, "b").await;
    let (records, mut tx) = (f.records(), begin(f).await);
    let claim = claim(f, &mut tx, &mine).await;
    let answer = answer("late");
    let completions = vec![(claim, &answer), (late, &answer)];
    let refused = records.complete_batch(&mut tx, completions).await;
    assert!(
        matches!(refused, Err(Error::Conflict { .. })),
        "{refused:?}"
    );
    drop(tx);
    assert_eq!(f.kept().await, 1);
    process(f, &mine, "a").await;
}

pub async fn an_empty_batch_is_nothing<F: RecordsFixture>(f: &F) {
    let (records, mut tx) = (f.records(), begin(f).await);
    let begun = records.begin_batch(&mut tx, &[]).await.unwrap();
    assert!(begun.is_empty());
    records.complete_batch(&mut tx, Vec::new()).await.unwrap();
    commit(f, tx).await;
}

pub async fn a_tombstone_is_answered_and_never_processed_again<F: RecordsFixture>(f: &F) {
    let request = request("k1", "a mug");
    let tombstone = answer("large").without_body();
    let (records, mut tx) = (f.records(), begin(f).await);
    let claim = claim(f, &mut tx, &request).await;
    records.complete(&mut tx, claim, &tombstone).await.unwrap();
    commit(f, tx).await;
    assert_eq!(look(f, &request).await, Settled::Done(tombstone));
    // An empty body is a body.
    let empty = Answer::new(204_u16, "");
    let request = super::request("k2", "a mug");
    let mut tx = begin(f).await;
    let claim = super::records::claim(f, &mut tx, &request).await;
    records.complete(&mut tx, claim, &empty).await.unwrap();
    commit(f, tx).await;
    assert_eq!(look(f, &request).await, Settled::Done(empty));
}
