//! The server dies in the middle of traffic, and so does the shop: no acknowledged order is lost, none is stuck, nothing
//! happens twice.

use std::{
    sync::{Mutex, atomic::AtomicBool},
    thread,
    time::Duration,
};

use crate::{
    customer::{Closing, Told, customer},
    ground::Ground,
    shop::{Shop, assert_holds, wait_for},
};

/// What a client was told, in order.
type Acknowledged = Vec<Told>;

#[test]
fn a_server_that_is_killed_under_traffic_and_a_shop_that_is_killed_with_it_lose_nothing() {
    let Some(ground) = Ground::with_server() else {
        return;
    };
    let told = Mutex::new(Acknowledged::new());
    let count = || told.lock().unwrap().len();
    let more = |than: usize| {
        wait_for("orders to be acknowledged", || {
            (count() > than + 10).then_some(())
        });
    };
    for round in 0..3 {
        let shop = Shop::start(ground.path(), &["--traffic", "1/s"], None).unwrap();
        let over = AtomicBool::new(false);
        let address = shop.address().to_owned();
        thread::scope(|scope| {
            let (told, over) = (&told, &over);
            let _closing = Closing(over);
            let name = format!("r{round}");
            let pace = Duration::from_millis(60);
            let tell = |order| told.lock().unwrap().push(order);
            scope.spawn(move || customer(&address, &name, pace, over, tell));
            for _ in 0..2 {
                more(count());
                ground.kill_server();
                ground.start_server();
                // The same process goes on, and gets through what it has. Were it struck again as soon as it takes orders,
                // none would end before the last round: on a busy machine that is later than orders may end.
                more(count());
                let newest = told.lock().unwrap().last().unwrap().answer.order_id();
                shop.ended(&newest);
            }
            // Both die: the shop before its server or after it.
            if round % 2 == 0 {
                shop.kill();
                ground.kill_server();
            } else {
                ground.kill_server();
                shop.kill();
            }
        });
        ground.start_server();
        assert_holds(ground.path(), 0);
    }

    let shop = Shop::open(ground.path());
    let verdict = assert_holds(ground.path(), 60);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    for Told { key, body, answer } in &*told.lock().unwrap() {
        let again = shop.order(key, body);
        assert_eq!(
            (again.status, &again.body),
            (202, &answer.body),
            "{key} was acknowledged"
        );
        let status = shop.ended(&again.order_id())["status"].clone();
        assert!(
            status == "completed" || status == "cancelled",
            "{key}: {status}"
        );
    }
    shop.stop();
    assert_holds(ground.path(), 0);
}
