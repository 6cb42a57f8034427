//! Kafka where servers are given, or a file.

use std::sync::Arc;

use super::{Place, file::FilePlace, kafka::KafkaPlace};
use crate::{Error, Result, StorageSettings};

pub(super) fn place(settings: &StorageSettings) -> Result<Arc<dyn Place>> {
    if let Some(servers) = &settings.kafka {
        let prefix = settings.kafka_prefix.as_deref().unwrap_or("commerce_");
        return Ok(Arc::new(KafkaPlace::new(servers, prefix)?));
    }
    if settings.kafka_prefix.is_some() {
        return Err(Error::Setting {
            what: "kafka-prefix is given without kafka",
        });
    }
    let remedy = "start with the --data of that log, or start over with a new --data and a new --postgres-prefix";
    Ok(Arc::new(FilePlace::new(settings.directory()?, remedy)))
}
