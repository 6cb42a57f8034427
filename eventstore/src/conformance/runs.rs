//! Rebuilds that are interrupted, fail, or run twice.

use mainstay_database::Transactions as _;

use super::{
    Fixture,
    accounts::{Account, appended, moved, opened},
    in_time,
    rebuilds::{Fails, Script, rebuild, run, streams},
};
use crate::{Error, store::RebuildStore as _};

pub async fn an_interrupted_rebuild_goes_on_where_it_was<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    for calls in 1..=3 {
        let script = Script::plain();
        let rebuild = rebuild::<F, 1>(f, &script);
        let progress = in_time(rebuild.run_until(script.after(1))).await.unwrap();
        // The step in progress was finished.
        assert_eq!((progress.events, progress.is_done), (2 * calls, false));
        assert_eq!(rebuild.status().progress, progress);
    }
    let progress = run::<F, 1>(f, &Script::plain()).await.unwrap();
    assert_eq!((progress.events, progress.is_done), (13, true));
    assert_eq!(f.rows().await, wanted);
}

pub async fn a_rebuild_whose_future_is_dropped_goes_on_where_it_was<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    for at in [1, 2, 3] {
        let script = Script::failing(Fails::Hangs, at);
        let rebuild = rebuild::<F, 1>(f, &script);
        in_time(async {
            tokio::select! {
                ended = rebuild.run_until(std::future::pending()) => panic!("{ended:?}"),
                () = script.after(at) => {}
            }
        })
        .await;
    }
    let progress = run::<F, 1>(f, &Script::plain()).await.unwrap();
    assert_eq!((progress.events, progress.is_done), (13, true));
    assert_eq!(f.rows().await, wanted);
}

pub async fn a_failing_projection_keeps_what_was_done<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    let refused = run::<F, 1>(f, &Script::failing(Fails::ForGood, 3)).await;
    let refused = refused.unwrap_err();
    let Error::Projection {
        projection, after, ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert_eq!((*projection, &**after), ("listing", "account/b/1@1"));
    assert!(!refused.is_retryable());
    assert!(refused.to_string().contains("does not add up"), "{refused}");
    assert_eq!(
        f.rows().await,
        wanted[..4],
        "without what the failed step wrote"
    );
    let progress = run::<F, 1>(f, &Script::plain()).await.unwrap();
    assert_eq!(progress.events, 13);
    assert_eq!(f.rows().await, wanted);
}

pub async fn an_error_that_heals_is_retried<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    let script = Script::failing(Fails::Once, 3);
    let progress = run::<F, 1>(f, &script).await.unwrap();
    assert_eq!((progress.events, progress.is_done), (13, true));
    assert_eq!(script.calls(), [2, 2, 2, 2, 2, 2, 2, 1]);
    assert_eq!(f.rows().await, wanted);
}

pub async fn processes_share_a_rebuild<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    let scripts = [Script::plain(), Script::plain(), Script::plain()];
    let running = scripts.iter().map(|script| {
        let rebuild = rebuild::<F, 1>(f, script);
        tokio::spawn(async move { rebuild.run_until(std::future::pending()).await })
    });
    let running: Vec<_> = running.collect();
    for ended in running {
        let progress = in_time(ended).await.unwrap().unwrap();
        assert_eq!((progress.events, progress.is_done), (13, true));
    }
    let given: usize = scripts.iter().flat_map(|script| script.calls()).sum();
    assert_eq!((given, f.rows().await), (13, wanted));
}

pub async fn events_appended_behind_a_rebuild_are_read<F: Fixture>(f: &F) {
    let mut wanted = streams(f).await;
    let script = Script::plain();
    let rebuild = rebuild::<F, 1>(f, &script);
    let progress = in_time(rebuild.run_until(script.after(1))).await;
    assert_eq!(progress.unwrap().events, 2);
    appended::<F, Account>(f, "d", [moved(2)]).await;
    appended::<F, Account>(f, "e", [opened("e")]).await;
    wanted.extend(["d@2".to_owned(), "e@1".to_owned()]);
    let progress = run::<F, 1>(f, &script).await.unwrap();
    assert_eq!((progress.events, progress.total), (15, 13));
    assert_eq!(f.rows().await, wanted);
    // Nothing is kept open.
    let store = f.store();
    drop(store.database().begin().await.unwrap());
}
