//! The application as it is deployed: a process per service and the gateway before them, on
//! PostgreSQL, Kafka and, where there is one, Redis.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    thread,
};

use mainstay_testkit::redis;
use rustix::process::Signal;

use crate::{
    sandbox,
    shop::{Shop, command},
};

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

pub(crate) const GATEWAY: &str = "gateway";

/// Any free port.
const ANYWHERE: &str = "127.0.0.1:0";

/// Nine processes, each on an address of its own for good.
pub(crate) struct Deployed {
    data: PathBuf,
    running: BTreeMap<&'static str, Shop>,
    addresses: BTreeMap<&'static str, String>,
}

impl Deployed {
    /// Starts all of them; each has answered once.
    pub(crate) fn start(data: &Path) -> Self {
        // At once: each creates what is missing.
        let running: BTreeMap<_, _> = thread::scope(|scope| {
            let starting = SERVICES.map(|name| {
                (
                    name,
                    scope.spawn(move || process(data, name, ANYWHERE, &[])),
                )
            });
            starting
                .into_iter()
                .map(|(name, starting)| (name, starting.join().unwrap()))
                .collect()
        });
        let address = |(name, shop): (&&'static str, &Shop)| (*name, shop.address().to_owned());
        let mut deployed = Self {
            addresses: running.iter().map(address).collect(),
            data: data.to_owned(),
            running,
        };
        deployed.start_again(GATEWAY);
        deployed
    }

    /// The names of all processes.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        SERVICES.into_iter().chain([GATEWAY])
    }

    pub(crate) fn gateway(&self) -> &Shop {
        self.process(GATEWAY)
    }

    pub(crate) fn process(&self, name: &str) -> &Shop {
        &self.running[name]
    }

    /// Where it is reached, whether it runs or not.
    pub(crate) fn address(&self, name: &str) -> &str {
        &self.addresses[name]
    }

    /// By `kill -9`.
    pub(crate) fn kill(&mut self, name: &str) {
        self.running.remove(name).unwrap().kill();
    }

    /// Starts it where it was.
    pub(crate) fn start_again(&mut self, name: &'static str) {
        let upstreams = self.addresses.iter().filter(|_| name == GATEWAY);
        let upstreams = upstreams.filter(|(upstream, _)| **upstream != GATEWAY);
        let upstreams = upstreams.flat_map(|(upstream, address)| {
            let url = format!("{upstream}=http://{address}");
            ["--upstream".to_owned(), url]
        });
        let upstreams: Vec<String> = upstreams.collect();
        let address = self.addresses.get(name).map_or(ANYWHERE, String::as_str);
        let shop = process(&self.data, name, address, &upstreams);
        self.addresses.insert(name, shop.address().to_owned());
        self.running.insert(name, shop);
    }

    /// One more process of a service, with a log of its own.
    pub(crate) fn twin(&self, name: &'static str) -> Shop {
        let log = format!("{name}-twin");
        started(&self.data, name, &log, ANYWHERE, &[])
    }

    /// Stops all of them, as an operator does.
    pub(crate) fn stop(self) {
        for shop in self.running.values() {
            shop.signal(Signal::TERM);
        }
        for (name, shop) in self.running {
            let status = shop.exit();
            assert!(status.success(), "{name}: {status}");
        }
    }
}

/// A process whose log is a file of its name, over all its starts.
fn process(data: &Path, name: &str, address: &str, arguments: &[String]) -> Shop {
    started(data, name, name, address, arguments)
}

fn started(data: &Path, name: &str, log: &str, address: &str, arguments: &[String]) -> Shop {
    let log = data.join(format!("{log}.log"));
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = command();
    command
        .args(["serve", "--listen", address, "--service", name])
        .args(["--traffic", "off", "--partitions", "3"])
        .args(arguments)
        .stderr(log);
    if let Ok(redis) = std::env::var(redis::URL) {
        command.env("COMMERCE_REDIS_URL", redis);
    }
    sandbox::at(&mut command, data);
    Shop::spawn(command, data).unwrap_or_else(|status| panic!("{name} does not start: {status}"))
}
