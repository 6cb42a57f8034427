//! What stands behind the listener: the gateway before all services, before remote ones only, or one
//! service alone.

use axum::{Json, Router, http::Uri, routing::get};
use commerce_chassis::{Authentication, Result, Service, merged};
use commerce_gateway::{Gateway, Limits};

use crate::config::Config;

/// The routes of services of this process, and, in it, of the gateway.
pub(super) fn local(
    config: &Config,
    authentication: Authentication,
    services: &[Service],
) -> Result<Router> {
    if !config.gateway {
        let documents = services.iter().map(|service| service.document.clone());
        let document = merged(documents);
        let routers = services.iter().map(|service| service.router.clone());
        let own = Router::new().route("/openapi.json", get(async move || Json(document)));
        return Ok(routers.fold(own, Router::merge));
    }
    let gateway = gateway(config, authentication)?;
    let gateway = services.iter().fold(gateway, |gateway, service| {
        gateway.local(
            service.name,
            service.router.clone(),
            service.document.clone(),
        )
    });
    gateway.into_router()
}

/// The gateway before services of other processes.
pub(super) fn remote(config: &Config, authentication: Authentication) -> Result<Router> {
    let gateway = gateway(config, authentication)?;
    let upstreams = config.upstreams.iter();
    let gateway = upstreams.fold(gateway, |gateway, (name, url): &(String, Uri)| {
        gateway.remote(name, url.clone())
    });
    gateway.into_router()
}

fn gateway(config: &Config, authentication: Authentication) -> Result<Gateway> {
    let limits = Limits {
        at_once: config.limits.per_service(),
        deadline: config.limits.answer_timeout,
        ..Limits::default()
    };
    let gateway = Gateway::new(authentication).limits(limits);
    let Some(per_second) = config.rate else {
        return Ok(gateway);
    };
    let gateway = gateway.rate_limit(per_second);
    Ok(match config.storage.rate_limits(per_second)? {
        Some(shared) => gateway.counted_by(shared),
        None => gateway,
    })
}
