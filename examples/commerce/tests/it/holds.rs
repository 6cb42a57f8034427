//! Stock that is held for an order that is not confirmed in time.

use serde_json::Value;

use crate::{
    sandbox::{Sandbox, count},
    shop::{Shop, assert_settles, body, wait_for},
};

const EXPIRED: &str = "SELECT count(*) FROM reservations WHERE state = 'expired'";
/// Publishing is at least once: a killed process may leave a second copy.
const RELEASED: &str = "SELECT count(DISTINCT envelope ->> 'id') FROM broker_records WHERE envelope ->> 'kind' = 'StockReleased'";

fn start(sandbox: &Sandbox, service: &str, hold: &str) -> Shop {
    let arguments = ["--traffic", "off", "--service", service, "--hold", hold];
    Shop::start(sandbox.path(), &arguments).unwrap()
}

fn available(inventory: &Shop, sku: &str) -> Value {
    inventory.get(&format!("/api/v1/stock/{sku}")).json()["available"].clone()
}

/// Places an order while nobody takes payments, until its hold has ended.
fn place_unpaid(sandbox: &Sandbox, order: &Shop, key: &str, lines: &[(&str, i64)]) -> String {
    let ended = count(sandbox.path(), "inventory", EXPIRED);
    let order_id = order.accept(key, &body(lines, "pm_ok"));
    wait_for("the hold to end", || {
        (count(sandbox.path(), "inventory", EXPIRED) > ended).then_some(())
    });
    order_id
}

#[test]
fn a_hold_that_ends_before_the_payment_is_taken_anew_if_nobody_else_took_the_stock() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let order = start(&sandbox, "order", "1");
    let shipping = start(&sandbox, "shipping", "1");
    let inventory = start(&sandbox, "inventory", "1");
    let late = place_unpaid(&sandbox, &order, "k1", &[("SKU-200", 5)]);
    let lucky = place_unpaid(&sandbox, &order, "k2", &[("SKU-199", 5)]);
    assert_eq!(available(&inventory, "SKU-200"), 5);
    inventory.stop();
    // Others may have it.
    let inventory = start(&sandbox, "inventory", "900");
    let other = order.accept("k3", &body(&[("SKU-200", 5)], "pm_ok"));
    wait_for("the hold of the other order", || {
        (available(&inventory, "SKU-200") == 0).then_some(())
    });

    let payment = start(&sandbox, "payment", "1");
    let late = order.ended(&late);
    assert_eq!(late["status"], "cancelled", "{late:#}");
    for paid in [&lucky, &other] {
        let paid = order.ended(paid);
        // On a busy machine, the saga may have given up before the payment service started.
        let gave_up = paid.to_string().contains("timed_out");
        assert!(paid["status"] == "completed" || gave_up, "{paid:#}");
    }
    assert_settles(sandbox.path());
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
    let order = start(&sandbox, "order", "1");
    let leader = start(&sandbox, "inventory", "1");
    wait_for("a leader", || leads(&leader).then_some(()));
    let other = start(&sandbox, "inventory", "1");
    place_unpaid(&sandbox, &order, "k1", &[("SKU-199", 2)]);
    assert!(leads(&leader) && !leads(&other));
    leader.kill();
    place_unpaid(&sandbox, &order, "k2", &[("SKU-199", 3)]);
    assert!(leads(&other));
    assert_eq!(available(&other, "SKU-199"), 10);
    assert_eq!(count(sandbox.path(), "inventory", EXPIRED), 2);
    wait_for("both releases to be told", || {
        (count(sandbox.path(), "broker", RELEASED) == 2).then_some(())
    });
    for shop in [order, other] {
        shop.stop();
    }
}
