//! A shop: the binary on a data directory, and a client of it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::sandbox;

/// No wait takes that long, even on a busy machine, unless something is broken.
pub(crate) const BOUND: Duration = Duration::from_secs(180);
/// More requests than any limit of these tests lets through while they are sent.
const MANY: usize = 10_000;

pub(crate) struct Shop {
    child: Child,
    address: String,
    data: PathBuf,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn order_id(&self) -> String {
        self.json()["order_id"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn command() -> Command {
    // `cargo xtask test` builds the program in two forms, and names the one of this test.
    let program = std::env::var_os("CARGO_BIN_EXE_commerce");
    let mut command = Command::new(program.unwrap_or(env!("CARGO_BIN_EXE_commerce").into()));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMMERCE_")) {
        command.env_remove(name);
    }
    command
}

impl Shop {
    /// A shop without built-in traffic.
    pub(crate) fn open(data: &Path) -> Self {
        Self::start(data, &["--traffic", "off"]).unwrap()
    }

    /// Starts a shop and waits for its ready line. An error is the exit status of a failed start.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Result<Self, ExitStatus> {
        let mut command = command();
        command
            .arg("serve")
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::null());
        sandbox::at(&mut command, data);
        Self::spawn(command, data)
    }

    /// Starts a shop with a command of the test's own, as [`start`](Self::start) does.
    pub(crate) fn spawn(mut command: Command, data: &Path) -> Result<Self, ExitStatus> {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        match line.trim().strip_prefix("ready http://") {
            Some(address) => Ok(Self {
                address: address.to_owned(),
                data: data.to_owned(),
                child,
            }),
            None => Err(child.wait().unwrap()),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        send(&self.address, "GET", path, &[], "").unwrap()
    }

    pub(crate) fn order(&self, key: &str, body: &str) -> Reply {
        place(&self.address, key, body).unwrap()
    }

    /// Places an order that must be accepted, and returns its id.
    pub(crate) fn accept(&self, key: &str, body: &str) -> String {
        let reply = insist(&self.address, key, body);
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.order_id()
    }

    /// Waits for an order to end, and returns it.
    pub(crate) fn ended(&self, order_id: &str) -> Value {
        let path = format!("/api/v1/orders/{order_id}");
        wait_for(&path, || {
            let order = self.get(&path).json();
            let status = order["status"].as_str().unwrap_or_default();
            ["completed", "cancelled"]
                .contains(&status)
                .then_some(order)
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the process to end by itself.
    pub(crate) fn exit(mut self) -> ExitStatus {
        wait_for("the process to end", || self.child.try_wait().unwrap())
    }

    /// Stops the shop as an operator does.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let status = self.exit();
        assert!(status.success(), "{status}");
    }

    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        assert!(!self.exit().success());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // A failed test must not leave its shop running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks without a pause until a request is refused; how many were answered before.
pub(crate) fn until_refused(shop: &Shop, path: &str) -> (usize, Reply) {
    let mut replies = (0..MANY).map(|answered| (answered, shop.get(path)));
    let refused = replies.find(|(_, reply)| reply.status != 200);
    refused.unwrap_or_else(|| panic!("none of {MANY} requests was refused"))
}

/// Polls until there is a result.
pub(crate) fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = poll() {
            return answer;
        }
        assert!(started.elapsed() < BOUND, "waited too long for {what}");
        // Longer and longer: many who wait at once take no processor time from what they wait for.
        let pause = started.elapsed() / 16;
        std::thread::sleep(pause.clamp(Duration::from_millis(10), Duration::from_millis(250)));
    }
}

pub(crate) fn body(lines: &[(&str, i64)], payment_method: &str) -> String {
    let lines: Vec<_> = lines
        .iter()
        .map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity}))
        .collect();
    json!({
        "customer_id": "cust-001", "currency": "EUR", "lines": lines, "payment_method": payment_method,
        "ship_to": {"name": "Ada", "street": "Example Street 1", "city": "Berlin", "postcode": "10115", "country": "DE"},
    })
    .to_string()
}

/// Asserts that the answers to one request are the same bytes, of which one was not a replay, or 409.
/// Returns the order's id.
pub(crate) fn one_answer(replies: &[Reply]) -> String {
    let is_running = |reply: &&Reply| reply.status == 409;
    for running in replies.iter().filter(is_running) {
        assert_eq!(running.headers["retry-after"], "1", "{running:?}");
        assert_eq!(
            running.headers["content-type"], "application/problem+json",
            "{running:?}"
        );
    }
    let answers: Vec<&Reply> = replies.iter().filter(|it| !is_running(it)).collect();
    for answer in &answers {
        assert_eq!(answer.status, 202, "{answer:?}");
        let told = (&answer.body, &answer.headers["location"]);
        let first = answers[0];
        assert_eq!(told, (&first.body, &first.headers["location"]));
    }
    let fresh = |answer: &&&Reply| !answer.headers.contains_key("idempotent-replayed");
    assert_eq!(answers.iter().filter(fresh).count(), 1);
    answers[0].order_id()
}

/// Places an order as clients do: after 503, which a busy machine may cause, they ask again.
pub(crate) fn insist(address: &str, key: &str, body: &str) -> Reply {
    wait_for("an answer", || {
        let reply = place(address, key, body).unwrap();
        (reply.status != 503).then_some(reply)
    })
}

pub(crate) fn place(address: &str, key: &str, body: &str) -> std::io::Result<Reply> {
    send(
        address,
        "POST",
        "/api/v1/orders",
        &[("idempotency-key", key)],
        body,
    )
}

/// Sends one request on a new connection, as JSON unless a header says otherwise. An incomplete answer
/// is an error.
pub(crate) fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(BOUND))?;
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            request.push_str(part);
        }
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    // A server may answer and close before it has read a body that is too large.
    let sent = stream.write_all(body.as_bytes());
    let mut answer = String::new();
    if let Err(error) = stream.read_to_string(&mut answer)
        && answer.is_empty()
    {
        return Err(error);
    }
    parse(&answer).ok_or_else(|| {
        sent.err()
            .unwrap_or_else(|| std::io::Error::other("the answer is incomplete"))
    })
}

fn parse(answer: &str) -> Option<Reply> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = match (status, headers.get("content-length")) {
        (204, _) => 0, // it has no body
        (_, length) => length?.parse().ok()?,
    };
    (body.len() == length).then(|| Reply {
        status,
        headers,
        body: body.to_owned(),
    })
}

/// Runs `commerce verify`, and returns its exit code and its JSON, with what it waited for.
pub(crate) fn verify(data: &Path) -> (i32, Value) {
    verify_within(data, Duration::ZERO)
}

fn verify_within(data: &Path, settle: Duration) -> (i32, Value) {
    let Output {
        status,
        stdout,
        stderr,
    } = sandbox::at(
        command().args([
            "verify",
            "--json",
            "--settle",
            &settle.as_secs().to_string(),
        ]),
        data,
    )
    .output()
    .unwrap();
    let stderr = Value::String(String::from_utf8_lossy(&stderr).into_owned());
    let verdict = match serde_json::from_slice::<Value>(&stdout) {
        Ok(mut verdict) => {
            verdict["waited"] = stderr;
            verdict
        }
        Err(_) => stderr,
    };
    (status.code().unwrap(), verdict)
}

/// Asserts that every invariant holds, whatever is in progress.
pub(crate) fn assert_holds(data: &Path) -> Value {
    holds(verify(data))
}

/// Asserts that every invariant holds once nothing is in progress.
pub(crate) fn assert_settles(data: &Path) -> Value {
    holds(verify_within(data, BOUND))
}

fn holds((code, verdict): (i32, Value)) -> Value {
    assert_eq!(code, 0, "{verdict:#}");
    verdict
}
