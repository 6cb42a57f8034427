//! A shop of its own, without traffic.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

pub(crate) struct Shop {
    child: Child,
    address: String,
    _data: TempDir,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_commerce"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMMERCE_")) {
            command.env_remove(name);
        }
        let listen = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--traffic",
            "off",
            "--data",
        ];
        let command = command.args(listen).arg(data.path());
        let mut child = (command.stderr(Stdio::null()).stdout(Stdio::piped()).spawn()).unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ready ");
        Self {
            address: address
                .unwrap_or_else(|| panic!("it is not ready: {line:?}"))
                .to_owned(),
            child,
            _data: data,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // A failed test must not leave its shop running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
