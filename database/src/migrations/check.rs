//! Checking a schema that this crate's runner may not have made.

use super::Migrations;
use crate::Error;

impl Migrations {
    /// That no step is pending. `applied` has the version and checksum of each step applied.
    pub(crate) fn check(&self, applied: &[(u32, i64)]) -> Result<(), Error> {
        let Some((version, step)) = self.pending(applied)?.first().copied() else {
            return Ok(());
        };
        Err(self.missing(format!("step {version}, {}, was not applied", step.name).into()))
    }

    pub(crate) fn missing(&self, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::MissingSchema {
            component: self.component.to_owned(),
            source,
        }
    }
}
