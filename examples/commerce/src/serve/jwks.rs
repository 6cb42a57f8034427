//! Follows the public keys of identity, in a process without it.

use std::time::Duration;

use axum::{body::Bytes, http::Uri};
use commerce_chassis::KeySet;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mainstay_clock::{Backoff, SystemIds};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;

/// How often the keys are read again: much more often than a new one begins to sign.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Shortest time between two reads, whatever tokens name.
const AT_MOST_EVERY: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(5);
/// The largest key set, in bytes.
const LARGEST: usize = 64 * 1024;

/// Reads the key set again and again, and when a token names a key that is not in it. It is at each of
/// `urls`: after a failure, the next one is asked.
pub(super) async fn follow(
    keys: KeySet,
    urls: Vec<Uri>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
    let (ids, mut failures) = (SystemIds::new(), 0);
    let mut urls = urls.iter().cycle().peekable();
    while let Some(url) = urls.peek().copied() {
        let read = tokio::time::timeout(DEADLINE, read(&client, url)).await;
        let read = read.unwrap_or_else(|_| Err("no answer in time".into()));
        let pause = match read.and_then(|body| Ok(keys.publish_json(&body)?)) {
            Ok(()) => {
                failures = 0;
                EVERY
            }
            Err(error) => {
                tracing::warn!(%url, %error, "the keys of identity cannot be read; it is tried again");
                urls.next();
                failures += 1;
                backoff.delay(failures - 1, &ids)
            }
        };
        let next = async {
            tokio::time::sleep(pause.min(AT_MOST_EVERY)).await;
            tokio::select! {
                () = keys.wanted(), if failures == 0 => {}
                () = tokio::time::sleep(pause.saturating_sub(AT_MOST_EVERY)) => {}
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = next => {}
        }
    }
    Ok(())
}

type Reason = Box<dyn std::error::Error + Send + Sync>;

async fn read(client: &Client<HttpConnector, Empty<Bytes>>, url: &Uri) -> Result<Bytes, Reason> {
    let response = client.get(url.clone()).await?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()).into());
    }
    let body = Limited::new(response.into_body(), LARGEST)
        .collect()
        .await?;
    Ok(body.to_bytes())
}
