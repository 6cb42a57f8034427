//! How the services of other processes are, as these say themselves.

use std::{collections::BTreeMap, error::Error as _, iter, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Uri, header::AUTHORIZATION},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::remote::Remote;

/// Shorter than probes wait: a process that hangs is known as such, and the others are told.
const DEADLINE: Duration = Duration::from_secs(2);
/// The largest answer, in bytes. A service lists its blocked keys.
const LARGEST: usize = 4 << 20;

/// Asks the processes behind a gateway how they are. Clones share the connections.
#[derive(Clone, Default, Debug)]
pub struct Readiness(Vec<Process>);

/// A process, with the services that the gateway reaches there.
#[derive(Clone, Debug)]
struct Process {
    url: Uri,
    remote: Remote,
    services: Vec<String>,
}

/// How one service is.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// Whether it says that nothing needs an operator.
    pub healthy: bool,
    /// What operators read: the service's own words, or why there are none.
    pub details: Value,
}

impl Readiness {
    /// Of services at URLs such as `http://127.0.0.1:8081`; a process is asked once for all of its.
    pub fn new<'a>(upstreams: impl IntoIterator<Item = (&'a str, &'a Uri)>) -> Self {
        let mut processes: BTreeMap<String, Process> = BTreeMap::new();
        for (service, url) in upstreams {
            let new = || Process {
                url: url.clone(),
                remote: Remote::new(url.clone()),
                services: Vec::new(),
            };
            let process = processes.entry(url.to_string()).or_insert_with(new);
            process.services.push(service.to_owned());
        }
        Self(processes.into_values().collect())
    }

    /// Asks all processes at once with the caller's token, each for two seconds at most.
    pub async fn ask(&self, headers: &HeaderMap) -> Vec<Told> {
        let asked = self.0.iter().map(|process| process.ask(headers));
        join_all(asked).await.into_iter().flatten().collect()
    }
}

impl Process {
    async fn ask(&self, headers: &HeaderMap) -> Vec<Told> {
        let answer = tokio::time::timeout(DEADLINE, self.answer(headers)).await;
        let answer = answer.unwrap_or_else(|_| {
            let seconds = DEADLINE.as_secs();
            Err(format!("no answer within {seconds} s"))
        });
        let answer = answer.map_err(|error| format!("{}: {error}", self.url));
        let services = self.services.iter();
        services.map(|service| told(service, &answer)).collect()
    }

    async fn answer(&self, headers: &HeaderMap) -> Result<Value, String> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static("/readyz");
        let token = headers.get(AUTHORIZATION).cloned();
        let headers = token.map(|token| (AUTHORIZATION, token));
        request.headers_mut().extend(headers);
        let response = self.remote.send(request).await.map_err(|error| {
            let cause = iter::successors(error.source(), |cause| (*cause).source()).last();
            cause.map_or_else(|| error.to_string(), ToString::to_string)
        })?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("its answer is {status}"));
        }
        let body = to_bytes(response.into_body(), LARGEST).await;
        let body = body.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}

fn told(service: &str, answer: &Result<Value, String>) -> Told {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return silent(service, error),
    };
    let mut all = answer["services"].as_array().into_iter().flatten();
    match all.find(|found| found["service"] == service) {
        Some(found) => Told {
            healthy: found["healthy"] == true,
            details: found.clone(),
        },
        None if answer.get("services").is_some() => {
            silent(service, "another service answers at its URL")
        }
        // The caller is no operator there.
        None => {
            let healthy = answer["status"] == "ok";
            let details = json!({"service": service, "healthy": healthy});
            Told { healthy, details }
        }
    }
}

fn silent(service: &str, error: &str) -> Told {
    let details = json!({"service": service, "healthy": false, "error": error});
    Told {
        healthy: false,
        details,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{Json, Router, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    async fn bound() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn serving(answer: impl Fn(HeaderMap) -> Value + Clone + Send + Sync + 'static) -> Uri {
        let (listener, address) = bound().await;
        let ready = get(async move |headers: HeaderMap| Json(answer(headers)));
        let router = Router::new().route("/readyz", ready);
        tokio::spawn(async { axum::serve(listener, router).await });
        url(address)
    }

    fn url(address: SocketAddr) -> Uri {
        format!("http://{address}").parse().unwrap()
    }

    #[tokio::test]
    async fn services_tell_operators_how_they_are_and_others_only_whether() {
        let order = json!({"service": "order", "healthy": true, "dead": 0});
        let payment = json!({"service": "payment", "healthy": false, "dead": 3});
        let told = json!({"status": "attention", "services": [order, payment]});
        let both = serving(move |headers| match headers.get(AUTHORIZATION) {
            Some(token) if token == "Bearer operator" => told.clone(),
            _ => json!({"status": "attention"}),
        });
        let (both, catalog) = (both.await, serving(|_| json!({"status": "ok"})).await);
        let upstreams = [("order", &both), ("catalog", &catalog), ("payment", &both)];
        let readiness = Readiness::new(upstreams);

        let mut operator = HeaderMap::new();
        operator.insert(AUTHORIZATION, "Bearer operator".parse().unwrap());
        let mut told = readiness.ask(&operator).await;
        told.sort_by_key(|told| told.details["service"].to_string());
        let healthy: Vec<_> = told.iter().map(|told| told.healthy).collect();
        assert_eq!(healthy, [true, true, false]);
        assert_eq!(told[2].details["dead"], 3);

        let told = readiness.ask(&HeaderMap::new()).await;
        assert_eq!(told.iter().filter(|told| told.healthy).count(), 1);
        assert!(told.iter().all(|told| told.details.get("dead").is_none()));
    }

    /// They are asked at once: several that hang cost no more than one.
    #[tokio::test]
    async fn a_service_that_does_not_answer_is_unhealthy_and_keeps_nobody_waiting() {
        const SILENT: [&str; 5] = ["payment", "catalog", "inventory", "shipping", "analytics"];
        let fine = serving(|_| json!({"status": "ok"})).await;
        let mut silent = Vec::new();
        for service in SILENT {
            let (listener, address) = bound().await;
            silent.push((service, url(address), listener));
        }
        let (closed, refusing) = bound().await;
        drop(closed);
        let refusing = url(refusing);
        let upstreams = silent.iter().map(|(service, url, _)| (*service, url));
        let upstreams = upstreams.chain([("order", &refusing), ("identity", &fine)]);
        let readiness = Readiness::new(upstreams);
        let nobody = HeaderMap::new();
        // One after the other they would take longer.
        let told = tokio::time::timeout(DEADLINE * 4, readiness.ask(&nobody));
        let told = told.await.unwrap();
        let error = |service: &str| {
            let mut all = told.iter();
            let told = all.find(|told| told.details["service"] == service);
            let told = told.unwrap();
            assert_eq!(told.healthy, service == "identity", "{told:?}");
            told.details["error"].as_str().unwrap_or_default()
        };
        assert!(error("order").contains("refused"), "{}", error("order"));
        for service in SILENT {
            assert!(error(service).contains("no answer within 2 s"));
        }
        assert_eq!(error("identity"), "");
    }

    #[tokio::test]
    async fn another_service_at_the_url_of_one_is_noticed() {
        let order = json!({"service": "order", "healthy": true});
        let other = serving(move |_| json!({"status": "ok", "services": [order]})).await;
        let readiness = Readiness::new([("payment", &other)]);
        let told = readiness.ask(&HeaderMap::new()).await;
        assert!(!told[0].healthy);
        let error = told[0].details["error"].as_str().unwrap();
        assert!(error.contains("another service"), "{error}");
    }
}
