//! The durations that only this store has, down to nothing and up to the longest, and then a run.

use std::time::Duration;

use mainstay_outbox::{DeduplicationKey, Entry, Error, Outbox as _};
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, Running, message, open, shop, until};

#[tokio::test]
async fn an_outbox_works_with_any_duration_or_refuses_it_by_name() {
    const LEAST: Duration = Duration::from_millis(100);
    for duration in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_nanos(99_999_999),
        LEAST,
        Duration::MAX,
    ] {
        let Some(shop) = shop().await else { return };
        let url = shop.server.url();
        let opened = |interval| {
            open(&url, move |outbox| {
                outbox
                    .listen_check_interval(interval)
                    .deduplication_retention(duration)
            })
        };
        if duration < LEAST {
            let refused = opened(duration).await.unwrap_err();
            assert!(matches!(refused, Error::TooShort { .. }), "{refused}");
            let said =
                format!("listen_check_interval is {duration:?}; set it to at least {LEAST:?}");
            assert_eq!(refused.to_string(), said);
        }
        let (_, outbox) = opened(duration.max(LEAST)).await.unwrap();
        let shutdown = CancellationToken::new();
        let listening = tokio::spawn({
            let (outbox, shutdown) = (outbox.clone(), shutdown.clone());
            async move { outbox.listen(shutdown.cancelled_owned()).await }
        });
        let announcing = tokio::spawn({
            let (outbox, shutdown) = (shop.outbox.clone(), shutdown.clone());
            async move { outbox.announce(shutdown.cancelled_owned()).await }
        });
        let running = Running::start_as(&outbox, |relay| {
            relay
                .poll_interval(PATIENCE * 10)
                .lease(duration.max(PATIENCE))
                .publish_timeout(duration.max(PATIENCE))
        });
        until("it listens", async || outbox.is_listening()).await;
        until("it runs", async || running.relay.status().shards == 1).await;
        let key = DeduplicationKey::new("key").unwrap();
        let messages = [message("a", 0), message("b", 0)];
        let entries = [
            Entry::new(&messages[0]).deduplicate(&key),
            Entry::new(&messages[1]).deliver_after(duration),
        ];
        let mut tx = shop.database.begin().await.unwrap();
        let enqueued = shop.outbox.enqueue_batch(&mut tx, &entries).await;
        assert_eq!(enqueued.unwrap().len(), 2);
        shop.database.commit(tx).await.unwrap();
        let expected = if duration == Duration::MAX { 1 } else { 2 };
        until("they are published", async || {
            running.tape.ids().len() == expected
        })
        .await;
        running.stop().await;
        shutdown.cancel();
        listening.await.unwrap();
        announcing.await.unwrap();
    }
}
