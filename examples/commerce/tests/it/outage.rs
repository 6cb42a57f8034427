//! The server dies in the middle of traffic, and so does the shop: no acknowledged order is lost, none is stuck, nothing
//! happens twice.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    ground::Ground,
    shop::{Shop, assert_holds, body, place, wait_for},
};

const METHODS: [&str; 6] = [
    "pm_ok",
    "pm_late",
    "pm_declined",
    "pm_ok",
    "pm_flaky",
    "pm_timeout",
];

/// What a client was told, by key: (body, answer).
type Acknowledged = BTreeMap<String, (String, String)>;

/// A customer who orders under keys of `name` until the end.
fn order(address: &str, name: &str, told: &Mutex<Acknowledged>, over: &AtomicBool) {
    for (number, method) in METHODS.iter().cycle().enumerate() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{name}-{number}");
        let body = body(&[("SKU-007", 1), ("SKU-008", 2)], method);
        // An answer that did not come whole was not given.
        if let Ok(reply) = place(address, &key, &body)
            && reply.status == 202
        {
            told.lock().unwrap().insert(key, (body, reply.body));
        }
        // Fewer than a busy machine gets through: an order that waits behind others for two minutes is late.
        thread::sleep(Duration::from_millis(60));
    }
}

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
        let shop = Shop::start(ground.path(), &["--traffic", "5/s"], None).unwrap();
        let over = AtomicBool::new(false);
        let address = shop.address().to_owned();
        thread::scope(|scope| {
            let (told, over) = (&told, &over);
            let name = format!("r{round}");
            scope.spawn(move || order(&address, &name, told, over));
            for _ in 0..2 {
                more(count());
                ground.kill_server();
                ground.start_server();
                // The same process goes on.
                more(count());
            }
            // Both die: the shop before its server or after it.
            if round % 2 == 0 {
                shop.kill();
                ground.kill_server();
            } else {
                ground.kill_server();
                shop.kill();
            }
            over.store(true, Ordering::Relaxed);
        });
        ground.start_server();
        assert_holds(ground.path(), 0);
    }

    let shop = Shop::open(ground.path());
    let verdict = assert_holds(ground.path(), 60);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    for (key, (body, answer)) in &*told.lock().unwrap() {
        let again = shop.order(key, body);
        assert_eq!(
            (again.status, &again.body),
            (202, answer),
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
