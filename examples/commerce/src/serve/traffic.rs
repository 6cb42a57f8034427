//! Built-in customers. They call the services without a socket, while somebody looks at the shop.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use commerce_chassis::{Caller, send_as};
use mainstay_clock::{IdGenerator, SystemIds};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, Sleep, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::demand::{Mix, TRAFFIC_MIX, order};

/// One order in this many exceeds the stock.
const SHORTAGES: u64 = 40;
/// The customers rest when nobody has asked the shop anything for so long.
const UNREAD: Duration = Duration::from_secs(15 * 60);

/// Hears of each request. Clones are the same. The built-in customers pass no listener, so they do
/// not count.
#[derive(Clone, Default, Debug)]
pub(crate) struct Readers(Arc<Notify>);

impl Readers {
    /// Notes each request to `router`.
    pub(crate) fn noting(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), note))
    }
}

async fn note(State(readers): State<Readers>, request: Request, next: Next) -> Response {
    readers.0.notify_one();
    next.run(request).await
}

/// When the customers order: at their rate, while somebody looks.
struct Rhythm {
    ticks: Interval,
    readers: Readers,
    /// Ends when nobody has looked for a while.
    unread: Pin<Box<Sleep>>,
}

impl Rhythm {
    fn new(every: Duration, readers: Readers) -> Self {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticks,
            readers,
            unread: Box::pin(sleep(UNREAD)),
        }
    }

    /// Waits for the time of the next order.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.readers.0.notified() => self.unread.set(sleep(UNREAD)),
                () = &mut self.unread => {
                    let minutes = UNREAD.as_secs() / 60;
                    tracing::info!("the built-in customers rest: nobody has looked for {minutes} minutes");
                    self.readers.0.notified().await;
                    self.unread.set(sleep(UNREAD));
                    self.ticks.reset_immediately();
                }
                _ = self.ticks.tick() => return,
            }
        }
    }
}

pub(crate) async fn run(
    services: Router,
    every: Duration,
    readers: Readers,
    shutdown: CancellationToken,
) {
    let ids = SystemIds::new();
    let Some(mix) = Mix::read(TRAFFIC_MIX) else {
        return;
    };
    let mut rhythm = Rhythm::new(every, readers);
    let mut orders = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = rhythm.next() => {}
        }
        let key = ids.uuid().to_string();
        let request = Request::post("/api/v1/orders")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(order(&ids, &mix, SHORTAGES)));
        match request {
            Ok(mut request) => {
                send_as(&mut request, Caller::operator("built-in customers"));
                drop(orders.spawn(services.clone().oneshot(request)));
            }
            Err(error) => tracing::warn!(%error, "a built-in order is not a valid request"),
        }
        while let Some(ended) = orders.try_join_next() {
            match ended {
                Ok(Ok(response)) if response.status().is_success() => {}
                Ok(Ok(response)) => {
                    tracing::warn!(status = %response.status(), "a built-in order was refused");
                }
                Ok(Err(never)) => match never {},
                Err(error) => tracing::warn!(%error, "the task of a built-in order failed"),
            }
        }
    }
    while orders.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{http::StatusCode, routing::post};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_customers_rest_after_a_quarter_of_an_hour_until_somebody_looks() {
        let placed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&placed);
        let take = post(async move || {
            count.fetch_add(1, Ordering::Relaxed);
            StatusCode::ACCEPTED
        });
        let shop = Router::new().route("/api/v1/orders", take);
        let (readers, shutdown) = (Readers::default(), CancellationToken::new());
        let front = readers.noting(shop.clone());
        let every = Duration::from_secs(1);
        let customers = tokio::spawn(run(shop, every, readers, shutdown.clone()));
        let after = async |minutes: u64| {
            sleep(Duration::from_secs(60 * minutes)).await;
            placed.load(Ordering::Relaxed)
        };
        let quarter = after(15).await;
        assert!((899..=901).contains(&quarter), "{quarter}");
        let (hour, day) = (after(45).await, after(23 * 60).await);
        assert_eq!((hour, day), (quarter, quarter), "nobody looks");

        let looked = Request::get("/anything").body(Body::empty()).unwrap();
        let answer = front.oneshot(looked).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "any request counts");
        let more = after(5).await - day;
        assert!((299..=301).contains(&more), "{more}");
        let rest = after(60).await - day;
        assert!((899..=901).contains(&rest), "{rest}");
        shutdown.cancel();
        customers.await.unwrap();
    }
}
