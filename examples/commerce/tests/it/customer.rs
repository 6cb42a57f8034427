//! A customer who keeps ordering while shops and servers are killed.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::shop::{Reply, Shop, body, place, send, wait_for};

const METHODS: [&str; 6] = [
    "pm_ok",
    "pm_late",
    "pm_declined",
    "pm_ok",
    "pm_flaky",
    "pm_timeout",
];

/// Open orders of one customer at most. On a slow machine, more of them would exceed the deadlines
/// of `verify`, for example the minute of a cancelling order.
const MOST_OPEN: usize = 10;

/// An order that the shop acknowledged.
pub(crate) struct Acknowledged {
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) answer: Reply,
}

impl Acknowledged {
    /// Asserts that the same request gets the same answer again, and that the order ended.
    pub(crate) fn assert_kept(&self, shop: &Shop) {
        let again = shop.order(&self.key, &self.body);
        assert_eq!(
            (again.status, &again.body),
            (202, &self.answer.body),
            "{} was acknowledged",
            self.key
        );
        shop.ended(&again.order_id());
    }
}

/// Ends customers, even if an assertion fails: a test waits for their threads.
pub(crate) struct Closing<'a>(pub(crate) &'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Places orders under keys that begin with `name`, until `over`.
pub(crate) fn customer(
    address: &str,
    name: &str,
    pace: Duration,
    over: &AtomicBool,
    mut acknowledged: impl FnMut(Acknowledged),
) {
    let is_over = || over.load(Ordering::Relaxed);
    let mut open = VecDeque::new();
    for (number, method) in METHODS.iter().cycle().enumerate() {
        if is_over() {
            return;
        }
        let key = format!("{name}-{number}");
        let body = body(&[("SKU-007", 1), ("SKU-008", 2)], method);
        // An incomplete answer is no acknowledgement.
        if let Ok(answer) = place(address, &key, &body)
            && answer.status == 202
        {
            open.push_back(answer.order_id());
            acknowledged(Acknowledged { key, body, answer });
        }
        wait_for("one of the open orders to end", || {
            // Poll one order at a time, to keep the traffic small.
            if let Some(order_id) = open.pop_front()
                && !has_ended(address, &order_id)
            {
                open.push_back(order_id);
            }
            (open.len() < MOST_OPEN || is_over()).then_some(())
        });
        thread::sleep(pace);
    }
}

fn has_ended(address: &str, order_id: &str) -> bool {
    let path = format!("/api/v1/orders/{order_id}");
    send(address, "GET", &path, &[], "").is_ok_and(|reply| {
        let order: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        order["status"] == "completed" || order["status"] == "cancelled"
    })
}
