//! Settings: flags over environment over a TOML file over defaults.

mod access;

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::Uri;
use commerce_chassis::{Access, Operators, Storage, StorageSettings, WebhookSecrets};
use commerce_inventory::HOLD;
use serde::Deserialize;

use access::{access, jwks_urls, otlp, rate_limit, seed_password, upstream};

use crate::{
    cli::{Secret, ServeArguments, StorageArguments},
    error::Failure,
    serve::Limits,
};

/// The password of the seeded users in an open shop.
pub(crate) const SEED_PASSWORD: &str = "mainstay-demo";

/// The services, by name.
pub(crate) const SERVICES: [&str; 8] = [
    "order",
    "inventory",
    "payment",
    "shipping",
    "catalog",
    "identity",
    "notification",
    "analytics",
];

/// Settings of `serve`.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The services of this process; none = the gateway alone.
    pub(crate) services: Vec<&'static str>,
    /// Whether the gateway stands before them.
    pub(crate) gateway: bool,
    /// Whether requests need a token.
    pub(crate) access: Access,
    /// The services of other processes that the gateway stands before.
    pub(crate) upstreams: Vec<(String, Uri)>,
    /// The key set of identity, at each of its processes; none = identity is in this process, or no
    /// token is needed.
    pub(crate) jwks: Vec<Uri>,
    /// Requests per second of one client; none = any number.
    pub(crate) rate: Option<NonZeroU32>,
    /// The collector of spans; none = they are not exported.
    pub(crate) otlp: Option<String>,
    /// The password of the seeded users; none = they cannot log in.
    pub(crate) seed_password: Option<Secret>,
    /// The secrets that parties outside sign webhooks with.
    pub(crate) webhooks: WebhookSecrets,
    /// Whether nobody but the simulated carrier signs scans.
    pub(crate) carrier_is_simulated: bool,
    /// How notification sends.
    pub(crate) notification: commerce_notification::Settings,
    pub(crate) listen: SocketAddr,
    pub(crate) storage: Storage,
    /// Who may act on dead letters.
    pub(crate) operators: Operators,
    /// Interval between two built-in orders; none = no built-in traffic.
    pub(crate) traffic: Option<Duration>,
    pub(crate) limits: Limits,
    /// How long stock is held for an order that is not confirmed.
    pub(crate) hold: Duration,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    service: Option<String>,
    listen: Option<String>,
    data: Option<PathBuf>,
    postgres: Option<String>,
    postgres_prefix: Option<String>,
    redis: Option<String>,
    kafka: Option<String>,
    kafka_prefix: Option<String>,
    partitions: Option<u16>,
    traffic: Option<String>,
    operator_token: Option<String>,
    auth: Option<String>,
    upstream: Option<Vec<String>>,
    jwks: Option<String>,
    rate_limit: Option<String>,
    otlp: Option<String>,
    seed_password: Option<String>,
    carrier_secret: Option<String>,
    psp_secret: Option<String>,
    smtp: Option<String>,
    hold: Option<u64>,
    request_timeout: Option<u64>,
    answer_timeout: Option<u64>,
    max_connections: Option<u64>,
}

impl Config {
    pub(crate) fn read(arguments: ServeArguments) -> Result<Self, Failure> {
        let mut file = File::read(arguments.storage.config.as_deref())?;
        let listen = listen(arguments.listen.or(file.listen.take()).as_deref())?;
        let token = arguments.operator_token.map(|token| token.0);
        let service = arguments.service.or(file.service.take());
        let (services, gateway) = services(service.as_deref())?;
        let access = access(arguments.auth.or(file.auth.take()).as_deref(), listen)?;
        let upstreams = Some(arguments.upstream).filter(|given| !given.is_empty());
        let upstreams = upstreams.or(file.upstream.take()).unwrap_or_default();
        let upstreams = upstreams.iter().map(|text| upstream(text));
        let upstreams: Vec<_> = upstreams.collect::<Result<_, _>>()?;
        if services.is_empty() == upstreams.is_empty() {
            return Err(Failure::plain(
                "upstream: the gateway alone needs at least one, such as order=http://127.0.0.1:8081, and nothing else takes any",
            ));
        }
        let jwks = arguments.jwks.or(file.jwks.take());
        let password = arguments.seed_password.map(|password| password.0);
        let rate = arguments.rate_limit.or(file.rate_limit.take());
        let text = |secret: Option<Secret>| secret.map(|secret| secret.0);
        let carrier = text(arguments.carrier_secret).or(file.carrier_secret.take());
        let psp = text(arguments.psp_secret).or(file.psp_secret.take());
        let webhooks = WebhookSecrets::new(carrier.as_deref(), psp.as_deref(), access);
        let notification = commerce_notification::Settings {
            smtp: text(arguments.smtp).or(file.smtp.take()),
        };
        Ok(Self {
            operators: operators(token.or(file.operator_token.take()).as_deref(), access)?,
            jwks: jwks_urls(jwks.as_deref(), &services, &upstreams, access)?,
            otlp: otlp(arguments.otlp.or(file.otlp.take()))?,
            rate: rate_limit(rate.as_deref(), access)?,
            seed_password: seed_password(password.or(file.seed_password.take()), access)?,
            webhooks: webhooks.map_err(|error| Failure::plain(error.to_string()))?,
            carrier_is_simulated: carrier.is_none(),
            notification,
            services,
            gateway,
            access,
            upstreams,
            listen,
            traffic: traffic(arguments.traffic.or(file.traffic.take()).as_deref())?,
            limits: limits(
                arguments.request_timeout.or(file.request_timeout),
                arguments.answer_timeout.or(file.answer_timeout),
                arguments.max_connections.or(file.max_connections),
            )?,
            hold: hold(arguments.hold.or(file.hold))?,
            storage: file.storage(arguments.storage)?,
        })
    }
}

/// The storage of the services' data.
pub(crate) fn storage(arguments: StorageArguments) -> Result<Storage, Failure> {
    File::read(arguments.config.as_deref())?.storage(arguments)
}

impl File {
    fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let what = || format!("the configuration {}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| Failure::new(what(), &error))?;
        toml::from_str(&text).map_err(|error| {
            let setting = error.span().and_then(|span| setting_at(&text, span.start));
            let setting = setting.map_or_else(String::new, |name| format!("{name}: "));
            Failure::plain(format!("{}: {setting}{}", what(), error.message()))
        })
    }

    fn storage(self, arguments: StorageArguments) -> Result<Storage, Failure> {
        let data = arguments.data.or(self.data);
        let storage = StorageSettings {
            data: data.unwrap_or_else(|| PathBuf::from("data")),
            postgres: arguments.postgres.map(|url| url.0).or(self.postgres),
            postgres_prefix: arguments.postgres_prefix.or(self.postgres_prefix),
            redis: arguments.redis.map(|url| url.0).or(self.redis),
            kafka: arguments.kafka.or(self.kafka),
            kafka_prefix: arguments.kafka_prefix.or(self.kafka_prefix),
            partitions: arguments.partitions.or(self.partitions),
        };
        Storage::new(&storage).map_err(|error| Failure::plain(error.to_string()))
    }
}

/// The setting whose line includes `position`. Its value may hold a password.
fn setting_at(text: &str, position: usize) -> Option<&str> {
    let before = text.get(..position)?;
    let start = before.rfind('\n').map_or(0, |line_end| line_end + 1);
    let name = text.get(start..)?.split('=').next()?.trim();
    let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_name.then_some(name)
}

/// The services of the process, and whether the gateway stands before them.
fn services(given: Option<&str>) -> Result<(Vec<&'static str>, bool), Failure> {
    match given {
        None | Some("all") => Ok((SERVICES.to_vec(), true)),
        Some("gateway") => Ok((Vec::new(), true)),
        Some(name) => SERVICES
            .into_iter()
            .find(|service| *service == name)
            .map(|service| (vec![service], false))
            .ok_or_else(|| {
                Failure::plain(format!(
                    "service {name:?}: expected all, gateway, {}",
                    SERVICES.join(", ")
                ))
            }),
    }
}

fn listen(given: Option<&str>) -> Result<SocketAddr, Failure> {
    let text = given.unwrap_or("127.0.0.1:8080");
    text.parse().map_err(|_| {
        Failure::plain(format!(
            "listen {text:?}: expected an address and a port, such as 127.0.0.1:8080"
        ))
    })
}

fn operators(token: Option<&str>, access: Access) -> Result<Operators, Failure> {
    match token {
        None if access == Access::Open => Ok(Operators::everyone()),
        None => Ok(Operators::with_access_token()),
        Some(token) if token.len() >= 16 && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Operators::with_token(token))
        }
        Some(_) => Err(Failure::plain(
            "operator-token: expected at least 16 characters of ASCII without spaces",
        )),
    }
}

fn traffic(given: Option<&str>) -> Result<Option<Duration>, Failure> {
    let text = given.unwrap_or("5/s");
    if text == "off" {
        return Ok(None);
    }
    let rate: f64 = text
        .strip_suffix("/s")
        .unwrap_or(text)
        .parse()
        .ok()
        .filter(|rate| (0.001..=10_000.0).contains(rate))
        .ok_or_else(|| {
            Failure::plain(format!(
                "traffic {text:?}: expected orders per second, such as 5/s, or off"
            ))
        })?;
    Ok(Some(Duration::from_secs_f64(1.0 / rate)))
}

fn hold(seconds: Option<u64>) -> Result<Duration, Failure> {
    let Some(seconds) = seconds else {
        return Ok(HOLD);
    };
    let seconds = between("hold", seconds, 1..=86_400)?;
    Ok(Duration::from_secs(seconds.into()))
}

fn limits(
    request_timeout: Option<u64>,
    answer_timeout: Option<u64>,
    max_connections: Option<u64>,
) -> Result<Limits, Failure> {
    let request = between("request-timeout", request_timeout.unwrap_or(10), 1..=3_600)?;
    let answer = between("answer-timeout", answer_timeout.unwrap_or(15), 1..=3_600)?;
    let connections = between(
        "max-connections",
        max_connections.unwrap_or(512),
        8..=65_536,
    )?;
    Ok(Limits {
        request_timeout: Duration::from_secs(request.into()),
        answer_timeout: Duration::from_secs(answer.into()),
        connections: connections as usize,
    })
}

fn between(name: &str, value: u64, range: RangeInclusive<u32>) -> Result<u32, Failure> {
    let given = u32::try_from(value).ok();
    given.filter(|value| range.contains(value)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        Failure::plain(format!("{name} {value}: expected {least} to {most}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_a_rate_or_off() {
        assert_eq!(traffic(Some("off")).unwrap(), None);
        assert_eq!(
            traffic(Some("4/s")).unwrap(),
            Some(Duration::from_millis(250))
        );
        assert_eq!(traffic(Some("0.5")).unwrap(), Some(Duration::from_secs(2)));
        for wrong in ["", "five", "0/s", "-1/s", "nan", "inf/s"] {
            assert!(traffic(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_service_or_all_of_them() {
        let (all, gateway) = services(None).unwrap();
        assert_eq!((all.len(), gateway), (8, true));
        assert_eq!(services(Some("payment")).unwrap(), (vec!["payment"], false));
        assert_eq!(services(Some("gateway")).unwrap(), (vec![], true));
        assert!(services(Some("shop")).is_err());
    }
}
