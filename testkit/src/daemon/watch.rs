//! What becomes of a server whose owner dies.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{Error, error::At as _};

/// A process that outlives its owner for as long as it takes to clean up.
#[derive(Debug)]
pub(crate) struct Watch(Child);

impl Watch {
    /// Watches over the server in `directory` that writes its process id to `pid_file`.
    pub(crate) fn over(directory: &Path, pid_file: &Path) -> Result<Self, Error> {
        Self::run(include_str!("watch.sh"), &[directory, pid_file])
    }

    /// Watches over what is mounted at `path`, until it is told to unmount it.
    pub(crate) fn over_mount(path: &Path) -> Result<Self, Error> {
        Self::run(include_str!("unmount.sh"), &[path])
    }

    fn run(script: &str, paths: &[&Path]) -> Result<Self, Error> {
        Command::new("sh")
            .args(["-c", script, "mainstay-watch"])
            .args(paths)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
            .at("starting the watcher")
    }

    /// Nothing is left to clean up, or it is to stay; a mount goes.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            // A watcher that does not read any more is gone, which is all that is wanted of it.
            drop(stdin.write_all(b"leave\n"));
        }
        drop(self.0.wait());
    }
}
