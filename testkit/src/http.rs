//! A client that sends one request per connection and keeps nothing.

use std::collections::BTreeMap;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer, without what differs between connections and moments, and without the mark of a replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers; of several values of one name, the last.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// Sends a request to a port of 127.0.0.1; none if it does not listen, or the connection breaks before the answer is whole.
///
/// `sent` is called when the request has left.
pub async fn post(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    sent: impl FnOnce(),
) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.extend(["\r\n", body]);
    stream.write_all(request.as_bytes()).await.ok()?;
    sent();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    read(&answer)
}

fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let mut headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    for name in ["date", "connection", "idempotent-replayed"] {
        headers.remove(name);
    }
    (length == body.len()).then(|| Answer {
        status,
        headers,
        body: body.to_owned(),
    })
}

#[test]
fn an_answer_that_was_cut_is_none() {
    let head = "HTTP/1.1 201 Created\r\nDate: now\r\ncontent-length: 4\r\nLocation: /1";
    assert_eq!(read(head), None);
    assert_eq!(read(&format!("{head}\r\n\r\nbod")), None);
    let answer = read(&format!("{head}\r\n\r\nbody")).unwrap();
    assert_eq!((answer.status, &*answer.body), (201, "body"));
    assert_eq!(answer.headers["location"], "/1");
    assert!(!answer.headers.contains_key("date"));
}
