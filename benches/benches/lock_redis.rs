//! A lock in Redis, taken and released, beside the same two scripts called by hand and beside rslock, over one connection to
//! the server of `MAINSTAY_REDIS_URL`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it finds and stops at the first error"
)]

use std::{cell::RefCell, time::Duration};

use futures_util::future::join_all;
use hdrhistogram::Histogram;
use mainstay_benches::{Bench, Comparison, Side, Stopwatch, Took, timed};
use mainstay_database::Namespace;
use mainstay_dlock::{Locks, RedisLeases};
use mainstay_testkit::redis::Server;
use redis::{Client, Script, aio::ConnectionManager};
use rslock::LockManager;

const LEASE: Duration = Duration::from_secs(30);

const BY_HAND: &str = "the two scripts by hand";
const RSLOCK: &str = "rslock";

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of locks") else {
        return;
    };
    for clients in [1, 32] {
        pairs(&bench, &server, clients);
    }
}

/// How long each pair took, of one side.
type Latencies = RefCell<Histogram<u64>>;

fn pairs(bench: &Bench, server: &Server, clients: usize) {
    let name = format!("lock: acquired and released in Redis, {clients} clients on one connection");
    if !bench.wants(&name) {
        return;
    }
    let prefix = Namespace::prefixed(&server.prefix()).unwrap();
    let names: Vec<String> = (0..clients).map(|n| format!("lock {n}")).collect();
    let (locks, connection, manager) = bench.runtime.block_on(async {
        let client = Client::open(server.url()).unwrap();
        let connection = client.get_connection_manager().await.unwrap();
        let leases = RedisLeases::builder(connection.clone()).namespace(prefix.clone());
        let locks = Locks::builder(leases.open().await.unwrap()).lease(LEASE);
        (
            locks.build(),
            connection,
            LockManager::from_clients(vec![client]),
        )
    });
    let by_hand = ByHand::new(connection, &prefix);

    let per_client = bench.scaled(2_000) / clients.min(4);
    let latencies: [Latencies; 3] =
        [(); 3].map(|()| RefCell::new(Histogram::new_with_max(60_000_000_000, 3).unwrap()));
    let [ours, raw, theirs] = &latencies;
    let pair = async |name: &str| {
        let guard = locks.try_acquire(name).await.unwrap().unwrap();
        guard.release().await.unwrap();
    };
    let raw_pair = async |name: &str| by_hand.pair(name).await;
    let their_pair = async |name: &str| {
        let lock = manager.lock(name, LEASE).await.unwrap();
        manager.unlock(&lock).await;
    };
    let comparison = Comparison::new(name, per_client * clients);
    let comparison = if clients == 32 {
        comparison.target(BY_HAND, 0.9).target(RSLOCK, 1.0)
    } else {
        comparison
    };
    bench.compare(
        &comparison,
        &mut [
            Side::new("dlock", || round(bench, &names, per_client, ours, &pair)),
            Side::new(BY_HAND, || round(bench, &names, per_client, raw, &raw_pair)),
            Side::new(RSLOCK, || {
                round(bench, &names, per_client, theirs, &their_pair)
            }),
        ],
    );
    for (side, latencies) in ["dlock", BY_HAND, RSLOCK].iter().zip(&latencies) {
        let latencies = latencies.borrow();
        let at = |quantile| {
            let nanos = latencies.value_at_quantile(quantile);
            Duration::from_nanos(nanos).as_micros()
        };
        println!(
            "  a pair of {side:<28} p50 {:>6} us  p99 {:>6} us",
            at(0.5),
            at(0.99)
        );
    }
}

/// All clients at once, each with a lock of its own.
fn round(
    bench: &Bench,
    names: &[String],
    per_client: usize,
    latencies: &Latencies,
    pair: &impl AsyncFn(&str),
) -> Took {
    let client = async |name: &String| {
        for _ in 0..per_client {
            let stopwatch = Stopwatch::start();
            pair(name).await;
            let took = u64::try_from(stopwatch.stop().wall.as_nanos()).unwrap();
            latencies.borrow_mut().record(took).unwrap();
        }
    };
    timed(|| bench.runtime.block_on(join_all(names.iter().map(client))))
}

/// Two scripts for one lock each, over a hash: no id of an owner is drawn, nothing is renewed, and nobody looks at a clock.
struct ByHand {
    connection: ConnectionManager,
    prefix: String,
    acquire: Script,
    release: Script,
}

impl ByHand {
    fn new(connection: ConnectionManager, prefix: &Namespace) -> Self {
        Self {
            connection,
            prefix: prefix.render("{prefix}hand:").to_string(),
            acquire: Script::new(include_str!("lock_redis/acquire.lua")),
            release: Script::new(include_str!("lock_redis/release.lua")),
        }
    }

    async fn pair(&self, name: &str) {
        let (mut connection, key) = (self.connection.clone(), [&self.prefix, name].concat());
        let mut acquire = self.acquire.key(&key);
        acquire.arg("me").arg(30_000_000).arg(0).arg(3_630_000);
        let token: i64 = acquire.invoke_async(&mut connection).await.unwrap();
        assert!(token > 0);
        let mut release = self.release.key(&key);
        let _: i64 = release
            .arg("me")
            .invoke_async(&mut connection)
            .await
            .unwrap();
    }
}
