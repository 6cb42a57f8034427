//! Spans at a collector: one trace of an order through all processes, and a collector that is away.

mod collector;

use std::net::TcpListener;

use commerce_contracts::SUBSCRIPTIONS;
use serde_json::Value;

use crate::{
    sandbox::Sandbox,
    shop::{Shop, body, send, wait_for},
};
use collector::Collector;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[test]
fn an_order_is_one_trace_through_all_processes() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let collector = Collector::listen();
    let start = |service: &str, arguments: &[&str]| {
        let own = [
            "--service",
            service,
            "--traffic",
            "off",
            "--otlp",
            collector.url(),
        ];
        let arguments: Vec<_> = own.into_iter().chain(arguments.iter().copied()).collect();
        Shop::start(data, &arguments).unwrap()
    };
    let services = ["order", "inventory", "payment", "shipping"];
    let processes = services.map(|service| start(service, &[]));
    let upstream = format!("order=http://{}", processes[0].address());
    let gateway = start("gateway", &["--upstream", &upstream]);

    let trace = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("idempotency-key", "k"), ("traceparent", &*trace)];
    let order = body(&[("SKU-001", 1)], "pm_ok");
    let placed = send(
        gateway.address(),
        "POST",
        "/api/v1/orders",
        &headers,
        &order,
    )
    .unwrap();
    assert_eq!(placed.status, 202, "{placed:?}");
    assert_eq!(gateway.ended(&placed.order_id())["status"], "completed");
    gateway.stop();
    for process in processes {
        process.stop();
    }

    let spans = collector.spans();
    let of_trace: Vec<_> = spans.iter().filter(|span| span.trace == TRACE).collect();
    let named = |process: &str, name: &str| {
        let mut all = of_trace.iter();
        all.find(|span| span.process == process && span.name == name)
            .unwrap_or_else(|| panic!("no {name} of {process}: {spans:#?}"))
    };
    // From the client through the gateway to the service, each below the one before.
    let outer = named("commerce-gateway", "POST /api/v1/orders");
    let inner = named("commerce-order", "POST /api/v1/orders");
    assert_eq!((&*outer.parent, &*inner.parent), (SPAN, &*outer.id));
    assert_eq!(outer.attributes["http.response.status_code"], "202");
    // Each service handled messages of the order, also those that others emitted, within the trace.
    for service in services {
        let handled = named(&format!("commerce-{service}"), "process");
        assert_eq!(handled.parent, inner.id, "{handled:?}");
        let group = &handled.attributes["messaging.consumer.group.name"];
        assert!(
            SUBSCRIPTIONS.iter().any(|it| it.service == group),
            "{group}"
        );
    }
    // Other requests have traces of their own.
    let reads = spans.iter().filter(|span| span.name.starts_with("GET "));
    assert!(
        reads
            .filter(|span| span.trace != TRACE && span.parent.is_empty())
            .count()
            > 0
    );
    // What customers send stays in the shop.
    let order: Value = serde_json::from_str(&order).unwrap();
    for (name, value) in spans.iter().flat_map(|span| &span.attributes) {
        for secret in ["payment_method", "customer_id"] {
            assert!(!value.contains(order[secret].as_str().unwrap()), "{name}");
        }
        assert!(!value.contains("Example Street"), "{name}");
    }
}

#[test]
fn a_collector_that_is_away_or_hangs_stops_nothing() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    // Connections are made, and never answered.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = TcpListener::bind("127.0.0.1:0").unwrap();
    let urls = [&hanging, &away].map(|it| format!("http://{}", it.local_addr().unwrap()));
    drop(away);
    for (url, key) in urls.iter().zip(["hanging", "away"]) {
        let arguments = ["--traffic", "off", "--otlp", url];
        let shop = Shop::start(sandbox.path(), &arguments).unwrap();
        let order = shop.accept(key, &body(&[("SKU-001", 1)], "pm_ok"));
        assert_eq!(shop.ended(&order)["status"], "completed");
        if key == "hanging" {
            hanging.set_nonblocking(true).unwrap();
            // It has begun to send, and waits.
            let _kept = wait_for("the exporter", || hanging.accept().ok());
            wait_for("a process that is well", || {
                (shop.get("/readyz").json()["status"] == "ok").then_some(())
            });
            shop.stop();
        } else {
            shop.stop();
        }
    }
}
