//! Definitions change while runs live.

use std::sync::Arc;

use mainstay_database::Transactions as _;

use super::{
    Fixture,
    harness::{
        Authorized, Building, Order, Paid, Quick, Reserve, Scene, Shipped, held, place_order, reply,
    },
};
use crate::{
    Definition, Error, Saga, Status,
    store::{DeskStore as _, Face, SagaStore as _, SavedRun},
};

/// The same name and version with other steps: somebody forgot to raise the version.
fn changed(version: u32) -> Definition<Order> {
    let mut saga = Saga::new("place-order", version);
    saga.step((), |order: &Order, ()| Reserve {
        order: order.id.clone(),
    });
    saga.step((), |order, ()| Quick {
        order: order.id.clone(),
    });
    saga.build()
}

pub async fn an_incompatible_definition_refuses_old_runs_by_name_and_leaves_them_untouched<
    F: Fixture,
>(
    fixture: F,
) {
    let fixture = Arc::new(fixture);
    let build = Scene::built(Arc::clone(&fixture), place_order(1), |builder| {
        builder.build()
    });
    let old = build.unwrap();
    let run = old.start("o-1").await;
    let reserve = old.sent_one();
    let build = Scene::built(fixture, changed(1), Building::<F>::build);
    let new = build.unwrap();
    let store = new.sagas.store();
    let before = store.show(&run).await.unwrap().unwrap();
    let refused = new.take(&[&reply(&reserve, &held())]).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, Error::Incompatible { .. }));
    assert!(
        text.contains("place-order") && text.contains("o-1"),
        "{text}"
    );
    assert!(
        text.contains("version 1 with the steps [Reserve, Authorize, Pay, Ship]"),
        "{text}"
    );
    // Runs of the new definition go on beside it, timers included.
    let other = new.start("o-2").await;
    new.reply(&new.sent_one(), &held()).await;
    new.fire_until(async || new.status(&other).await == Status::Undoing)
        .await;
    let after = store.show(&run).await.unwrap().unwrap();
    assert_eq!(after.summary, before.summary);
    assert_eq!(after.stored.state, before.stored.state);
    assert_eq!(after.journal, before.journal);
    // The old build goes on with it.
    old.reply(&reserve, &held()).await;
    assert_eq!(old.kinds(), ["Authorize"]);
}

pub async fn an_older_definition_continues_its_runs<F: Fixture>(fixture: F) {
    let fixture = Arc::new(fixture);
    let build = Scene::built(Arc::clone(&fixture), place_order(1), |builder| {
        builder.build()
    });
    let old = build.unwrap();
    let run = old.start("o-1").await;
    let reserve = old.sent_one();
    let build = Scene::built(fixture, changed(2), |builder| {
        builder.older(place_order(1)).build()
    });
    let new = build.unwrap();
    new.sagas.check_live().await.unwrap();
    new.reply(&reserve, &held()).await;
    new.reply(&new.sent_one(), &Authorized {}).await;
    new.reply(&new.sent_one(), &Paid {}).await;
    new.reply(&new.sent_one(), &Shipped {}).await;
    assert_eq!(new.status(&run).await, Status::Completed);
    let next = new.start("o-1").await;
    assert_eq!(new.show(&next).await.summary.version, 2);
}

pub async fn runs_that_a_build_cannot_continue_are_found_before_it_starts<F: Fixture>(fixture: F) {
    let fixture = Arc::new(fixture);
    let build = Scene::built(Arc::clone(&fixture), place_order(1), |builder| {
        builder.build()
    });
    let old = build.unwrap();
    let first = old.start("o-1").await;
    let second = old.start("o-2").await;
    old.sagas.check_live().await.unwrap();
    let build = Scene::built(fixture, changed(2), Building::<F>::build);
    let new = build.unwrap();
    let error = new.sagas.check_live().await.unwrap_err();
    assert!(matches!(error, Error::LiveRuns { runs: 2, .. }));
    let text = error.to_string();
    assert!(text.contains("[Reserve, Authorize, Pay, Ship]"), "{text}");
    // Even if none of their states can be read.
    let face = Face {
        status: Status::Running,
        is_overdue: false,
        step: None,
        wake_in: None,
    };
    let saved = [&first, &second].map(|run| SavedRun {
        run,
        state: "{",
        face: &face,
        journal: &[],
    });
    let database = new.database();
    let mut tx = database.begin().await.unwrap();
    new.sagas.store().save(&mut tx, &saved).await.unwrap();
    database.commit(tx).await.unwrap();
    let error = new.sagas.check_live().await.unwrap_err();
    assert!(matches!(error, Error::LiveRuns { runs: 2, .. }), "{error}");
}
