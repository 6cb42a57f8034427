//! Stock that is held for an order that is not confirmed in time.

use serde_json::Value;

use crate::{
    sandbox::{Sandbox, count},
    shop::{Shop, assert_holds, body, wait_for},
};

const EXPIRED: &str = "SELECT count(*) FROM reservations WHERE state = 'expired'";
const RELEASED: &str = "SELECT count(*) FROM emitted WHERE kind = 'StockReleased'";

fn start(sandbox: &Sandbox, service: &str) -> Shop {
    let arguments = ["--traffic", "off", "--service", service, "--hold", "1"];
    Shop::start(sandbox.path(), &arguments, None).unwrap()
}

fn available(inventory: &Shop, sku: &str) -> Value {
    inventory.get(&format!("/api/v1/stock/{sku}")).json()["available"].clone()
}

/// Places an order for all pieces while nobody takes payments.
fn place_unpaid(order: &Shop, key: &str, lines: &[(&str, i64)]) -> String {
    let order_id = order.accept(key, &body(lines, "pm_ok"));
    wait_for("the hold to end", || {
        let path = format!("/api/v1/orders/{order_id}");
        (order.get(&path).json()["status"] == "cancelling").then_some(())
    });
    order_id
}

#[test]
fn a_hold_that_ends_before_the_payment_frees_its_stock_and_cancels_the_order() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let [order, inventory, shipping] =
        ["order", "inventory", "shipping"].map(|name| start(&sandbox, name));
    let first = place_unpaid(&order, "k1", &[("SKU-200", 5)]);
    assert_eq!(available(&inventory, "SKU-200"), 5);
    // Others may have it.
    let second = place_unpaid(&order, "k2", &[("SKU-200", 5)]);

    // The payment is asked for, voided, and never taken.
    let payment = start(&sandbox, "payment");
    for order_id in [&first, &second] {
        let ended = order.ended(order_id);
        assert_eq!(ended["status"], "cancelled", "{ended:#}");
        let reason = ended["history"][2]["reason"].as_str().unwrap();
        assert!(reason.starts_with("hold_expired"), "{reason}");
    }
    assert_eq!(count(sandbox.path(), "inventory", EXPIRED), 2);
    assert_holds(sandbox.path(), 60);
    for shop in [order, inventory, shipping, payment] {
        shop.stop();
    }
}

/// Which process leads, by its own word.
fn leads(inventory: &Shop) -> bool {
    let ready = inventory.get("/readyz").json();
    ready["services"][0]["leaders"][0]["leads"] == true
}

#[test]
fn of_two_processes_one_ends_holds_and_the_other_one_goes_on_when_it_is_killed() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let order = start(&sandbox, "order");
    let leader = start(&sandbox, "inventory");
    wait_for("a leader", || leads(&leader).then_some(()));
    let other = start(&sandbox, "inventory");
    place_unpaid(&order, "k1", &[("SKU-199", 2)]);
    assert!(leads(&leader) && !leads(&other));
    leader.kill();
    place_unpaid(&order, "k2", &[("SKU-199", 3)]);
    assert!(leads(&other));
    assert_eq!(available(&other, "SKU-199"), 10);
    for sql in [EXPIRED, RELEASED] {
        assert_eq!(count(sandbox.path(), "inventory", sql), 2, "{sql}");
    }
    for shop in [order, other] {
        shop.stop();
    }
}
