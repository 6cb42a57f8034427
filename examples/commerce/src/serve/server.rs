//! The HTTP server: axum's router on hyper's connections, because `axum::serve` has no deadlines.

use std::sync::Arc;

use axum::{Extension, Router, extract::ConnectInfo, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use super::{connections::Connections, limits::Limits};

/// Serves `router` until `closing` is cancelled and the open requests have ended.
///
/// A connection is closed if its client does not send a head within `limits.request_timeout` after the
/// connection was opened or the last response was sent, or does not read a response for that long.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    limits: Limits,
    closing: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.request_timeout);
    let connections = Connections::new(limits.connections);
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = Listener::accept(&mut listener) => accepted,
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.request_timeout));
        let connection = connections.open();
        let service = Extension(Arc::clone(&connection)).layer(router.clone());
        let service = Extension(ConnectInfo(peer)).layer(service);
        let service = TowerToHyperService::new(service);
        let serving = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let serving = graceful.watch(serving);
        tasks.spawn(async move {
            tokio::select! {
                // A broken connection or a missed deadline concerns its client only.
                _ended = serving => {}
                () = connection.evicted() => {}
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}
