//! Two processes of every service on the same data: neither repeats nor undoes the other's work.

use std::{collections::BTreeMap, thread};

use serde_json::Value;

use crate::{
    sandbox::{Sandbox, count},
    shop::{Reply, Shop, assert_settles, body, insist, one_answer, wait_for},
};

/// Two processes, each with all services.
fn pair(sandbox: &Sandbox) -> [Shop; 2] {
    [Shop::open(sandbox.path()), Shop::open(sandbox.path())]
}

/// Sends all requests at once, every other one to the other process.
fn at_once(shops: &[Shop; 2], requests: &[(String, String)]) -> Vec<Reply> {
    thread::scope(|scope| {
        let clients: Vec<_> = requests
            .iter()
            .zip(shops.iter().cycle())
            .map(|((key, body), shop)| scope.spawn(|| insist(shop.address(), key, body)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    })
}

fn number(shop: &Shop, sku: &str, what: &str) -> i64 {
    let stock = shop.get(&format!("/api/v1/stock/{sku}")).json();
    stock[what].as_i64().unwrap()
}

#[test]
fn many_customers_of_two_processes_never_get_more_than_the_stock() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shops = pair(&sandbox);
    // Scarce SKUs in both orders: transactions that lock in the order of lines would deadlock.
    let (there, back) = (
        [("SKU-198", 1), ("SKU-199", 1)],
        [("SKU-199", 1), ("SKU-198", 1)],
    );
    let requests: Vec<_> = (0..60)
        .map(|number| {
            let lines = match number % 3 {
                0 => &there[..],
                1 => &back[..],
                _ => &[("SKU-198", 1)][..],
            };
            let method = if number % 5 == 0 {
                "pm_declined"
            } else {
                "pm_ok"
            };
            (format!("k{number}"), body(lines, method))
        })
        .collect();
    let mut completed: BTreeMap<&str, i64> = BTreeMap::new();
    for (reply, (_, body)) in at_once(&shops, &requests).iter().zip(&requests) {
        assert_eq!(reply.status, 202, "{reply:?}");
        let order = shops[0].ended(&reply.order_id());
        if order["status"] == "completed" {
            for sku in ["SKU-198", "SKU-199"] {
                *completed.entry(sku).or_default() += i64::from(body.contains(sku));
            }
        }
    }
    let verdict = assert_settles(sandbox.path());
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    for (sku, there) in [("SKU-198", 20), ("SKU-199", 10)] {
        let sold = completed.get(sku).copied().unwrap_or(0);
        assert!(sold > 0, "{sku}");
        assert_eq!(number(&shops[1], sku, "on_hand"), there - sold, "{sku}");
        assert_eq!(number(&shops[1], sku, "reserved"), 0, "{sku}");
    }
    for shop in shops {
        assert_healthy(&shop);
        shop.stop();
    }
}

#[test]
fn one_key_at_two_processes_is_one_order_and_one_answer() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shops = pair(&sandbox);
    for round in 0..8 {
        let request = (format!("same-{round}"), body(&[("SKU-003", 1)], "pm_ok"));
        let replies = at_once(&shops, &vec![request; 8]);
        one_answer(&replies);
    }
    let orders = "SELECT count(*) FROM order_view";
    assert_eq!(count(sandbox.path(), "order", orders), 8);
    assert_settles(sandbox.path());
    for shop in shops {
        shop.stop();
    }
}

/// The rounds of both processes find the same due intents and shipments.
#[test]
fn rounds_of_two_processes_have_each_effect_once() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shops = pair(&sandbox);
    let methods = ["pm_ok", "pm_late", "pm_flaky", "pm_declined", "pm_timeout"];
    let requests: Vec<_> = methods
        .iter()
        .cycle()
        .take(50)
        .enumerate()
        .map(|(number, method)| (format!("k{number}"), body(&[("SKU-001", 1)], method)))
        .collect();
    for (reply, (_, body)) in at_once(&shops, &requests).iter().zip(&requests) {
        let refused = body.contains("pm_declined") || body.contains("pm_timeout");
        let end = if refused { "cancelled" } else { "completed" };
        let order = shops[1].ended(&reply.order_id());
        assert_eq!(order["status"], end, "{order:#}");
    }
    let verdict = assert_settles(sandbox.path());
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    let holds = "SELECT count(*) FROM operations WHERE kind = 'authorize'";
    assert_eq!(count(sandbox.path(), "psp", holds), 30);
    for shop in shops {
        assert_healthy(&shop);
        shop.stop();
    }
}

/// No key is blocked: the loser of each race was retried.
fn assert_healthy(shop: &Shop) {
    wait_for("the shop to be healthy", || {
        let ready: Value = shop.get("/readyz").json();
        (ready["status"] == "ok").then_some(())
    });
}
