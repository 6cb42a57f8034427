//! Fences: former holders are refused, in the transaction that writes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mainstay_database::Transactions as _;

use super::{Fixture, LONG, token};
use crate::{
    Error, Fences, FencingToken,
    store::{Holding, LeaseStore as _},
};

async fn check<F: Fixture>(
    f: &F,
    connection: &mut <F::Fences as Fences>::Connection,
    name: &str,
    token: i64,
) -> Result<(), Error> {
    let token = FencingToken::new(token);
    f.fences().check(connection, name, token).await
}

/// Checks and commits.
async fn accept<F: Fixture>(f: &F, name: &str, token: i64) -> Result<(), Error> {
    let mut tx = f.database().begin().await.unwrap();
    check(f, &mut tx, name, token).await?;
    f.database().commit(tx).await.unwrap();
    Ok(())
}

pub async fn a_former_holders_token_is_refused_with_the_newest<F: Fixture>(f: &F) {
    accept(f, "a", 7).await.unwrap();
    accept(f, "a", 9).await.unwrap();
    for former in [8, 7, 1] {
        match accept(f, "a", former).await {
            Err(Error::Fenced { name, token, seen }) => {
                let told = (&*name, token.as_i64(), seen.as_i64());
                assert_eq!(told, ("a", former, 9));
            }
            other => panic!("{former}: {other:?}"),
        }
    }
    accept(f, "a", 9).await.unwrap();
    // Other locks are not concerned.
    accept(f, "b", 1).await.unwrap();
}

pub async fn a_token_is_accepted_again_and_again<F: Fixture>(f: &F) {
    for _ in 0..3 {
        let mut tx = f.database().begin().await.unwrap();
        for _ in 0..2 {
            check(f, &mut tx, "a", 5).await.unwrap();
        }
        f.database().commit(tx).await.unwrap();
    }
}

pub async fn a_rolled_back_check_never_was<F: Fixture>(f: &F) {
    accept(f, "a", 5).await.unwrap();
    let mut tx = f.database().begin().await.unwrap();
    check(f, &mut tx, "a", 9).await.unwrap();
    drop(tx);
    accept(f, "a", 6).await.unwrap();
}

pub async fn a_check_waits_for_the_transaction_of_another_holder<F: Fixture>(f: &F) {
    // A token that the resource has not seen, then the same one, which changes nothing and locks all the same.
    for (token, later) in [(5, 6), (6, 7)] {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut former = f.database().begin().await.unwrap();
        check(f, &mut former, "a", token).await.unwrap();
        let newer = async {
            accept(f, "a", later).await.unwrap();
            order.lock().unwrap().push("newer");
        };
        let former = async {
            // Time for the newer one to pass by, if nothing holds it.
            tokio::time::sleep(Duration::from_millis(100)).await;
            order.lock().unwrap().push("former");
            f.database().commit(former).await.unwrap();
        };
        tokio::join!(newer, former);
        assert_eq!(*order.lock().unwrap(), ["former", "newer"]);
        assert!(matches!(
            accept(f, "a", token).await,
            Err(Error::Fenced { .. })
        ));
    }
}

pub async fn an_open_transaction_keeps_no_lease_from_being_renewed<F: Fixture>(f: &F) {
    if !f.renews_beside_transactions() {
        return;
    }
    let store = f.leases();
    let held = Holding {
        name: "a",
        owner: "one",
    };
    let token = token(&store, "a", "one", LONG).await;
    let mut tx = f.database().begin().await.unwrap();
    f.fences().check(&mut tx, "a", token).await.unwrap();
    assert_eq!(store.renew(&[held], LONG).await.unwrap(), [true]);
    f.database().commit(tx).await.unwrap();
}
