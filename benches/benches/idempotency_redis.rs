//! Idempotency leases in Redis beside the same scripts called by hand, on the server of `MAINSTAY_REDIS_URL`.
#![expect(
    clippy::unwrap_used,
    clippy::future_not_send,
    reason = "a bench stops at the first error, and has one thread"
)]

#[path = "idempotency/latencies.rs"]
mod latencies;

use std::{cell::Cell, time::Duration};

use futures_util::future::join_all;
use latencies::Latencies;
use mainstay_benches::{Bench, Comparison, Side, Took, timed};
use mainstay_database::Namespace;
use mainstay_idempotency::{
    Answer, Begun, KeyedRequest, Leases as _, RedisLeases, Scope, Settled, redis::driver as redis,
};
use mainstay_testkit::redis::Server;
use redis::{Script, aio::ConnectionManager};

const OURS: &str = "idempotency leases";
const BY_HAND: &str = "the same scripts by hand";

const LEASE: Duration = Duration::from_secs(30);
const LEASE_MS: u64 = 30_000;
const DAY_MS: u64 = 86_400_000;
const BODY: [u8; 256] = [b'x'; 256];

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of idempotency") else {
        return;
    };
    let client = redis::Client::open(server.url()).unwrap();
    let connecting = client.get_connection_manager();
    let connection = bench.runtime.block_on(connecting).unwrap();
    for clients in [1, 32] {
        pair(&bench, &server, &connection, clients);
        replay(&bench, &server, &connection, clients);
    }
}

/// Leases, and what it takes to do without them.
struct Sides {
    leases: RedisLeases,
    connection: ConnectionManager,
    prefix: String,
    begin: Script,
    complete: Script,
    next: Cell<u64>,
}

impl Sides {
    fn new(bench: &Bench, server: &Server, connection: &ConnectionManager) -> Self {
        let prefix = server.prefix();
        let leases = RedisLeases::builder(connection.clone())
            .namespace(Namespace::prefixed(&prefix).unwrap());
        Self {
            leases: bench.runtime.block_on(leases.open()).unwrap(),
            connection: connection.clone(),
            prefix,
            begin: Script::new(include_str!("../../idempotency/src/redis/begin.lua")),
            complete: Script::new(include_str!("../../idempotency/src/redis/complete.lua")),
            next: Cell::new(0),
        }
    }

    fn request(&self) -> KeyedRequest {
        let number = self.next.replace(self.next.get() + 1);
        let scope = Scope::new("acme", "charge").unwrap();
        KeyedRequest::new(scope.key(&number.to_string()).unwrap(), BODY)
    }

    async fn ours(&self, request: &KeyedRequest) {
        match self.leases.begin(request, LEASE).await.unwrap() {
            Begun::Fresh(lease) => {
                let answer = Answer::new(201_u16, BODY.to_vec()).header("location", "/charges/1");
                self.leases.complete(&lease, &answer).await.unwrap();
            }
            Begun::Settled(settled) => assert!(matches!(settled, Settled::Done(_))),
        }
    }

    async fn by_hand(&self, request: &KeyedRequest) {
        type Answered = (
            String,
            Option<u64>,
            Option<u16>,
            Option<String>,
            Option<Vec<u8>>,
        );
        let mut connection = self.connection.clone();
        let key = format!("{}{}", self.prefix, request.key.text());
        let mut begin = self.begin.key(&key);
        begin
            .arg(request.fingerprint.as_bytes())
            .arg(7)
            .arg(LEASE_MS)
            .arg(DAY_MS);
        let answered: Answered = begin.invoke_async(&mut connection).await.unwrap();
        if answered.0 == "fresh" {
            let mut complete = self.complete.key(&key);
            complete
                .arg(answered.1)
                .arg(DAY_MS)
                .arg(201)
                .arg(r#"[["location","/charges/1"]]"#)
                .arg(&BODY[..]);
            let done: bool = complete.invoke_async(&mut connection).await.unwrap();
            assert!(done);
        }
    }
}

fn pair(bench: &Bench, server: &Server, connection: &ConnectionManager, clients: usize) {
    let name = format!("idempotency in Redis: begin and complete, {clients} clients");
    let requests = |sides: &Sides, count| (0..count).map(|_| sides.request()).collect();
    compare(bench, server, connection, clients, &name, &requests);
}

fn replay(bench: &Bench, server: &Server, connection: &ConnectionManager, clients: usize) {
    let name = format!("idempotency in Redis: an answer given again, {clients} clients");
    let requests = |sides: &Sides, count| {
        sides.next.set(0);
        vec![sides.request(); count]
    };
    compare(bench, server, connection, clients, &name, &requests);
}

fn compare(
    bench: &Bench,
    server: &Server,
    connection: &ConnectionManager,
    clients: usize,
    name: &str,
    requests: &dyn Fn(&Sides, usize) -> Vec<KeyedRequest>,
) {
    if !bench.wants(name) {
        return;
    }
    let [ours, by_hand] = [(); 2].map(|()| Sides::new(bench, server, connection));
    let count = bench.scaled(1_000 * clients.min(4)).max(clients);
    // What is given again was made before.
    bench.runtime.block_on(async {
        ours.ours(&ours.request()).await;
        by_hand.by_hand(&by_hand.request()).await;
    });
    let times = [(); 2].map(|()| Latencies::new());
    let round = |sides: &Sides, is_ours: bool, times: &Latencies| -> Took {
        let requests = requests(sides, count);
        timed(|| {
            let shares = requests.chunks(count.div_ceil(clients));
            bench.runtime.block_on(join_all(shares.map(async |share| {
                for request in share {
                    if is_ours {
                        times.of(sides.ours(request)).await;
                    } else {
                        times.of(sides.by_hand(request)).await;
                    }
                }
            })))
        })
    };
    let mut sides = [
        Side::new(OURS, || round(&ours, true, &times[0])),
        Side::new(BY_HAND, || round(&by_hand, false, &times[1])),
    ];
    bench.compare(
        &Comparison::new(name, count).target(BY_HAND, 0.9),
        &mut sides,
    );
    for (name, times) in [OURS, BY_HAND].into_iter().zip(&times) {
        times.print(name);
    }
}
