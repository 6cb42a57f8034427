//! The scenarios of `commerce demo`, each on a fresh shop. `verify` is green behind each.

use crate::{
    dead_letters::run,
    sandbox::Sandbox,
    shop::{Shop, assert_holds, assert_settles},
};

fn play(name: &str) {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let shop = Shop::open(data);
    let target = format!("http://{}", shop.address());
    let (code, text) = run(data, &["demo", name, "--target", &target]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("every expectation held"), "{text}");
    assert_settles(data);
    shop.stop();
    assert_holds(data);
}

#[test]
fn an_order_is_paid_packed_and_delivered() {
    play("happy-path");
}

#[test]
fn a_declined_payment_undoes_what_was_done() {
    play("payment-failure");
}

#[test]
fn an_order_that_exceeds_the_stock_asks_nobody_for_money() {
    play("inventory-unavailable");
}

#[test]
fn messages_that_come_twice_have_one_effect() {
    play("duplicate-event");
}

#[test]
fn a_silent_provider_makes_the_saga_give_up_and_undo() {
    play("saga-timeout");
}

#[test]
fn of_a_thousand_orders_at_once_exactly_the_stock_is_sold() {
    play("concurrent-orders");
}
