//! Whom an open shop listens to: names of this machine. Another name may be that of a site whose DNS
//! points here; its pages, in a browser on this machine, would pass for the shop's own.

use std::net::IpAddr;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header::HOST, uri::Authority},
    middleware::{Next, from_fn},
    response::Response,
};
use commerce_chassis::Problem;

/// Refuses every request that names another host. One that names none comes from no browser.
pub(crate) fn of_this_machine(router: Router) -> Router {
    router.layer(from_fn(check))
}

async fn check(request: Request, next: Next) -> Result<Response, Problem> {
    let headers = request.headers().get_all(HOST).iter();
    let target = request.uri().authority().cloned();
    let named = headers.map(authority).chain(target.map(Some));
    if !named
        .into_iter()
        .all(|named| named.is_some_and(|it| is_here(&it)))
    {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "foreign-host",
            "The shop does not answer to this name",
            "an open shop answers to localhost and to loopback addresses only",
        ));
    }
    Ok(next.run(request).await)
}

fn authority(header: &HeaderValue) -> Option<Authority> {
    Authority::try_from(header.as_bytes()).ok()
}

fn is_here(named: &Authority) -> bool {
    let host = named.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_here() {
        for here in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_here(&here.parse().unwrap()), "{here}");
        }
        for elsewhere in [
            "evil.example",
            "localhost.evil.example:8080",
            "127.0.0.1.evil.example",
            "192.0.2.1:8080",
            "0.0.0.0:8080",
            "[::]",
            "localhost@evil.example",
        ] {
            assert!(!is_here(&elsewhere.parse().unwrap()), "{elsewhere}");
        }
        assert!(authority(&HeaderValue::from_static("")).is_none());
    }
}
