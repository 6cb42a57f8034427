//! The pages in a process of their own, in front of a shop or its gateway:
//! `cargo run -p commerce-pages --example remote -- http://127.0.0.1:8080 127.0.0.1:8090`.

use std::error::Error;

use commerce_pages::{Api, Pages};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(shop), Some(listen)) = (arguments.next(), arguments.next()) else {
        return Err("usage: remote URL-OF-THE-SHOP ADDRESS-TO-LISTEN-ON".into());
    };
    let closing = CancellationToken::new();
    let index = axum::routing::get(|| async { "the pages of a shop; ask for text/html" });
    let pages = Pages::new(Api::remote(&shop)?, index, closing.clone());
    let stopped = async move {
        // If Ctrl-C cannot be heard, the pages stop at once.
        drop(tokio::signal::ctrl_c().await);
        closing.cancel();
    };
    let listener = TcpListener::bind(&listen).await?;
    axum::serve(listener, pages.router())
        .with_graceful_shutdown(stopped)
        .await?;
    Ok(())
}
