//! What the processes of a deployment share in Redis: leases of calls to the payment provider, and
//! counts of requests.

use std::thread;

use commerce_chassis::ON_A_SERVER;
use mainstay_testkit::redis::{PrivateServer, Server};

use crate::{
    sandbox::{Sandbox, block_on, count},
    shop::{Shop, assert_settles, body, command, until_refused, wait_for},
};

/// Requests to authorise a payment.
const ASKED: &str = "SELECT CAST(sum(requested) AS BIGINT) FROM orders";

fn start(sandbox: &Sandbox, redis: &str) -> Shop {
    let arguments = ["--traffic", "off", "--redis", redis];
    Shop::start(sandbox.path(), &arguments).unwrap()
}

/// Without shared leases, both processes ask for many of the effects.
#[test]
fn two_processes_ask_the_provider_for_each_effect_as_often_as_one_does() {
    let Some(sandbox) = on_a_server() else {
        return;
    };
    let Some(redis) = Server::for_suite("commerce") else {
        return;
    };
    let shops = [start(&sandbox, redis.url()), start(&sandbox, redis.url())];
    let order = |number: usize| {
        // `pm_late` is found by its key.
        let method = ["pm_ok", "pm_late"][number % 2];
        let shop = &shops[number % 2];
        let order_id = shop.accept(&format!("k{number}"), &body(&[("SKU-001", 1)], method));
        assert_eq!(shop.ended(&order_id)["status"], "completed");
    };
    thread::scope(|scope| {
        for number in 0..40 {
            let order = &order;
            scope.spawn(move || order(number));
        }
    });
    let verdict = assert_settles(sandbox.path());
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    // A call that outlives its lease on a busy machine is repeated, as one process would.
    let asked = count(sandbox.path(), "psp", ASKED);
    assert!((40..44).contains(&asked), "{asked} requests for 40 effects");
    for shop in shops {
        shop.stop();
    }
}

#[test]
fn while_redis_is_away_orders_are_taken_and_the_provider_is_not_asked() {
    let Some(sandbox) = on_a_server() else {
        return;
    };
    let Some(redis) = block_on(PrivateServer::for_suite("commerce")).unwrap() else {
        return;
    };
    let shop = start(&sandbox, redis.url());
    let order = |key: &str| shop.accept(key, &body(&[("SKU-001", 1)], "pm_ok"));
    let first = order("k1");
    assert_eq!(shop.ended(&first)["status"], "completed");
    block_on(redis.kill()).unwrap();
    let second = order("k2");
    let waiting = "SELECT count(*) FROM intents";
    wait_for("an intent", || {
        (count(sandbox.path(), "payment", waiting) == 1).then_some(())
    });
    let due_at = "SELECT due_at FROM intents";
    let due = count(sandbox.path(), "payment", due_at);
    wait_for("the intent to be put off", || {
        (count(sandbox.path(), "payment", due_at) > due).then_some(())
    });
    assert_eq!(count(sandbox.path(), "psp", ASKED), 1, "only of the first");
    // It comes back empty.
    block_on(redis.start_again()).unwrap();
    assert_eq!(shop.ended(&second)["status"], "completed");
    assert_eq!(count(sandbox.path(), "psp", ASKED), 2);
    assert_settles(sandbox.path());
    shop.stop();
    block_on(redis.close()).unwrap();
}

/// Twice as many requests at once as the limit lets through per second.
const AT_ONCE: usize = 10;

/// How many requests pass before one is refused.
fn passed(gateway: &Shop) -> usize {
    let (passed, refused) = until_refused(gateway, "/api/v1/categories");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    passed
}

/// Each alone would let its own number of requests pass.
#[test]
fn two_gateways_count_the_requests_of_a_client_together() {
    let Some(sandbox) = on_a_server() else {
        return;
    };
    let Some(redis) = Server::for_suite("commerce") else {
        return;
    };
    let start = |arguments: &[&str]| {
        let arguments = [&["--traffic", "off"], arguments].concat();
        Shop::start(sandbox.path(), &arguments).unwrap()
    };
    let catalog = start(&["--service", "catalog"]);
    let upstream = format!("catalog=http://{}", catalog.address());
    let gateway = || {
        let limit = ["--rate-limit", "5/s", "--redis", redis.url()];
        let place = ["--service", "gateway", "--upstream", &upstream];
        start(&[&place[..], &limit].concat())
    };
    let (first, second) = (gateway(), gateway());
    assert!(passed(&first) >= AT_ONCE);
    // As many more as are due while the machine is busy.
    let more = passed(&second);
    assert!(more < AT_ONCE, "the second gateway let {more} more pass");
    for shop in [first, second, catalog] {
        shop.stop();
    }
}

/// Only that build has Redis; the other one says so.
fn on_a_server() -> Option<Sandbox> {
    if ON_A_SERVER {
        return Sandbox::new();
    }
    let url = "redis://:secret@127.0.0.1:1";
    let output = command().args(["serve", "--redis", url]).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains("--features distributed"), "{line}");
    assert!(!line.contains("secret"), "{line}");
    None
}
