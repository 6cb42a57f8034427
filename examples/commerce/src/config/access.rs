//! Settings of access: who needs a token, where the keys and the services are, how often a client may
//! ask.

use std::{net::SocketAddr, num::NonZeroU32};

use axum::http::Uri;
use commerce_chassis::Access;

use super::{SEED_PASSWORD, SERVICES};
use crate::{cli::Secret, error::Failure};

/// An open shop lets anybody do anything, so only this machine may reach it.
pub(super) fn access(given: Option<&str>, listen: SocketAddr) -> Result<Access, Failure> {
    let is_loopback = listen.ip().is_loopback();
    match given {
        Some("required") => Ok(Access::Required),
        Some("open") | None if is_loopback => Ok(Access::Open),
        Some("open") | None => Err(Failure::plain(format!(
            "listen {listen}: others reach this address, so give --auth required"
        ))),
        Some(other) => Err(Failure::plain(format!(
            "auth {other:?}: expected open or required"
        ))),
    }
}

pub(super) fn upstream(text: &str) -> Result<(String, Uri), Failure> {
    let parts = text
        .split_once('=')
        .filter(|(name, _)| SERVICES.contains(name));
    let upstream = parts.and_then(|(name, address)| Some((name.to_owned(), url(address)?)));
    upstream.ok_or_else(|| {
        Failure::plain(format!(
            "upstream {text:?}: expected SERVICE=URL, such as order=http://127.0.0.1:8081"
        ))
    })
}

/// A plain HTTP URL.
fn url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let is_complete = url.scheme_str() == Some("http") && url.authority().is_some();
    is_complete.then_some(url)
}

/// Where the keys of identity are; each of its processes has them.
pub(super) fn jwks_urls(
    given: Option<&str>,
    services: &[&str],
    upstreams: &[(String, Uri)],
    access: Access,
) -> Result<Vec<Uri>, Failure> {
    if services.contains(&"identity") {
        return Ok(Vec::new());
    }
    if let Some(text) = given {
        let wrong = || Failure::plain(format!("jwks {text:?}: expected an http URL"));
        return Ok(vec![url(text).ok_or_else(wrong)?]);
    }
    let identity = upstreams.iter().filter(|(name, _)| name == "identity");
    let found = identity
        .filter_map(|(_, at)| url(&format!("http://{}/.well-known/jwks.json", at.authority()?)));
    let found: Vec<Uri> = found.collect();
    if found.is_empty() && access == Access::Required {
        return Err(Failure::plain(
            "jwks: with --auth required, a process without identity needs the URL of its key set",
        ));
    }
    Ok(found)
}

/// The collector; the exporter adds the path of the API.
pub(super) fn otlp(given: Option<String>) -> Result<Option<String>, Failure> {
    let Some(text) = given else {
        return Ok(None);
    };
    if url(&text).is_none() {
        return Err(Failure::plain(
            "otlp: expected a plain http URL of a collector, such as http://127.0.0.1:4318",
        ));
    }
    Ok(Some(text))
}

pub(super) fn rate_limit(
    given: Option<&str>,
    access: Access,
) -> Result<Option<NonZeroU32>, Failure> {
    let default = match access {
        Access::Open => "off",
        Access::Required => "100/s",
    };
    let text = given.unwrap_or(default);
    if text == "off" {
        return Ok(None);
    }
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    let rate = number.filter(|rate: &NonZeroU32| rate.get() >= 5 && rate.get() <= 1_000_000);
    let wrong = format!("rate-limit {text:?}: expected 5/s to 1000000/s, or off");
    Ok(Some(rate.ok_or_else(|| Failure::plain(wrong))?))
}

/// A password that everyone knows is for a shop that is open anyway: a proxy on the same machine
/// makes a loopback address public.
pub(super) fn seed_password(
    given: Option<String>,
    access: Access,
) -> Result<Option<Secret>, Failure> {
    match given {
        None if access == Access::Open => Ok(Some(Secret(SEED_PASSWORD.to_owned()))),
        None => Ok(None),
        Some(password) if password.chars().count() >= 10 => Ok(Some(Secret(password))),
        Some(_) => Err(Failure::plain(
            "seed-password: expected at least 10 characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_shop_is_for_loopback_only() {
        let (here, everywhere) = ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        assert_eq!(access(None, here).unwrap(), Access::Open);
        for open in [None, Some("open")] {
            assert!(access(open, everywhere).is_err());
        }
        assert_eq!(
            access(Some("required"), everywhere).unwrap(),
            Access::Required
        );
        assert!(access(Some("maybe"), here).is_err());
    }

    #[test]
    fn only_an_open_shop_takes_the_password_that_everyone_knows() {
        let known = seed_password(None, Access::Open).unwrap();
        assert_eq!(known.unwrap().0, SEED_PASSWORD);
        // On a loopback address, too.
        assert!(seed_password(None, Access::Required).unwrap().is_none());
        for access in [Access::Open, Access::Required] {
            assert!(seed_password(Some("short".to_owned()), access).is_err());
            let own = seed_password(Some("long enough".to_owned()), access).unwrap();
            assert_eq!(own.unwrap().0, "long enough");
        }
    }

    #[test]
    fn a_process_that_checks_tokens_knows_where_the_keys_are() {
        let identity = [
            upstream("identity=http://127.0.0.1:2").unwrap(),
            upstream("identity=http://127.0.0.1:4").unwrap(),
        ];
        let order = [upstream("order=http://127.0.0.1:3").unwrap()];
        let of = |upstreams, access| jwks_urls(None, &[], upstreams, access);
        let found = of(&identity, Access::Required).unwrap();
        let keys = ["2", "4"].map(|port| format!("http://127.0.0.1:{port}/.well-known/jwks.json"));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, keys);
        assert!(of(&order, Access::Required).is_err());
        assert!(of(&order, Access::Open).unwrap().is_empty());
        for wrong in [
            "order",
            "orders=http://h",
            "order=h",
            "order=https://h",
            "order=http:",
        ] {
            assert!(upstream(wrong).is_err(), "{wrong}");
        }
    }
}
