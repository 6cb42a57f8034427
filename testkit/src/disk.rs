//! A disk that a test can fill.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error, daemon::Watch, directory::Account, error::At as _, postgres, suites::or_left_out,
};

/// A small file system in memory, which belongs to the user that servers run as. It goes with the value, or with the
/// process; what uses it has to end before.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    watch: Option<Watch>,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Result<Self, Error> {
        const STEP: &str = "making a mount point";
        let Account { user, group, .. } = Account::for_servers()?;
        let directory = tempfile::Builder::new().prefix("mainstay-disk-").tempdir();
        let path = directory.at(STEP)?.keep();
        let options = format!("size={megabytes}m,mode=0700,uid={user},gid={group}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output();
        let refused = match mounted {
            Ok(output) if output.status.success() => {
                let watch = Some(Watch::over_mount(&path)?);
                return Ok(Self { path, watch });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        fs::remove_dir(&path).at(STEP)?;
        let why = format!("a small disk cannot be mounted: {refused}");
        Err(Error::Unavailable(why))
    }

    /// A disk of so many megabytes; where mounting is not permitted, says that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If suites on PostgreSQL [must run](crate::must_run) and mounting is not permitted.
    pub fn for_suite(suite: &str, megabytes: u32) -> Result<Option<Self>, Error> {
        or_left_out(suite, postgres::NAME, Self::mount(megabytes))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Leaves no byte free.
    pub fn fill(&self) -> io::Result<()> {
        let mut ballast = File::options();
        let mut ballast = ballast.create(true).append(true).open(self.ballast())?;
        for block in [1 << 20, 4 << 10] {
            let block = vec![0; block];
            loop {
                match ballast.write(&block) {
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    written => written?,
                };
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
