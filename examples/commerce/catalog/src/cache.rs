//! The cache of answers: loaded once for all who ask at the same time, and forgotten by version.
//!
//! The read side has a version, which grows with each change of what it answers. An answer is kept
//! under the version that the process knew when it began to load it. So a change makes all older
//! answers unreachable at once, also those that are still being loaded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::body::Bytes;
use commerce_chassis::{Db, Problem, Progress, Result, Round};
use moka::future::Cache as Moka;

use crate::{query::Query, view};

/// Kept answers take this many bytes at most.
const CAPACITY: u64 = 32 << 20;
/// What an answer takes besides its body.
const OVERHEAD: usize = 512;
/// Numbers of sold pieces do not change the version: a list by sales is as old as this at most.
const LIFETIME: Duration = Duration::from_secs(30);

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Asked {
    /// One product, by id or SKU.
    Product(String),
    /// A page of products.
    List(Query),
    /// All categories.
    Categories,
}

/// An answer as it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Document {
    pub(crate) body: Bytes,
    pub(crate) etag: Option<String>,
}

/// Answers by version and question; none = there is no such product. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    answers: Moka<(i64, Asked), Option<Document>>,
    version: Arc<AtomicI64>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        let weigh = |_: &(i64, Asked), answer: &Option<Document>| {
            let body = answer.as_ref().map_or(0, |document| document.body.len());
            u32::try_from(body + OVERHEAD).unwrap_or(u32::MAX)
        };
        Self {
            answers: Moka::builder()
                .max_capacity(CAPACITY)
                .weigher(weigh)
                .time_to_live(LIFETIME)
                .build(),
            version: Arc::default(),
        }
    }

    /// The answer, loaded if it is not there.
    ///
    /// # Cancel safety
    /// The load goes on without its caller, and the next one finds the answer.
    pub(crate) async fn get(
        &self,
        asked: Asked,
        load: impl Future<Output = Result<Option<Document>, Problem>> + Send + 'static,
    ) -> Result<Option<Document>, Problem> {
        let key = (self.version.load(Ordering::Acquire), asked);
        if let Some(answer) = self.answers.get(&key).await {
            return Ok(answer);
        }
        let answers = self.answers.clone();
        let loading = tokio::spawn(async move { answers.try_get_with(key, load).await });
        match loading.await {
            Ok(loaded) => loaded.map_err(Arc::unwrap_or_clone),
            Err(panic) => {
                tracing::error!(error = &panic as &dyn std::error::Error, "a load panicked");
                Err(Problem::unavailable())
            }
        }
    }

    /// The read side has this version now.
    pub(crate) fn advance(&self, version: i64) {
        self.version.fetch_max(version, Ordering::Release);
    }
}

/// Learns of changes that handlers and other processes have made.
#[derive(Debug)]
pub(crate) struct CatchUp {
    db: Db,
    cache: Cache,
}

impl CatchUp {
    pub(crate) const fn new(db: Db, cache: Cache) -> Self {
        Self { db, cache }
    }
}

#[async_trait]
impl Round for CatchUp {
    async fn round(&self) -> Result<Progress> {
        self.cache.advance(view::version(self.db.reader()).await?);
        Ok(Progress::Idle)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Ready, poll_fn, ready},
        pin::pin,
        sync::atomic::AtomicUsize,
        task::Poll,
    };

    use tokio::sync::{Notify, Semaphore};

    use super::*;

    fn document(text: &'static str) -> Document {
        Document {
            body: Bytes::from_static(text.as_bytes()),
            etag: None,
        }
    }

    fn loaded(text: &'static str) -> Ready<Result<Option<Document>, Problem>> {
        ready(Ok(Some(document(text))))
    }

    #[tokio::test]
    async fn many_who_ask_at_the_same_time_load_once() {
        let (cache, loads) = (Cache::new(), Arc::new(AtomicUsize::new(0)));
        let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let asked = Arc::new(Semaphore::new(0));
        let asking = (0..100).map(|_| {
            let (cache, loads, gate) = (cache.clone(), Arc::clone(&loads), Arc::clone(&gate));
            let (begun, asked) = (Arc::clone(&begun), Arc::clone(&asked));
            tokio::spawn(async move {
                let load = async move {
                    loads.fetch_add(1, Ordering::SeqCst);
                    begun.notify_one();
                    let _open = gate.acquire().await;
                    loaded("one").await
                };
                let mut answer = pin!(cache.get(Asked::Categories, load));
                let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
                asked.add_permits(1);
                match first {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => answer.await,
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        begun.notified().await;
        let _all = asked.acquire_many(100).await.unwrap();
        gate.add_permits(100);
        for answer in asking {
            assert_eq!(answer.await.unwrap(), Ok(Some(document("one"))));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_request_that_is_cancelled_still_fills() {
        let cache = Cache::new();
        let (begun, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let load = {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            async move {
                begun.notify_one();
                let _open = gate.acquire().await;
                loaded("first").await
            }
        };
        tokio::select! {
            _ = cache.get(Asked::Categories, load) => panic!("the gate is closed"),
            () = begun.notified() => {}
        }
        gate.add_permits(1);
        // It waits for the first load, and does not begin another.
        let second = cache.get(Asked::Categories, loaded("second")).await;
        assert_eq!(second, Ok(Some(document("first"))));
    }

    #[tokio::test]
    async fn a_change_makes_older_answers_unreachable_also_those_on_their_way() {
        let cache = Cache::new();
        let (begun, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let slow = {
            let (cache, begun, gate) = (cache.clone(), Arc::clone(&begun), Arc::clone(&gate));
            tokio::spawn(async move {
                let load = async move {
                    begun.notify_one();
                    let _open = gate.acquire().await;
                    loaded("old").await
                };
                cache.get(Asked::Categories, load).await
            })
        };
        begun.notified().await;
        cache.advance(7);
        gate.add_permits(1);
        assert_eq!(slow.await.unwrap(), Ok(Some(document("old"))));
        let newer = cache.get(Asked::Categories, loaded("new")).await;
        assert_eq!(newer, Ok(Some(document("new"))));
        // Versions do not go back.
        cache.advance(3);
        let newest = cache.get(Asked::Categories, loaded("newest")).await;
        assert_eq!(newest, Ok(Some(document("new"))));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cache = Cache::new();
        let failed = cache.get(Asked::Categories, async { Err(Problem::unavailable()) });
        assert_eq!(failed.await, Err(Problem::unavailable()));
        let answer = cache.get(Asked::Categories, loaded("one")).await;
        assert_eq!(answer, Ok(Some(document("one"))));
    }
}
