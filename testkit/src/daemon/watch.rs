//! What becomes of a server whose owner dies.

use std::{
    ffi::OsStr,
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::{Error, error::At as _};

/// A process that outlives its owner for as long as it takes to clean up.
#[derive(Debug)]
pub(crate) struct Watch(Child);

impl Watch {
    /// Watches over the server in `directory` that writes its process id to `pid_file` and that `at_once` ends.
    pub(crate) fn over(directory: &Path, pid_file: &Path, at_once: Signal) -> Result<Self, Error> {
        let at_once = at_once.as_raw().to_string();
        let arguments = [
            directory.as_os_str(),
            pid_file.as_os_str(),
            at_once.as_ref(),
        ];
        Self::run(include_str!("watch.sh"), &arguments)
    }

    /// Watches over what is mounted at `path`, until it is told to unmount it.
    pub(crate) fn over_mount(path: &Path) -> Result<Self, Error> {
        Self::run(include_str!("unmount.sh"), &[path.as_os_str()])
    }

    fn run(script: &str, arguments: &[&OsStr]) -> Result<Self, Error> {
        Command::new("sh")
            .args(["-c", script, "mainstay-watch"])
            .args(arguments)
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
