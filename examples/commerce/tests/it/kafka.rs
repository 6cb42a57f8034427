//! The application as it is deployed: a process per service, each with a database of its own on
//! PostgreSQL, and Kafka between them.

mod deployed;

use std::{
    net::TcpListener,
    process::Output,
    sync::{Mutex, atomic::AtomicBool},
    thread,
    time::Duration,
};

use commerce_chassis::{LogContents, ON_A_SERVER, Storage, StorageSettings};
use commerce_contracts::{SUBSCRIPTIONS, TOPICS};
use mainstay_testkit::postgres::URL;

use crate::{
    customer::{Acknowledged, Closing, customer},
    dead_letters::run,
    process::refused,
    sandbox::{self, Sandbox, block_on, count, prefix, text},
    shop::{Shop, assert_holds, assert_settles, body, command, send, verify, wait_for},
};
use deployed::{Deployed, GATEWAY};

#[test]
fn an_order_passes_the_gateway_and_a_process_per_service() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let deployed = Deployed::start(data);
    let shop = deployed.gateway();
    let lines = [("SKU-001", 2)];
    let order = shop.accept("paid", &body(&lines, "pm_ok"));
    let other = shop.accept("declined", &body(&lines, "pm_declined"));
    assert_eq!(shop.ended(&order)["status"], "completed");
    assert_eq!(shop.ended(&other)["status"], "cancelled");
    // Each service serves its own routes, and the gateway those of all.
    for (service, path) in [
        ("payment", format!("/api/v1/payments/{order}")),
        ("shipping", format!("/api/v1/shipments/{order}")),
        ("catalog", "/api/v1/products/SKU-001".to_owned()),
    ] {
        for name in [service, GATEWAY] {
            let answer = deployed.process(name).get(&path);
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
        }
        let elsewhere = deployed.process("order").get(&path);
        assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
    }
    assert!(!data.join("broker.db").exists(), "the log is on Kafka");
    let verdict = assert_settles(data);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    // It has looked at something for each invariant.
    for invariant in verdict["invariants"].as_array().unwrap() {
        assert!(invariant["checked"].as_u64() > Some(0), "{invariant:#}");
    }
    deployed.stop();
    assert_holds(data);
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
        for reads in SUBSCRIPTIONS.iter().filter(|reads| reads.topic == topic) {
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
    let verdict = assert_settles(data);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    // An outage is nobody's failure.
    assert_eq!(verdict["dead_letters"]["dead"], 0, "{verdict:#}");
    shop.stop();
    assert_holds(data);
    block_on(kafka.close()).unwrap();
}

#[test]
fn nine_processes_killed_in_turn_under_load_lose_nothing_and_repeat_no_effect() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let mut deployed = Deployed::start(data);
    // One of them runs twice.
    let twin = deployed.twin("inventory");
    let acknowledged: Mutex<Vec<Acknowledged>> = Mutex::default();
    let count = || acknowledged.lock().unwrap().len();
    let more = || {
        let before = count();
        wait_for("orders to be acknowledged", || {
            (count() >= before + 6).then_some(())
        });
    };
    let over = AtomicBool::new(false);
    let address = deployed.address(GATEWAY).to_owned();
    thread::scope(|scope| {
        let (acknowledged, over) = (&acknowledged, &over);
        let closing = Closing(over);
        let keep = |order| acknowledged.lock().unwrap().push(order);
        let pace = Duration::from_millis(50);
        scope.spawn(move || customer(&address, "k", pace, over, keep));
        more();
        // The other one goes on alone.
        twin.kill();
        for name in Deployed::names() {
            more();
            deployed.kill(name);
            deployed.start_again(name);
        }
        more();
        drop(closing);
    });
    let verdict = assert_settles(data);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    assert_eq!(verdict["dead_letters"]["dead"], 0, "{verdict:#}");
    let orders = acknowledged.into_inner().unwrap();
    for order in &orders {
        order.assert_kept(deployed.gateway());
    }
    deployed.stop();
    assert_holds(data);
}

#[test]
fn load_and_scenarios_and_acts_of_operators_work_over_kafka() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let deployed = Deployed::start(data);
    let target = format!("http://{}", deployed.gateway().address());
    for name in ["happy-path", "payment-failure", "duplicate-event", "poison"] {
        let (code, text) = run(data, &["demo", name, "--target", &target]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("every expectation held"), "{text}");
    }
    let orders = ["load", "--orders", "40", "--rate", "10"];
    let reads = ["--reads", "20", "--order-reads", "10"];
    let mut load = command();
    load.args(orders).args(reads).args(["--target", &target]);
    let load = load.output().unwrap();
    assert!(load.status.success(), "{load:?}");
    let (code, text) = run(data, &["saga", "list"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(data, &["dlq", "groups"]);
    assert_eq!(code, 0, "{text}");
    assert_settles(data);
    deployed.stop();
    assert_holds(data);
}

/// A new product is a message for order, which is behind, and for inventory, which is never started.
#[test]
fn verify_waits_for_what_services_that_were_started_have_not_read() {
    let Some(sandbox) = Sandbox::on_kafka() else {
        return;
    };
    let data = sandbox.path();
    let serve = |service| {
        let arguments = ["--service", service, "--traffic", "off"];
        Shop::start(data, &arguments).unwrap()
    };
    let waits_in_vain = |settle: &str| {
        let mut verify = command();
        verify.args(["verify", "--settle", settle]);
        let Output { status, stderr, .. } = sandbox::at(&mut verify, data).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{said}");
        said.contains("messages of the log to handle; stop its traffic")
    };
    serve("order").stop();
    let catalog = serve("catalog");
    let product = r#"{"sku": "KETTLE-1", "name": "Kettle", "category": "kitchen", "tax_class": "standard",
        "prices": [{"currency": "EUR", "price_minor": 2900}]}"#;
    let answer = send(catalog.address(), "POST", "/api/v1/products", &[], product);
    assert_eq!(answer.as_ref().unwrap().status, 201, "{answer:?}");
    wait_for("the product to be published", || {
        (count(data, "catalog", "SELECT count(*) FROM outbox") == 0).then_some(())
    });
    assert!(waits_in_vain("1"), "order has not read it");
    let order = serve("order");
    assert!(!waits_in_vain("120"), "order has read it");
    order.stop();
    catalog.stop();
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
    let (code, verdict) = verify(data);
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
