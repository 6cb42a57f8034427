//! Files that a bench works on, on the disk that `target/` lies on: a temporary directory may be memory.

use std::path::PathBuf;

use mainstay_database::sqlite::{Database, Synchronous};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A folder of database files that goes away with it.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// A new folder in `target`: give `env!("CARGO_TARGET_TMPDIR")`.
    #[must_use]
    pub fn new(target: &str) -> Self {
        Self {
            folder: TempDir::new_in(target).unwrap(),
        }
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A database file, opened as libraries and raw loops alike use it; a new one, unless the name was used before.
    #[must_use]
    pub fn database(&self, runtime: &Runtime, name: &str, synchronous: Synchronous) -> Database {
        let path = self.path(&format!("{name}.db"));
        let database = Database::builder(path).synchronous(synchronous);
        runtime.block_on(database.open()).unwrap()
    }
}
