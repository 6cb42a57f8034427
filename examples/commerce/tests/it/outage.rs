//! Kills the server under traffic, alone and with the shop: no acknowledged order is lost or stuck,
//! and each effect happens once.

use std::{
    sync::{Mutex, atomic::AtomicBool},
    thread,
    time::Duration,
};

use crate::{
    customer::{Acknowledged, Closing, customer},
    sandbox::Sandbox,
    shop::{Shop, assert_holds, assert_settles, wait_for},
};

#[test]
fn a_server_that_is_killed_under_traffic_and_a_shop_that_is_killed_with_it_lose_nothing() {
    let Some(sandbox) = Sandbox::with_server() else {
        return;
    };
    let acknowledged: Mutex<Vec<Acknowledged>> = Mutex::default();
    let count = || acknowledged.lock().unwrap().len();
    let more = |than: usize| {
        wait_for("orders to be acknowledged", || {
            (count() > than + 10).then_some(())
        });
    };
    for round in 0..3 {
        let shop = Shop::start(sandbox.path(), &["--traffic", "1/s"]).unwrap();
        let over = AtomicBool::new(false);
        let address = shop.address().to_owned();
        thread::scope(|scope| {
            let (acknowledged, over) = (&acknowledged, &over);
            let _closing = Closing(over);
            let name = format!("r{round}");
            let pace = Duration::from_millis(60);
            let keep = |order| acknowledged.lock().unwrap().push(order);
            scope.spawn(move || customer(&address, &name, pace, over, keep));
            for _ in 0..2 {
                more(count());
                sandbox.kill_server();
                sandbox.start_server();
                // Wait for an order to end. Without that, a busy machine would complete no order
                // before the last round, and exceed the deadlines of `verify`.
                more(count());
                let newest = acknowledged
                    .lock()
                    .unwrap()
                    .last()
                    .unwrap()
                    .answer
                    .order_id();
                shop.ended(&newest);
            }
            // Kill both, in either order.
            if round % 2 == 0 {
                shop.kill();
                sandbox.kill_server();
            } else {
                sandbox.kill_server();
                shop.kill();
            }
        });
        sandbox.start_server();
        assert_holds(sandbox.path());
    }

    let shop = Shop::open(sandbox.path());
    let verdict = assert_settles(sandbox.path());
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    for order in &*acknowledged.lock().unwrap() {
        order.assert_kept(&shop);
    }
    shop.stop();
    assert_holds(sandbox.path());
}
