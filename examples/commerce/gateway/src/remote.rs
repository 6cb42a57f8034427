//! A process of a service: plain HTTP over kept-alive connections.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, Uri,
        header::{CONNECTION, HOST, ORIGIN, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
    },
    response::Response,
};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// Shorter than the services keep idle connections. Otherwise a request would meet a connection that
/// the service is closing, and a POST is never sent twice.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(2);

/// Headers that concern one connection (RFC 9110, section 7.6.1).
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A client of one process. Clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    client: Client<HttpConnector, Body>,
    url: Uri,
}

impl Remote {
    pub(crate) fn new(url: Uri) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { client, url }
    }

    /// The process's answer, if there is one.
    pub(crate) async fn send(&self, mut request: Request) -> Result<Response, legacy::Error> {
        *request.uri_mut() = self.uri(request.uri());
        // The original host stays readable; the client sets the service's own.
        if let Some(host) = request.headers_mut().remove(HOST) {
            let forwarded = HeaderName::from_static("x-forwarded-host");
            request.headers_mut().insert(forwarded, host);
        }
        // The gateway has judged them. Beside another host they would look like another site's.
        for name in [ORIGIN, HeaderName::from_static("sec-fetch-site")] {
            request.headers_mut().remove(name);
        }
        strip(request.headers_mut());
        let mut response = self.client.request(request).await?;
        strip(response.headers_mut());
        Ok(response.map(Body::new))
    }

    pub(crate) const fn url(&self) -> &Uri {
        &self.url
    }

    /// The service's URL of a request's path and query.
    fn uri(&self, asked: &Uri) -> Uri {
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = asked.path_and_query().cloned();
        // A scheme, an authority and a path make a URL.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// Removes the headers of the connection, with those that `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_end_at_the_gateway() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("idempotency-key", "k"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["idempotency-key"]);
    }

    #[test]
    fn the_path_and_the_query_go_to_the_service() {
        let remote = Remote::new(Uri::from_static("http://127.0.0.1:8081"));
        let asked = Uri::from_static("http://shop.example/api/v1/orders/a%2Fb?x=1");
        assert_eq!(
            remote.uri(&asked),
            "http://127.0.0.1:8081/api/v1/orders/a%2Fb?x=1"
        );
    }
}
