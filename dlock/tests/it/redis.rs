//! Leases in Redis, beside fences in memory.

mod batches;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::{Namespace, memory::Database};
use mainstay_dlock::{
    Error, FencingToken, Guard, Locks, MemoryFences, RedisLeases,
    conformance::Fixture,
    redis::{Client, ConnectionManager, driver},
    store::{Acquired, Claim, Holding, LeaseStore as _},
};
use mainstay_testkit::redis::{PrivateServer, Server};

const SUITE: &str = "dlock";

async fn connection(url: &str) -> ConnectionManager {
    let client = Client::open(url).unwrap();
    client.get_connection_manager().await.unwrap()
}

pub(super) struct Redis {
    server: Server,
    namespace: Namespace,
    leases: RedisLeases,
    database: Database,
    fences: MemoryFences,
}

async fn open(server: &Server, namespace: &Namespace) -> RedisLeases {
    let connection = connection(server.url()).await;
    let builder = RedisLeases::builder(connection).namespace(namespace.clone());
    builder.open().await.unwrap()
}

pub(super) async fn fixture() -> Option<Redis> {
    let server = Server::for_suite(SUITE)?;
    let namespace = Namespace::prefixed(&server.prefix()).unwrap();
    let database = Database::new();
    Some(Redis {
        leases: open(&server, &namespace).await,
        fences: MemoryFences::builder(&database).open().await.unwrap(),
        database,
        server,
        namespace,
    })
}

#[async_trait]
impl Fixture for Redis {
    type Leases = RedisLeases;
    type Database = Database;
    type Fences = MemoryFences;

    fn leases(&self) -> RedisLeases {
        self.leases.clone()
    }

    async fn other_process(&self) -> RedisLeases {
        open(&self.server, &self.namespace).await
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn fences(&self) -> MemoryFences {
        self.fences.clone()
    }
}

mainstay_dlock::conformance!(if_there fixture());

/// A server of the test's own.
async fn private() -> Option<PrivateServer> {
    let server = PrivateServer::for_suite("dlock, private servers").await;
    server.unwrap()
}

async fn leases(server: &PrivateServer) -> Result<RedisLeases, Error> {
    let connection = connection(server.url()).await;
    RedisLeases::builder(connection).open().await
}

#[tokio::test]
async fn a_policy_that_evicts_is_refused_at_open_by_its_name() {
    let Some(server) = private().await else {
        return;
    };
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let setting = [("maxmemory-policy", policy)];
        server.restart_with(&setting).await.unwrap();
        let refused = leases(&server).await.unwrap_err();
        assert!(matches!(&refused, Error::Evicts { policy: told } if told == policy));
        let told = refused.to_string();
        assert!(
            told.contains("maxmemory-policy is ") && told.contains(policy),
            "{told}"
        );
    }
    let setting = [("maxmemory-policy", "noeviction")];
    server.restart_with(&setting).await.unwrap();
    leases(&server).await.unwrap();
    server.close().await.unwrap();
}

/// How often each command was called by clients; commands within scripts are counted by their own names.
async fn calls(connection: &mut ConnectionManager, command: &str) -> u64 {
    let info: String = driver::cmd("INFO")
        .arg("commandstats")
        .query_async(connection)
        .await
        .unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

const LONG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn each_operation_is_one_round_trip_and_so_is_a_renewal_of_all() {
    let Some(server) = private().await else {
        return;
    };
    let mut connection = connection(server.url()).await;
    let store = leases(&server).await.unwrap();
    let mut count = async || calls(&mut connection, "evalsha").await;
    let locks = Locks::builder(store.clone()).lease(LONG).build();

    assert_eq!(count().await, 0);
    let guard = locks.acquire("a", LONG).await.unwrap();
    assert_eq!(count().await, 1, "acquire");
    assert!(locks.try_acquire("a").await.unwrap().is_none());
    assert_eq!(count().await, 2, "acquire of a lock that is held");
    guard.release().await.unwrap();
    assert_eq!(count().await, 3, "release");

    let names: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let holdings = names.iter().map(|name| Holding { name, owner: "me" });
    let holdings: Vec<_> = holdings.collect();
    for holding in &holdings {
        let claim = Claim {
            holding: *holding,
            lease: LONG,
            above: FencingToken::ZERO,
        };
        let Acquired::Granted(_) = store.acquire(claim).await.unwrap() else {
            panic!("{holding:?}");
        };
    }
    assert_eq!(count().await, 53);
    let renewed = store.renew(&holdings, LONG).await.unwrap();
    assert_eq!(renewed, [true; 50]);
    assert_eq!(count().await, 54, "renewal of fifty");
    for other in ["eval", "script|load"] {
        let loads = if other == "eval" { 0 } else { 2 };
        assert_eq!(calls(&mut connection, other).await, loads, "{other}");
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn guards_of_a_process_are_renewed_by_one_call() {
    let Some(server) = private().await else {
        return;
    };
    let mut connection = connection(server.url()).await;
    let lease = Duration::from_secs(3);
    let store = leases(&server).await.unwrap();
    let locks = Locks::builder(store).lease(lease).build();
    let mut guards = Vec::new();
    for n in 0..20 {
        guards.push(locks.acquire(&n.to_string(), LONG).await.unwrap());
    }
    let before = calls(&mut connection, "evalsha").await;
    let is_new = |guard: &Guard| guard.remaining() > Some(lease * 9 / 10);
    // It was so when they were new.
    for new in [false, true] {
        while !guards.iter().all(|guard| is_new(guard) == new) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(calls(&mut connection, "evalsha").await, before + 1);
    drop(guards);
    server.close().await.unwrap();
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_loaded_again() {
    let Some(server) = private().await else {
        return;
    };
    let mut connection = connection(server.url()).await;
    let store = leases(&server).await.unwrap();
    let locks = Locks::builder(store.clone()).lease(LONG).build();
    let mut forget = async || {
        let forget = driver::cmd("SCRIPT").arg("FLUSH").to_owned();
        forget.exec_async(&mut connection).await.unwrap();
    };
    forget().await;
    let guard = locks.acquire("a", LONG).await.unwrap();
    forget().await;
    assert!(locks.try_acquire("a").await.unwrap().is_none());
    forget().await;
    guard.release().await.unwrap();
    let claim = Claim {
        holding: Holding {
            name: "a",
            owner: "me",
        },
        lease: LONG,
        above: FencingToken::ZERO,
    };
    let Acquired::Granted(_) = store.acquire(claim).await.unwrap() else {
        panic!("it was released");
    };
    forget().await;
    assert_eq!(store.renew(&[claim.holding], LONG).await.unwrap(), [true]);
    server.close().await.unwrap();
}

#[tokio::test]
async fn after_a_restart_without_data_tokens_still_grow() {
    let Some(server) = private().await else {
        return;
    };
    let locks = Locks::builder(leases(&server).await.unwrap()).lease(LONG);
    let locks = locks.poll_interval(Duration::from_millis(20)).build();
    let mut last = FencingToken::ZERO;
    for _ in 0..3 {
        // Nobody knows any more that it was held.
        let guard = locks.acquire("a", LONG).await.unwrap();
        assert!(last < guard.token());
        last = guard.token();
        server.restart().await.unwrap();
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn after_a_flush_a_smaller_token_is_refused_and_the_next_one_is_larger() {
    let Some(server) = private().await else {
        return;
    };
    let mut connection = connection(server.url()).await;
    let locks = Locks::builder(leases(&server).await.unwrap())
        .lease(LONG)
        .build();
    let database = Database::new();
    let fences = MemoryFences::builder(&database).open().await.unwrap();
    // The server's clock was ahead once.
    let ahead = 4_000_000_000_000_000_i64;
    driver::cmd("SET")
        .arg("dlock:a")
        .arg(ahead)
        .exec_async(&mut connection)
        .await
        .unwrap();
    let holder = locks.acquire("a", LONG).await.unwrap();
    assert_eq!(holder.token().as_i64(), ahead + 1);
    let mut tx = database.begin().await.unwrap();
    holder.check(&fences, &mut tx).await.unwrap();
    database.commit(tx).await.unwrap();

    let flush = driver::cmd("FLUSHALL");
    flush.exec_async(&mut connection).await.unwrap();
    let regressed = locks.acquire("a", LONG).await.unwrap();
    assert!(regressed.token() < holder.token());
    let mut tx = database.begin().await.unwrap();
    let refused = regressed.check(&fences, &mut tx).await;
    assert!(matches!(refused, Err(Error::Fenced { seen, .. }) if seen == holder.token()));
    drop(tx);
    regressed.release().await.unwrap();
    let next = locks.acquire("a", LONG).await.unwrap();
    assert!(next.token() > holder.token());
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_holder_whose_server_stands_still_loses_its_lock_in_time() {
    let Some(server) = private().await else {
        return;
    };
    let lease = Duration::from_secs(1);
    let locks = Locks::builder(leases(&server).await.unwrap()).lease(lease);
    let locks = locks.poll_interval(Duration::from_millis(20)).build();
    let guard = locks.acquire("a", LONG).await.unwrap();
    server.pause().await.unwrap();
    let ended = guard.run(std::future::pending::<()>()).await;
    assert!(matches!(ended, Err(Error::Lost { .. })));
    // An outage, not a lock that is held.
    let away = locks.acquire("b", Duration::from_millis(700)).await;
    assert!(matches!(away, Err(Error::Unavailable(_))), "{away:?}");
    server.resume().await.unwrap();
    let next = locks.acquire("a", LONG).await.unwrap();
    assert!(next.token() > guard.token());
    server.close().await.unwrap();
}
