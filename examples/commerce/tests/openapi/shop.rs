//! A shop of its own that requires tokens, without traffic and without a limit of requests.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "mainstay-demo";
const ARGUMENTS: [&str; 10] = [
    "--listen",
    "127.0.0.1:0",
    "--traffic",
    "off",
    "--auth",
    "required",
    "--seed-password",
    PASSWORD,
    "--rate-limit",
    "off",
];

pub(crate) struct Shop {
    child: Child,
    address: String,
    data: TempDir,
}

fn command(name: &str, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commerce"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMMERCE_")) {
        command.env_remove(name);
    }
    command.arg(name).arg("--data").arg(data);
    command
}

impl Shop {
    pub(crate) fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut serve = command("serve", data.path());
        serve.args(ARGUMENTS);
        let mut child = (serve.stderr(Stdio::null()).stdout(Stdio::piped()).spawn()).unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ready http://");
        Self {
            address: address
                .unwrap_or_else(|| panic!("it is not ready: {line:?}"))
                .to_owned(),
            child,
            data,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// The access token of a user.
    pub(crate) fn log_in(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD}).to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let tokens: Value = serde_json::from_str(body).unwrap();
        let token = tokens["access_token"].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// `commerce verify` finds every invariant to hold.
    pub(crate) fn assert_holds(&self) {
        let mut verify = command("verify", self.data());
        let output = verify.args(["--settle", "120"]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {told}", output.status);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // A failed test must not leave its shop running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
