//! What becomes of a server whose owner dies.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::Error;

/// Waits for the owner: told `leave`, it does nothing; at the end of the pipe, which comes also with `kill -9`, it
/// stops the server whose id is in the file `$2` and removes the directory `$1`. Starting a server could write into
/// the directory once more, hence the repetition.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r word && [ "$word" = leave ] && exit 0
read -r pid < "$2"
tries=0
while [ -n "$pid" ] && kill -s QUIT "$pid" && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
[ -n "$pid" ] && kill -s KILL "$pid"
tries=0
while [ -e "$1" ] && [ $tries -lt 100 ]; do rm -rf "$1"; sleep 0.05; tries=$((tries + 1)); done
"#;

/// Takes a file system away as soon as the owner is gone, or says so.
const UNMOUNT: &str = r#"
trap '' HUP INT TERM
read -r word
umount -l "$1"
rmdir "$1"
"#;

/// A process that outlives its owner for as long as it takes to clean up.
#[derive(Debug)]
pub(crate) struct Watch(Child);

impl Watch {
    /// Watches over the server in `directory` that writes its process id to `pid_file`.
    pub(crate) fn over(directory: &Path, pid_file: &Path) -> Result<Self, Error> {
        Self::run(SCRIPT, &[directory, pid_file])
    }

    /// Watches over what is mounted at `path`, until it is told to unmount it.
    pub(crate) fn over_mount(path: &Path) -> Result<Self, Error> {
        Self::run(UNMOUNT, &[path])
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
            .map_err(|error| Error::step("starting the watcher", error.to_string()))
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
