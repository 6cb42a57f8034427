//! A disk that a test can fill.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, account::Account, left_out, watch::Watch};

/// A small file system in memory, which belongs to the user that servers run as. It goes with the value, or with the
/// process; what uses it has to end before.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    watch: Option<Watch>,
}

impl SmallDisk {
    /// A disk of so many megabytes. [`Error::Unavailable`] where mounting is not permitted.
    pub fn mount(megabytes: u32) -> Result<Self, Error> {
        let account = Account::for_servers()?;
        let failed = |error: io::Error| Error::step("making a mount point", error.to_string());
        let path = tempfile::Builder::new()
            .prefix("mainstay-disk-")
            .tempdir()
            .map_err(failed)?
            .keep();
        let owner = account.map_or(String::new(), |Account { user, group }| {
            format!(",uid={user},gid={group}")
        });
        let options = format!("size={megabytes}m,mode=0700{owner}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output();
        let refused = match mounted {
            Ok(output) if output.status.success() => {
                let watch = Watch::over_mount(&path)?;
                return Ok(Self {
                    path,
                    watch: Some(watch),
                });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        fs::remove_dir(&path).map_err(failed)?;
        Err(Error::Unavailable(format!(
            "a small disk cannot be mounted: {refused}"
        )))
    }

    /// As [`SmallDisk::mount`]; where that is not permitted, says that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If suites on PostgreSQL [must run](crate::must_run) and mounting is not permitted.
    pub fn for_suite(suite: &str, megabytes: u32) -> Result<Option<Self>, Error> {
        match Self::mount(megabytes) {
            Err(Error::Unavailable(why)) => {
                left_out(suite, "postgres", &why);
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Leaves no byte free.
    pub fn fill(&self) -> io::Result<()> {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())?;
        for block in [1 << 20, 4 << 10] {
            let block = vec![0; block];
            loop {
                match ballast.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Takes out what [`fill`](Self::fill) put in.
    pub fn make_room(&self) -> io::Result<()> {
        fs::remove_file(self.ballast())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.dismiss();
        }
    }
}
