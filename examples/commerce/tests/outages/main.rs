//! The application as nine processes under load, while its servers and its processes go away or stand
//! still. `cargo xtask prove chaos` runs it, since it takes minutes; it prints what it counted.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "test suite: it waits by the host's clock, says what it counted, and fails loudly"
)]

#[path = "../it/customer.rs"]
mod customer;
#[path = "../it/kafka/deployed.rs"]
#[expect(dead_code, reason = "nothing is killed for good here")]
mod deployed;
#[path = "../it/sandbox.rs"]
#[expect(dead_code, reason = "other suites use the rest of it")]
mod sandbox;
#[path = "../it/shop.rs"]
#[expect(dead_code, reason = "other suites use the rest of it")]
mod shop;

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{Mutex, atomic::AtomicBool},
    thread,
    time::Duration,
};

use commerce_chassis::{LogRecord, ON_A_SERVER, Storage, StorageSettings};
use mainstay_testkit::kafka;
use rustix::process::Signal;
use serde_json::Value;
use sqlx::ConnectOptions as _;

use customer::{Acknowledged, Closing, customer};
use deployed::{Deployed, GATEWAY, SERVICES};
use sandbox::{Sandbox, block_on, prefix, server_of};
use shop::{Shop, assert_holds, assert_settles, wait_for};

/// Longer than any lease, and than Kafka misses a member of a group.
const STANDSTILL: Duration = Duration::from_secs(20);

/// The most lines that a process may log about an outage.
const LINES: usize = 150;

/// Of the messages in the log, at most one in so many is there twice.
const TWICE: usize = 10;

#[test]
fn outages_lose_nothing_repeat_no_effect_count_no_attempt_and_fill_no_log() {
    let Some((sandbox, kafka)) = with_servers() else {
        return;
    };
    let data = sandbox.path();
    let deployed = Deployed::start(data);
    let acknowledged: Mutex<Vec<Acknowledged>> = Mutex::default();
    let over = AtomicBool::new(false);
    let address = deployed.address(GATEWAY).to_owned();
    thread::scope(|scope| {
        let (acknowledged, over) = (&acknowledged, &over);
        let closing = Closing(over);
        let keep = |order| acknowledged.lock().unwrap().push(order);
        let pace = Duration::from_millis(100);
        scope.spawn(move || customer(&address, "k", pace, over, keep));
        let during = |what: &str, outage: &dyn Fn()| {
            let before = lines(data);
            goes_on(acknowledged, deployed.gateway());
            outage();
            goes_on(acknowledged, deployed.gateway());
            let logged: Vec<(&str, usize)> = (before.iter().zip(lines(data)))
                .map(|((name, before), (_, after))| (*name, after - before))
                .filter(|(_, lines)| *lines > 0)
                .collect();
            println!("outage: {what}: lines logged: {logged:?}");
            assert!(logged.iter().all(|(_, lines)| *lines <= LINES), "{what}");
        };
        during("Kafka is killed, and comes back after a minute", &|| {
            block_on(kafka.kill()).unwrap();
            thread::sleep(Duration::from_secs(60));
            block_on(kafka.start_again()).unwrap();
        });
        during("PostgreSQL is killed and started", &|| {
            sandbox.kill_server();
            sandbox.start_server();
        });
        during("Kafka stands still", &|| {
            block_on(kafka.pause()).unwrap();
            thread::sleep(STANDSTILL);
            block_on(kafka.resume()).unwrap();
        });
        for name in ["payment", "order"] {
            during(&format!("{name} stands still"), &|| {
                deployed.process(name).signal(Signal::STOP);
                thread::sleep(STANDSTILL);
                deployed.process(name).signal(Signal::CONT);
            });
        }
        during("a second process of inventory comes and goes", &|| {
            for _ in 0..10 {
                deployed.twin("inventory").stop();
            }
        });
        drop(closing);
    });
    let verdict = assert_settles(data);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    assert_eq!(verdict["dead_letters"]["dead"], 0, "{verdict:#}");
    for service in SERVICES {
        let failures = failures(deployed.process(service));
        assert!(failures.is_empty(), "{service}: {failures:?}");
    }
    let orders = acknowledged.into_inner().unwrap();
    for order in &orders {
        order.assert_kept(deployed.gateway());
    }
    deployed.stop();
    assert_holds(data);
    let (records, twice) = repeated(&sandbox);
    let orders = orders.len();
    println!("outage: {orders} orders, {records} messages, {twice} of them twice");
    assert!(twice * TWICE <= records);
    block_on(kafka.close()).unwrap();
}

/// Servers that nobody else uses.
fn with_servers() -> Option<(Sandbox, kafka::PrivateServer)> {
    assert!(ON_A_SERVER, "build with `--features distributed`");
    let sandbox = Sandbox::with_server()?;
    let kafka = block_on(kafka::PrivateServer::for_suite("commerce, private servers"));
    let kafka = kafka.unwrap()?;
    Some((sandbox.on(kafka.url()), kafka))
}

/// Waits until some more orders are taken, and the newest has ended.
fn goes_on(acknowledged: &Mutex<Vec<Acknowledged>>, shop: &Shop) {
    let count = || acknowledged.lock().unwrap().len();
    let before = count();
    wait_for("orders to be acknowledged", || {
        (count() >= before + 6).then_some(())
    });
    let newest = acknowledged
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .answer
        .order_id();
    shop.ended(&newest);
}

/// How many lines each process has logged.
fn lines(data: &Path) -> Vec<(&'static str, usize)> {
    let count = |name| {
        let log = fs::read_to_string(data.join(format!("{name}.log"))).unwrap();
        (name, log.lines().count())
    };
    Deployed::names().map(count).collect()
}

/// The failures of messages that the process has counted.
fn failures(shop: &Shop) -> Vec<String> {
    let metrics = shop.get("/metrics").body;
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("mainstay_inbox_failures{") && !line.ends_with(" 0"));
    counted.map(str::to_owned).collect()
}

/// How many messages are in the log, and how many of them came another time.
fn repeated(sandbox: &Sandbox) -> (usize, usize) {
    let storage = Storage::new(&StorageSettings {
        data: sandbox.path().to_owned(),
        postgres: Some(server_of(sandbox.path()).to_url_lossy().to_string()),
        kafka: Some(sandbox.kafka()),
        kafka_prefix: Some(prefix(sandbox.path())),
        ..StorageSettings::default()
    });
    let log = block_on(storage.unwrap().log().read()).unwrap();
    let id = |record: &LogRecord| {
        let envelope: Value = serde_json::from_str(record.envelope.as_ref().unwrap()).unwrap();
        envelope["id"].as_str().unwrap().to_owned()
    };
    let ids: HashSet<String> = log.records.iter().map(id).collect();
    (log.records.len(), log.records.len() - ids.len())
}
