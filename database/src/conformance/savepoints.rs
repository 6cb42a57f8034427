//! Going back to a savepoint.

use std::{collections::BTreeMap, sync::Arc};

use super::{Fixture, add, begin, cancel_after, commit};
use crate::{Error, Transactions as _};

pub async fn going_back_to_a_savepoint_undoes_only_what_came_after_it<F: Fixture>(f: Arc<F>) {
    let mut tx = begin(&*f).await;
    add(&*f, &mut tx, 1, 5).await;
    f.transactions().savepoint(&mut tx).await.unwrap();
    for _ in 0..3 {
        add(&*f, &mut tx, 1, 1).await;
        add(&*f, &mut tx, 2, 1).await;
        f.transactions()
            .roll_back_to_savepoint(&mut tx)
            .await
            .unwrap();
        assert_eq!(f.all(&mut tx).await.unwrap(), BTreeMap::from([(1, 5)]));
    }
    add(&*f, &mut tx, 3, 7).await;
    commit(&*f, tx).await;
    assert_eq!(f.committed().await, BTreeMap::from([(1, 5), (3, 7)]));
}

pub async fn a_released_savepoint_keeps_what_was_written<F: Fixture>(f: Arc<F>) {
    let mut tx = begin(&*f).await;
    for key in 1..=3 {
        f.transactions().savepoint(&mut tx).await.unwrap();
        add(&*f, &mut tx, key, 1).await;
        f.transactions().release_savepoint(&mut tx).await.unwrap();
    }
    f.transactions().savepoint(&mut tx).await.unwrap();
    add(&*f, &mut tx, 1, 1).await;
    add(&*f, &mut tx, 4, 1).await;
    f.transactions()
        .roll_back_to_savepoint(&mut tx)
        .await
        .unwrap();
    commit(&*f, tx).await;
    assert_eq!(
        f.committed().await,
        BTreeMap::from([(1, 1), (2, 1), (3, 1)])
    );
}

pub async fn a_savepoint_that_is_not_set_is_refused<F: Fixture>(f: Arc<F>) {
    let mut tx = begin(&*f).await;
    f.transactions().savepoint(&mut tx).await.unwrap();
    f.transactions().release_savepoint(&mut tx).await.unwrap();
    let refused = f.transactions().release_savepoint(&mut tx).await;
    assert!(matches!(refused, Err(Error::Failed(_))), "{refused:?}");
    let mut tx = {
        drop(tx);
        begin(&*f).await
    };
    let refused = f.transactions().roll_back_to_savepoint(&mut tx).await;
    assert!(matches!(refused, Err(Error::Failed(_))), "{refused:?}");
}

pub async fn a_transaction_goes_back_to_its_savepoint_from_the_middle_of_a_statement<F: Fixture>(
    f: Arc<F>,
) {
    for (times, polls) in (1..).zip(0..10) {
        let mut tx = begin(&*f).await;
        add(&*f, &mut tx, 1, 1).await;
        f.transactions().savepoint(&mut tx).await.unwrap();
        let _finished = cancel_after(polls, f.add(&mut tx, 2, 1)).await;
        f.transactions()
            .roll_back_to_savepoint(&mut tx)
            .await
            .unwrap();
        add(&*f, &mut tx, 3, 1).await;
        commit(&*f, tx).await;
        assert_eq!(
            f.committed().await,
            BTreeMap::from([(1, times), (3, times)])
        );
    }
}
