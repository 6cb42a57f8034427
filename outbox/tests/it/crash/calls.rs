//! At every call of a port, on the same database again and again.

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use mainstay_testkit::crash::{Points, Reached, at_every_point};

use super::{
    Broker, Shop, relay,
    relaying::Backlog,
    writing::{Order, Way},
};

/// Where to strike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Where {
    /// Before and after each call.
    Around,
    /// In the midst of calls as well: the driver is left with what it was at.
    Anywhere,
}

impl Where {
    fn points(self, nth: usize) -> Arc<Points> {
        match self {
            Self::Around => Points::around_calls(nth),
            Self::Anywhere => Points::anywhere(nth),
        }
    }
}

type Calls = BTreeMap<&'static str, usize>;

/// Several runs get to their end. One may look once more than another, before a key is due again.
fn keep_fewest(kept: &Cell<Option<Calls>>, calls: Calls) {
    let ended = kept.take().into_iter().chain([calls]);
    kept.set(ended.min_by_key(|calls| calls.values().sum::<usize>()));
}

/// A run to the end comes by two points a call; what is struck in the midst of them is more.
fn enough(what: &str, at: Where, points: usize, calls: &Calls) {
    let around = 2 * calls.values().sum::<usize>();
    println!("{what} {at:?}: struck at {points} points; calls of a run to the end: {calls:?}");
    match at {
        Where::Around => assert!(points >= around, "{points}, and {around} around calls"),
        Where::Anywhere => assert!(points > around, "{points}, and {around} around calls"),
    }
}

/// A transaction that enqueues is whole or nothing.
pub(super) async fn write_at_every_call<S: Shop>(shop: &S, backend: &str, at: Where) {
    for way in [Way::Single, Way::Batch, Way::Once] {
        let (what, calls) = (format!("{backend}: enqueue {way:?}"), Cell::default());
        let points = at_every_point(&what, async |nth| {
            let points = at.points(nth);
            let order = Order::new(way, &format!("{at:?} {way:?} {nth} "));
            let broker = Arc::new(Broker::default());
            let written = points.until_struck(order.write(shop, &points, 0)).await;
            shop.outlive().await;
            order.check(shop, &broker).await;
            order.finish(shop, &broker).await;
            if written.is_some() {
                keep_fewest(&calls, points.calls());
            }
            Reached::of(written.as_ref())
        })
        .await;
        enough(&what, at, points, &calls.take().unwrap());
    }
}

/// A relay loses and reorders nothing, and blocks and unblocks one key.
pub(super) async fn relay_at_every_call<S: Shop>(shop: &S, backend: &str, at: Where) {
    let (what, calls) = (format!("{backend}: relay"), Cell::default());
    let points = at_every_point(&what, async |nth| {
        let points = at.points(nth);
        let backlog = Backlog::committed(shop, &format!("{at:?} {nth} ")).await;
        let relaying = relay(shop, &points, &backlog.broker);
        let relayed = points.until_struck(relaying).await;
        shop.outlive().await;
        if let Some(ended) = &relayed {
            ended.as_ref().unwrap();
            backlog.check_clean();
        }
        backlog.finish(shop, true).await;
        if relayed.is_some() {
            keep_fewest(&calls, points.calls());
        }
        Reached::of(relayed.as_ref())
    })
    .await;
    let calls = calls.take().unwrap();
    // Refused twice, the key comes again twice, and each time the messages held behind it wait.
    assert!(calls["publish"] >= 4 && calls["record"] >= 4, "{calls:?}");
    enough(&what, at, points, &calls);
}
