//! Kafka.

use mainstay_testkit::{
    Directory, Error,
    kafka::{self, Binaries, Instance, LIBRARIES, Options},
};

use super::service::{Programs, Service, started};

pub(crate) static KAFKA: Service = Service {
    name: kafka::NAME,
    title: "Kafka",
    variable: kafka::URL,
    programs: LIBRARIES,
    instead: Some("librdkafka's mock cluster"),
    version: |_| Ok(None),
    prepare,
    runs: kafka::runs,
    answers: kafka::answers,
    remove: kafka::remove,
    remove_abandoned: kafka::remove_abandoned,
};

/// The one version that the test kit knows.
fn prepare(_: Option<u32>) -> Result<Programs, Error> {
    let binaries = Binaries::find_or_install()?;
    Ok(Programs {
        directory: binaries.directory.clone(),
        version: binaries.version.clone(),
        found: binaries.found.clone(),
        start: Box::new(|directory: Directory, log, _stays| {
            let mut options = Options::new(binaries);
            options.log = Some(log);
            Ok(Box::new(Instance::start(directory, options)?))
        }),
    })
}

started!(Instance);
