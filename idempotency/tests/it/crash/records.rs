//! A process that dies in the middle of a request's transaction.

use std::{cell::Cell, sync::Arc, time::Duration};

use mainstay_database::Transactions as _;
use mainstay_idempotency::{
    Answer, Begun, Error, KeyedRequest, Records, Settled, conformance::RecordsFixture,
    store::RecordStore,
};
use mainstay_ports::RecordPorts;
use mainstay_testkit::crash::{Points, Reached, at_every_point};

use super::{PATIENCE, answer, request};

/// One attempt at a request; `None` if it is to be asked again.
async fn attempt<F, R>(
    records: &R,
    request: &KeyedRequest,
    name: &str,
    batch: bool,
) -> Result<Option<Answer>, Error>
where
    F: RecordsFixture,
    R: RecordStore<Connection = <F::Records as Records>::Connection>,
{
    let mut tx = records.database().begin().await?;
    let begun = if batch {
        let begun = records.begin_batch(&mut tx, &[request]).await?;
        begun.into_iter().next().unwrap()
    } else {
        records.begin(&mut tx, request).await?
    };
    let claim = match begun {
        Begun::Fresh(claim) => claim,
        Begun::Settled(Settled::Done(answer)) => return Ok(Some(answer)),
        Begun::Settled(_) => return Ok(None),
    };
    F::write(&mut tx, name).await?;
    let answer = answer(name);
    if batch {
        records
            .complete_batch(&mut tx, vec![(claim, &answer)])
            .await?;
    } else {
        records.complete(&mut tx, claim, &answer).await?;
    }
    records.database().commit(tx).await?;
    Ok(Some(answer))
}

/// Strikes a request at each of the points, on the same database again and again; another process
/// asks for the same then.
async fn requests_at_every_point<F: RecordsFixture>(
    f: F,
    backend: &str,
    strike: fn(usize) -> Arc<Points>,
) {
    for batch in [false, true] {
        let (what, calls) = (format!("{backend}, batch: {batch}"), Cell::default());
        let points = at_every_point(&what, async |nth| {
            let prefix = format!("{batch}-{nth}-");
            let (request, first) = (request(&prefix), format!("{prefix}first"));
            let points = strike(nth);
            let ports = RecordPorts::new(f.records(), &points);
            let trying = attempt::<F, _>(&ports, &request, &first, batch);
            let heard = points.until_struck(trying).await;
            calls.set(points.calls().values().sum::<usize>());
            let name = format!("{prefix}second");
            let finishing = async {
                loop {
                    let records = f.records();
                    match attempt::<F, _>(&records, &request, &name, batch).await {
                        Ok(Some(answer)) => return answer,
                        // What the dead process left is on its way to its end.
                        Ok(None) => tokio::time::sleep(Duration::from_millis(2)).await,
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
            };
            let kept = tokio::time::timeout(PATIENCE, finishing).await.unwrap();
            let effects = f.effects().await;
            let made = effects.iter().filter(|effect| effect.starts_with(&prefix));
            let made: Vec<_> = made.map(|effect| answer(effect)).collect();
            assert_eq!(
                made,
                std::slice::from_ref(&kept),
                "one effect, and its answer"
            );
            if let Some(Ok(Some(heard))) = &heard {
                assert_eq!(*heard, kept, "what was answered stays the answer");
            }
            Reached::of(heard.as_ref())
        })
        .await;
        println!("{what}: struck at {points} points");
        // begin, begin_key, complete_key and commit, before and after each.
        assert!(calls.take() == 4 && points >= 8, "{points} points");
    }
}

#[cfg(feature = "memory")]
#[tokio::test(start_paused = true)]
async fn a_request_is_one_effect_wherever_its_process_dies_in_memory() {
    let f = crate::memory::MemoryFixture::new();
    requests_at_every_point(f, "memory", Points::anywhere).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_request_is_one_effect_wherever_its_process_dies_on_sqlite() {
    let f = crate::sqlite::fixture().await;
    requests_at_every_point(f, "sqlite", Points::anywhere).await;
}

#[cfg(all(feature = "axum", feature = "postgres"))]
mod postgres {
    use super::*;

    #[tokio::test]
    async fn a_request_is_one_effect_wherever_its_process_dies() {
        if let Some(f) = crate::postgres::fixture().await {
            requests_at_every_point(f, "postgres", Points::anywhere).await;
        }
    }
}
