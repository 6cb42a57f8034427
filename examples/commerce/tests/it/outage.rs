//! The server dies in the middle of traffic, and so does the shop: no acknowledged order is lost, none is stuck, nothing
//! happens twice.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    ground::Ground,
    shop::{Reply, Shop, assert_holds, body, place, send, wait_for},
};

const METHODS: [&str; 6] = [
    "pm_ok",
    "pm_late",
    "pm_declined",
    "pm_ok",
    "pm_flaky",
    "pm_timeout",
];

/// What a client was told, in order.
type Acknowledged = Vec<Told>;

struct Told {
    key: String,
    body: String,
    answer: Reply,
}

/// How many orders of one customer are under way at once. However slow the machine is, no more wait than it gets through before
/// they are late, which `verify` calls broken: a minute for one that is being cancelled.
const UNDER_WAY: usize = 10;

/// A customer who orders under keys of `name` until the end.
fn order(address: &str, name: &str, told: &Mutex<Acknowledged>, over: &AtomicBool) {
    let mut under_way = VecDeque::new();
    for (number, method) in METHODS.iter().cycle().enumerate() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{name}-{number}");
        let body = body(&[("SKU-007", 1), ("SKU-008", 2)], method);
        // An answer that did not come whole was not given.
        if let Ok(answer) = place(address, &key, &body)
            && answer.status == 202
        {
            under_way.push_back(answer.order_id());
            told.lock().unwrap().push(Told { key, body, answer });
        }
        wait_for("one of the orders under way to end", || {
            // In turn: to ask for all of them each time would be most of the traffic.
            if let Some(order_id) = under_way.pop_front()
                && !has_ended(address, &order_id)
            {
                under_way.push_back(order_id);
            }
            let goes_on = under_way.len() < UNDER_WAY || over.load(Ordering::Relaxed);
            goes_on.then_some(())
        });
        thread::sleep(Duration::from_millis(60));
    }
}

fn has_ended(address: &str, order_id: &str) -> bool {
    let path = format!("/api/v1/orders/{order_id}");
    send(address, "GET", &path, &[], "").is_ok_and(|reply| {
        let order: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        order["status"] == "completed" || order["status"] == "cancelled"
    })
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
        let shop = Shop::start(ground.path(), &["--traffic", "1/s"], None).unwrap();
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
            over.store(true, Ordering::Relaxed);
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
