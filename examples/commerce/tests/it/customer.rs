//! A customer who keeps ordering while shops and servers die.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::shop::{Reply, body, place, send, wait_for};

const METHODS: [&str; 6] = [
    "pm_ok",
    "pm_late",
    "pm_declined",
    "pm_ok",
    "pm_flaky",
    "pm_timeout",
];

/// How many orders of one customer are under way at once. However slow the machine is, no more wait than it gets through before
/// they are late, which `verify` calls broken: a minute for one that is being cancelled.
const UNDER_WAY: usize = 10;

/// An order that was acknowledged.
pub(crate) struct Told {
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) answer: Reply,
}

/// Ends customers, even if an assertion fails: a test waits for their threads.
pub(crate) struct Closing<'a>(pub(crate) &'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Orders under keys of `name` until the end.
pub(crate) fn customer(
    address: &str,
    name: &str,
    pace: Duration,
    over: &AtomicBool,
    mut tell: impl FnMut(Told),
) {
    let is_over = || over.load(Ordering::Relaxed);
    let mut under_way = VecDeque::new();
    for (number, method) in METHODS.iter().cycle().enumerate() {
        if is_over() {
            return;
        }
        let key = format!("{name}-{number}");
        let body = body(&[("SKU-007", 1), ("SKU-008", 2)], method);
        // An answer that did not come whole was not given.
        if let Ok(answer) = place(address, &key, &body)
            && answer.status == 202
        {
            under_way.push_back(answer.order_id());
            tell(Told { key, body, answer });
        }
        wait_for("one of the orders under way to end", || {
            // In turn: to ask for all of them each time would be most of the traffic.
            if let Some(order_id) = under_way.pop_front()
                && !has_ended(address, &order_id)
            {
                under_way.push_back(order_id);
            }
            (under_way.len() < UNDER_WAY || is_over()).then_some(())
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
