//! One idempotency key, however often and wherever it is sent, and whoever is killed.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    sandbox::{Sandbox, count},
    shop::{Reply, Shop, assert_settles, body, one_answer, place, wait_for},
};

const REQUESTS: usize = 1_000;
/// Every request has a connection of its own, room to be handled, and time on a busy machine.
const ROOM: [&str; 8] = [
    "--traffic",
    "off",
    "--max-connections",
    "4096",
    "--request-timeout",
    "600",
    "--answer-timeout",
    "600",
];

/// The shop that clients reach now, and what they were told.
struct Counter {
    address: Mutex<String>,
    sent: AtomicUsize,
    cut_off: AtomicUsize,
    replies: Mutex<Vec<Reply>>,
}

impl Counter {
    fn address(&self) -> String {
        self.address.lock().unwrap().clone()
    }

    fn answered(&self) -> usize {
        let replies = self.replies.lock().unwrap();
        replies.iter().filter(|reply| reply.status == 202).count()
    }

    /// A client that asks until it has the answer, as one does that knows of idempotency keys.
    fn order(&self, body: &str) {
        wait_for("an answer", || {
            let address = self.address();
            self.sent.fetch_add(1, Ordering::Relaxed);
            match place(&address, "the-same", body) {
                Ok(reply) => {
                    let is_answered = reply.status == 202;
                    self.replies.lock().unwrap().push(reply);
                    if is_answered {
                        return Some(());
                    }
                }
                Err(_) => {
                    self.cut_off.fetch_add(1, Ordering::Relaxed);
                }
            }
            // As `Retry-After` says.
            thread::sleep(Duration::from_secs(1));
            None
        });
    }
}

/// The first kill hits the request that makes the effect, or those that wait for it; the second
/// one hits replays.
#[test]
fn a_thousand_identical_requests_and_two_kills_are_one_order_and_one_answer() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let first = Shop::start(sandbox.path(), &ROOM).unwrap();
    let counter = Counter {
        address: Mutex::new(first.address().to_owned()),
        sent: AtomicUsize::new(0),
        cut_off: AtomicUsize::new(0),
        replies: Mutex::default(),
    };
    let order = body(&[("SKU-003", 1)], "pm_ok");
    let shop = thread::scope(|scope| {
        let mut shop = first;
        for _ in 0..REQUESTS {
            let client = thread::Builder::new().stack_size(256 * 1024);
            client
                .spawn_scoped(scope, || counter.order(&order))
                .unwrap();
        }
        let sent = || counter.sent.load(Ordering::Relaxed);
        wait_for("requests", || (sent() > REQUESTS / 4).then_some(()));
        for until in [0, REQUESTS / 4] {
            wait_for("answers", || (counter.answered() >= until).then_some(()));
            shop.kill();
            shop = Shop::start(sandbox.path(), &ROOM).unwrap();
            shop.address()
                .clone_into(&mut counter.address.lock().unwrap());
        }
        shop
    });
    assert!(counter.cut_off.into_inner() > 0, "no request was cut off");
    let mut replies = counter.replies.into_inner().unwrap();
    // The answer may have been cut off that was the first.
    replies.extend(again_as_first(&shop, &order, &replies));
    let order_id = one_answer(&replies);
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let orders = "SELECT count(*) FROM order_view";
    assert_eq!(count(sandbox.path(), "order", orders), 1);
    assert_settles(sandbox.path());
    shop.stop();
}

/// The answer without the mark of a replay, if nobody was given it.
fn again_as_first(shop: &Shop, order: &str, replies: &[Reply]) -> Option<Reply> {
    let is_first =
        |reply: &Reply| reply.status == 202 && !reply.headers.contains_key("idempotent-replayed");
    if replies.iter().any(is_first) {
        return None;
    }
    let mut reply = shop.order("the-same", order);
    reply.headers.remove("idempotent-replayed").unwrap();
    Some(reply)
}

/// The client does not learn whether the order was placed, and asks again.
#[test]
fn a_request_that_the_gateway_gave_up_is_one_order() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let arguments = ["--traffic", "off", "--answer-timeout", "1"];
    let shop = Shop::start(sandbox.path(), &arguments).unwrap();
    let order = body(&[("SKU-001", 1)], "pm_ok");
    let given_up =
        crate::sandbox::while_locked(shop.data(), "order", "idempotency_records", || {
            shop.order("k", &order)
        });
    assert_eq!(given_up.status, 504, "{given_up:?}");
    let order_id = wait_for("the answer", || {
        let reply = shop.order("k", &order);
        (reply.status == 202).then(|| reply.order_id())
    });
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let orders = "SELECT count(*) FROM order_view";
    assert_eq!(count(sandbox.path(), "order", orders), 1);
    shop.stop();
}

#[test]
fn two_customers_with_the_same_key_never_meet() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(sandbox.path());
    let ada = body(&[("SKU-001", 1)], "pm_ok");
    let bob = ada.replace("cust-001", "cust-002");
    let (of_ada, of_bob) = (shop.accept("k", &ada), shop.accept("k", &bob));
    assert_ne!(of_ada, of_bob);
    for (order, order_id) in [(&ada, &of_ada), (&bob, &of_bob)] {
        let again = shop.order("k", order);
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(&again.order_id(), order_id);
        assert_eq!(shop.ended(order_id)["status"], "completed");
    }
    // What one customer asks for is no other request of another's.
    let other = bob.replace("SKU-001", "SKU-002");
    assert_eq!(shop.order("k", &other).status, 422);
    assert_settles(sandbox.path());
    shop.stop();
}

/// The client is gone before its request is done.
#[test]
fn a_client_that_hangs_up_gets_its_order_all_the_same() {
    use std::{io::Write as _, net::TcpStream};

    use mainstay_testkit::within;

    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(sandbox.path());
    let order = body(&[("SKU-001", 1)], "pm_ok");
    let head = format!(
        "POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\ncontent-length: {}\r\n\r\n",
        order.len()
    );
    let request = head + &order;
    let is_placed = || count(sandbox.path(), "order", "SELECT count(*) FROM order_view") == 1;
    // A request that was not read yet when its client left may be dropped, and the shop tells nobody what
    // it has read. So a client stays a while, and others try again. The lock keeps it from its answer.
    let mut stays = [100, 500, 2_000].into_iter().cycle();
    wait_for("the order of a client that hung up", || {
        let stay = Duration::from_millis(stays.next()?);
        crate::sandbox::while_locked(shop.data(), "order", "idempotency_records", || {
            let mut client = TcpStream::connect(shop.address()).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            thread::sleep(stay);
        });
        within(Duration::from_secs(10), is_placed).then_some(())
    });
    let again = shop.order("k", &order);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    shop.ended(&again.order_id());
    shop.stop();
}
