//! One kind: files.

use std::sync::Arc;

use super::{Place, file::FilePlace};
use crate::{Error, Result, StorageSettings};

pub(super) fn place(settings: &StorageSettings) -> Result<Arc<dyn Place>> {
    if settings.kafka.is_some() || settings.kafka_prefix.is_some() {
        return Err(Error::Setting {
            what: "this build keeps its log in a file: for Kafka, build with `--features distributed`",
        });
    }
    let remedy = "put back the broker.db of that log, with its broker.db-wal if there was one, in place of the files here, or start over with a new --data";
    Ok(Arc::new(FilePlace::new(settings.directory()?, remedy)))
}
