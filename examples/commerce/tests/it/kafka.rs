//! The application as it is deployed: a process per service, each with a database of its own on
//! PostgreSQL, and Kafka between them.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    sync::{Mutex, atomic::AtomicBool},
    thread,
    time::Duration,
};

use commerce_chassis::{LogContents, ON_A_SERVER, Storage, StorageSettings};
use commerce_contracts::{SUBSCRIPTIONS, TOPICS};
use mainstay_testkit::postgres::URL;
use rustix::process::Signal;

use crate::{
    customer::{Acknowledged, Closing, customer},
    dead_letters::run,
    process::refused,
    sandbox::{Sandbox, block_on, count, prefix, text},
    shop::{Shop, assert_holds, body, command, verify, wait_for},
};

/// The services that an order passes.
const SERVICES: [&str; 4] = ["order", "inventory", "payment", "shipping"];

fn start(data: &Path, service: &str) -> Shop {
    let arguments = [
        "--service",
        service,
        "--traffic",
        "off",
        "--partitions",
        "3",
    ];
    Shop::start(data, &arguments, None).unwrap()
}

fn start_all(data: &Path) -> BTreeMap<&'static str, Shop> {
    // At once: each creates what is missing.
    thread::scope(|scope| {
        let starting = SERVICES.map(|name| (name, scope.spawn(move || start(data, name))));
        let started = starting.map(|(name, starting)| (name, starting.join().unwrap()));
        started.into()
    })
}

fn stop_all(shops: BTreeMap<&'static str, Shop>) {
    for shop in shops.values() {
        shop.signal(Signal::TERM);
    }
    for shop in shops.into_values() {
        let status = shop.exit();
        assert!(status.success(), "{status}");
    }
}

#[test]
fn an_order_passes_a_process_per_service() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let shops = start_all(data);
    let lines = [("SKU-001", 2)];
    let order = shops["order"].accept("paid", &body(&lines, "pm_ok"));
    let other = shops["order"].accept("declined", &body(&lines, "pm_declined"));
    assert_eq!(shops["order"].ended(&order)["status"], "completed");
    assert_eq!(shops["order"].ended(&other)["status"], "cancelled");
    // Each serves its own routes.
    let paid = shops["payment"].get(&format!("/api/v1/payments/{order}"));
    assert_eq!(paid.status, 200, "{paid:?}");
    let sent = shops["shipping"].get(&format!("/api/v1/shipments/{order}"));
    assert_eq!(sent.status, 200, "{sent:?}");
    let elsewhere = shops["order"].get(&format!("/api/v1/payments/{order}"));
    assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
    assert!(!data.join("broker.db").exists(), "the log is on Kafka");
    let verdict = assert_holds(data, 60);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    // It has looked at the messages of both orders.
    let invariants = verdict["invariants"].as_array().unwrap();
    for invariant in invariants {
        let about = invariant["name"].as_str().unwrap_or_default();
        assert!(
            invariant["checked"].as_u64() > Some(0) || !about.contains("message"),
            "{verdict:#}"
        );
    }
    stop_all(shops);
    assert_holds(data, 0);
    let log = log_of(&sandbox);
    // The processes have created each topic once, with the partitions that they were told.
    assert_eq!(
        log.partitions.len(),
        3 * TOPICS.len(),
        "{:?}",
        log.partitions
    );
    assert!(
        log.partitions
            .iter()
            .all(|partition| (0..3).contains(&partition.number))
    );
    for record in &log.records {
        let topic = &log.partition(record.partition).unwrap().topic;
        let started = SUBSCRIPTIONS
            .iter()
            .filter(|reads| reads.topic == topic && SERVICES.contains(&reads.service));
        for reads in started {
            let committed = log.committed(reads.service, record.partition);
            assert!(committed > record.offset, "{reads:?} {record:?}");
        }
    }
    let of_order = log
        .records
        .iter()
        .filter(|record| record.key.as_ref() == Some(&order));
    assert!(of_order.count() > 10);
}

/// The log, as `verify` reads it.
fn log_of(sandbox: &Sandbox) -> LogContents {
    let storage = Storage::new(&StorageSettings {
        data: sandbox.path().to_owned(),
        postgres: std::env::var(URL).ok(),
        kafka: Some(sandbox.kafka()),
        kafka_prefix: Some(prefix(sandbox.path())),
        ..StorageSettings::default()
    });
    block_on(storage.unwrap().log().read()).unwrap()
}

#[test]
fn while_kafka_is_away_orders_are_taken_and_they_go_on_when_it_is_back() {
    let Some((sandbox, kafka)) = Sandbox::with_kafka() else {
        return;
    };
    let data = sandbox.path();
    let shop = Shop::open(data);
    let order = |key: &str| shop.accept(key, &body(&[("SKU-001", 1)], "pm_ok"));
    let first = order("k1");
    assert_eq!(shop.ended(&first)["status"], "completed");
    block_on(kafka.kill()).unwrap();
    let second = order("k2");
    let waiting = "SELECT count(*) FROM outbox";
    assert!(count(data, "order", waiting) > 0, "nobody takes them");
    block_on(kafka.start_again()).unwrap();
    assert_eq!(shop.ended(&second)["status"], "completed");
    assert_eq!(shop.ended(&order("k3"))["status"], "completed");
    let verdict = assert_holds(data, 60);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    // An outage is nobody's failure.
    assert_eq!(verdict["dead_letters"]["dead"], 0, "{verdict:#}");
    shop.stop();
    assert_holds(data, 0);
    block_on(kafka.close()).unwrap();
}

#[test]
fn services_that_are_killed_under_load_lose_nothing_and_repeat_no_effect() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let mut shops = start_all(data);
    // One of them runs twice.
    let twin = start(data, "inventory");
    let acknowledged: Mutex<Vec<Acknowledged>> = Mutex::default();
    let count = || acknowledged.lock().unwrap().len();
    let more = || {
        let before = count();
        wait_for("orders to be acknowledged", || {
            (count() > before + 10).then_some(())
        });
    };
    let over = AtomicBool::new(false);
    let address = shops["order"].address().to_owned();
    thread::scope(|scope| {
        let (acknowledged, over) = (&acknowledged, &over);
        let closing = Closing(over);
        let keep = |order| acknowledged.lock().unwrap().push(order);
        let pace = Duration::from_millis(30);
        scope.spawn(move || customer(&address, "k", pace, over, keep));
        more();
        // The other one goes on alone.
        twin.kill();
        more();
        for service in ["inventory", "payment", "shipping"] {
            shops.remove(service).unwrap().kill();
            assert_holds(data, 0);
            shops.insert(service, start(data, service));
            more();
        }
        drop(closing);
        shops.remove("order").unwrap().kill();
    });
    shops.insert("order", start(data, "order"));
    let verdict = assert_holds(data, 120);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    let orders = acknowledged.into_inner().unwrap();
    assert!(orders.len() > 50, "{} orders are no load", orders.len());
    for order in &orders {
        order.assert_kept(&shops["order"]);
    }
    stop_all(shops);
    assert_holds(data, 0);
}

#[test]
fn load_and_scenarios_and_acts_of_operators_work_over_kafka() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let shops = start_all(data);
    // A process of all services beside those of one: each runs twice, and this one has all routes.
    let front = Shop::open(data);
    let target = format!("http://{}", front.address());
    for name in ["happy-path", "payment-failure", "duplicate-event", "poison"] {
        let (code, text) = run(data, &["demo", name, "--target", &target]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("every expectation held"), "{text}");
    }
    let orders = ["load", "--orders", "40", "--rate", "10"];
    let load = command().args(orders).args(["--target", &target]).output();
    let load = load.unwrap();
    assert!(load.status.success(), "{load:?}");
    let (code, text) = run(data, &["saga", "list"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(data, &["dlq", "groups"]);
    assert_eq!(code, 0, "{text}");
    assert_holds(data, 60);
    front.stop();
    stop_all(shops);
    assert_holds(data, 0);
}

#[test]
fn a_log_that_is_another_one_or_away_is_refused_in_one_line() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let shop = Shop::open(data);
    shop.stop();
    let bound = text(data, "order", "SELECT log_id FROM log_binding");
    // It would end by itself, if it were not refused.
    let other = ["migrate", "--kafka-prefix", "other_"];
    let line = refused(&other, data);
    let end = &bound[bound.len() - 8..];
    assert!(
        line.contains("is bound to log") && line.contains(end),
        "{line}"
    );
    assert!(line.contains("--kafka-prefix"), "{line}");
    let (code, verdict) = verify(data, 0);
    assert_eq!(code, 0, "{verdict:#}");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = closed.local_addr().unwrap().to_string();
    let line = refused(
        &["serve", "--listen", "127.0.0.1:0", "--kafka", &closed],
        data,
    );
    assert!(
        line.contains("broker is not available") && line.contains(&closed),
        "{line}"
    );
    for (setting, value) in [
        ("--kafka", "broker"),
        ("--kafka", "http://broker:9092"),
        ("--kafka-prefix", "Über"),
        ("--partitions", "0"),
    ] {
        let line = refused(&["serve", "--listen", "127.0.0.1:0", setting, value], data);
        assert!(line.contains(setting.trim_start_matches('-')), "{line}");
    }
}

#[test]
fn a_build_on_files_says_how_kafka_is_had() {
    if ON_A_SERVER {
        return;
    }
    let mut serve = command();
    let output = serve
        .args(["serve", "--kafka", "127.0.0.1:1"])
        .output()
        .unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains("--features distributed"), "{line}");
}
