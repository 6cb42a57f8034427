//! Operations that overlap and share a call of the server.

mod refusals;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use futures_util::future::{BoxFuture, join, join_all};

use super::*;

fn claim<'a>(name: &'a str, owner: &'a str) -> Claim<'a> {
    Claim {
        holding: Holding { name, owner },
        lease: LONG,
        above: FencingToken::ZERO,
    }
}

fn token(acquired: Result<Acquired, Error>) -> FencingToken {
    match acquired {
        Ok(Acquired::Granted(token)) => token,
        other => panic!("it is not granted: {other:?}"),
    }
}

fn is_granted(answer: &Result<Acquired, Error>) -> bool {
    matches!(answer, Ok(Acquired::Granted(_)))
}

fn is_refused(answer: &Result<Acquired, Error>) -> bool {
    matches!(answer, Err(Error::Refused(_)))
}

async fn is_free(store: &RedisLeases, name: &str) -> bool {
    let holding = Holding {
        name,
        owner: "who asks",
    };
    let asking = Claim {
        lease: Duration::ZERO,
        ..claim(name, holding.owner)
    };
    let answer = store.acquire(asking).await.unwrap();
    store.release(holding).await.unwrap();
    matches!(answer, Acquired::Granted(_))
}

/// After operations that overlapped, the next ones that do share a call from the first on.
async fn overlap(store: &RedisLeases) {
    let holdings = ["x", "y", "z"].map(|name| Holding { name, owner: "me" });
    let acquiring = holdings.map(|held| store.acquire(claim(held.name, held.owner)));
    for acquired in join_all(acquiring).await {
        token(acquired);
    }
    for released in join_all(holdings.map(|held| store.release(held))).await {
        released.unwrap();
    }
}

/// As [`overlap`], of operations that write nothing.
async fn overlap_of_releases(store: &RedisLeases) {
    let holdings = ["x", "y", "z"].map(|name| Holding { name, owner: "me" });
    for released in join_all(holdings.map(|held| store.release(held))).await {
        released.unwrap();
    }
}

async fn tell(connection: &mut ConnectionManager, command: &str, arguments: &[&str]) {
    let mut command = driver::cmd(command);
    let told = command.arg(arguments).exec_async(connection).await;
    told.unwrap();
}

/// Polls once a future that has to wait.
async fn start<T>(future: &mut (impl Future<Output = T> + Unpin)) {
    poll_fn(|context| {
        assert!(Pin::new(&mut *future).poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// A server of a test's own, a connection to it, and leases in it over another one.
async fn opened() -> Option<(PrivateServer, ConnectionManager, RedisLeases)> {
    let server = private().await?;
    let connection = connection(server.url()).await;
    let store = leases(&server).await.unwrap();
    Some((server, connection, store))
}

#[tokio::test]
async fn operations_that_overlap_share_calls_of_a_bounded_size() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let mut last = 0;
    // The first of those that overlap is alone when it asks.
    for (count, expected) in [(1, 1 + 1), (32, 2 + 1), (300, 3 + 3)] {
        let names: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        let acquiring = names.iter().map(|name| store.acquire(claim(name, "me")));
        for acquired in join_all(acquiring).await {
            assert!(token(acquired) > FencingToken::ZERO);
        }
        let releasing = names.iter().map(|name| Holding { name, owner: "me" });
        for released in join_all(releasing.map(|held| store.release(held))).await {
            released.unwrap();
        }
        let calls = calls(&mut connection, "evalsha").await;
        assert_eq!(calls - last, expected, "{count} acquired and released");
        last = calls;
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn of_two_acquisitions_of_a_lock_in_one_call_one_is_granted() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    overlap(&store).await;
    let before = calls(&mut connection, "evalsha").await;
    let both = [claim("a", "one"), claim("a", "other")].map(|claim| store.acquire(claim));
    let answers = join_all(both).await;
    assert!(
        matches!(answers[0], Ok(Acquired::Granted(_))),
        "{answers:?}"
    );
    assert!(matches!(answers[1], Ok(Acquired::Held { remaining }) if remaining == LONG));
    assert_eq!(calls(&mut connection, "evalsha").await, before + 1);
    server.close().await.unwrap();
}

#[tokio::test]
async fn operations_on_a_lock_in_one_call_run_in_their_order() {
    let Some((server, _, store)) = opened().await else {
        return;
    };
    let held = |owner| Holding { name: "a", owner };
    let first = token(store.acquire(claim("a", "one")).await);
    overlap(&store).await;
    let (released, next) = join(store.release(held("one")), store.acquire(claim("a", "two"))).await;
    released.unwrap();
    let next = token(next);
    assert!(first < next);
    // The same owner again: what it is granted last is what it has.
    let (released, again) =
        join(store.release(held("two")), store.acquire(claim("a", "two"))).await;
    released.unwrap();
    assert!(next < token(again));
    assert!(!is_free(&store, "a").await);
    overlap(&store).await;
    let (again, released) =
        join(store.acquire(claim("a", "two")), store.release(held("two"))).await;
    released.unwrap();
    assert!(next < token(again));
    assert!(is_free(&store, "a").await);
    server.close().await.unwrap();
}

/// On two threads, where the tasks of two calls run at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_is_given_up_does_not_overtake_the_owners_next_acquisition() {
    let Some((server, _, store)) = opened().await else {
        return;
    };
    let held = Holding {
        name: "a",
        owner: "me",
    };
    for turn in 0..300 {
        if turn % 2 == 0 {
            overlap(&store).await;
        }
        token(store.acquire(claim("a", "me")).await);
        let mut releasing = store.release(held);
        // The answer may be there already.
        drop(poll_fn(|context| Poll::Ready(releasing.as_mut().poll(context))).await);
        for _ in 0..turn % 5 {
            tokio::task::yield_now().await;
        }
        drop(releasing);
        token(store.acquire(claim("a", "me")).await);
        assert!(!is_free(&store, "a").await, "turn {turn}");
        store.release(held).await.unwrap();
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_caller_that_gives_up_harms_no_other_in_its_call() {
    let Some((server, _, store)) = opened().await else {
        return;
    };
    let names = ["a", "b", "c"];
    for victim in 0..names.len() {
        for turns in 0..6 {
            let owner = format!("{victim}, {turns}");
            overlap(&store).await;
            let mut callers: Vec<BoxFuture<'_, _>> = Vec::new();
            for name in names {
                let mut acquiring = store.acquire(claim(name, &owner));
                start(&mut acquiring).await;
                callers.push(acquiring);
            }
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            drop(callers.remove(victim));
            for acquired in join_all(callers).await {
                token(acquired);
            }
            // The lock of the one that gave up may have been taken.
            for name in names {
                let owner = &*owner;
                store.release(Holding { name, owner }).await.unwrap();
                assert!(is_free(&store, name).await, "{name}");
            }
        }
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn an_acquisition_that_is_given_up_before_its_call_takes_no_lock() {
    let Some((server, _, store)) = opened().await else {
        return;
    };
    overlap(&store).await;
    let mut given_up = store.acquire(claim("a", "one"));
    start(&mut given_up).await;
    let other = store.acquire(claim("b", "two"));
    drop(given_up);
    token(other.await);
    assert!(is_free(&store, "a").await);
    server.close().await.unwrap();
}

#[tokio::test]
async fn an_error_of_a_call_reaches_all_its_callers() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let names = ["a", "b", "c", "d"];
    let acquire = async || join_all(names.map(|name| store.acquire(claim(name, "me")))).await;
    overlap(&store).await;
    server.pause().await.unwrap();
    for answer in acquire().await {
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    }
    server.resume().await.unwrap();
    for answer in acquire().await {
        token(answer);
    }

    let forbid = ["SETUSER", "default", "-evalsha"];
    tell(&mut connection, "ACL", &forbid).await;
    for answer in acquire().await {
        assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn an_acquisition_that_is_given_up_is_not_sent_again() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    overlap(&store).await;
    tell(&mut connection, "SCRIPT", &["FLUSH"]).await;
    let mut given_up = store.acquire(claim("a", "one"));
    start(&mut given_up).await;
    let mut other = store.acquire(claim("b", "two"));
    start(&mut other).await;
    // Now their call is sent, and its answer is not read yet.
    tokio::task::yield_now().await;
    drop(given_up);
    token(other.await);
    assert!(is_free(&store, "a").await);
    server.close().await.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap()
}

#[test]
fn a_caller_whose_runtime_stands_still_holds_back_no_other() {
    let (here, there) = (runtime(), runtime());
    let Some((server, store)) = here.block_on(async {
        let server = private().await?;
        let store = leases(&server).await.unwrap();
        overlap(&store).await;
        Some((server, store))
    }) else {
        return;
    };
    let mut first = store.acquire(claim("a", "one"));
    there.block_on(start(&mut first));
    // Nothing runs there any more.
    here.block_on(async {
        token(store.acquire(claim("b", "two")).await);
        token(first.await);
        server.close().await.unwrap();
    });
}

/// Callers on other runtimes would wait for ever.
#[test]
fn leases_whose_runtime_has_shut_down_are_an_outage() {
    let here = runtime();
    let there = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let there = there.unwrap();
    let Some((server, connection)) = here.block_on(async {
        let server = private().await?;
        let connection = connection(server.url()).await;
        Some((server, connection))
    }) else {
        return;
    };
    // The connection is served here, and the operations that overlap are sent there.
    let opening = there.spawn(RedisLeases::builder(connection).open());
    let store = here.block_on(opening).unwrap().unwrap();
    let acquire = async || {
        let first = store.acquire(claim("a", "one"));
        join(first, store.acquire(claim("b", "two"))).await
    };
    drop(there);
    for _ in 0..2 {
        let (_, waited) = here.block_on(acquire());
        assert!(matches!(waited, Err(Error::Unavailable(_))), "{waited:?}");
    }
    here.block_on(server.close()).unwrap();
}
