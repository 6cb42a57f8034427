//! A collector of spans: OTLP over HTTP, as much of it as the tests read.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A span that was received.
#[derive(Clone, Default, Debug)]
pub(crate) struct Span {
    pub(crate) process: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

pub(crate) struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let received = Arc::clone(&spans);
        thread::spawn(move || {
            for client in listener.incoming() {
                let received = Arc::clone(&received);
                thread::spawn(move || answer(client.unwrap(), &received));
            }
        });
        Self { url, spans }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

/// Answers the requests of one connection.
fn answer(client: TcpStream, received: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(client);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        received.lock().unwrap().extend(spans(&body));
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if reader.get_mut().write_all(answer).is_err() {
            return;
        }
    }
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut all = Vec::new();
    for of_process in parts(request, 1) {
        let resource = parts(of_process, 1).into_iter().next().unwrap_or_default();
        let process = attributes(resource, 1).remove("service.name");
        for scope in parts(of_process, 2) {
            for span in parts(scope, 2) {
                let id = |number| {
                    let hex = |text: String, byte: &u8| text + &format!("{byte:02x}");
                    parts(span, number).concat().iter().fold(String::new(), hex)
                };
                all.push(Span {
                    process: process.clone().unwrap_or_default(),
                    trace: id(1),
                    id: id(2),
                    parent: id(4),
                    name: String::from_utf8(parts(span, 5).concat()).unwrap(),
                    attributes: attributes(span, 9),
                });
            }
        }
    }
    all
}

fn attributes(message: &[u8], number: u64) -> BTreeMap<String, String> {
    let pairs = parts(message, number).into_iter().map(|pair| {
        let value = parts(pair, 2).concat();
        let text = parts(&value, 1).concat();
        let text = match fields(&value).first() {
            Some((3, Field::Number(number))) => number.to_string(),
            _ => String::from_utf8(text).unwrap(),
        };
        (String::from_utf8(parts(pair, 1).concat()).unwrap(), text)
    });
    pairs.collect()
}

/// A field of a message of Protocol Buffers.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields with this number that are messages, texts or bytes.
fn parts(message: &[u8], number: u64) -> Vec<&[u8]> {
    let fields = fields(message).into_iter();
    let of_number = fields.filter(|(it, _)| *it == number);
    of_number
        .filter_map(|(_, field)| match field {
            Field::Bytes(bytes) => Some(bytes),
            Field::Number(_) => None,
        })
        .collect()
}

fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut all = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)),
            1 => Field::Bytes(message.split_off(..8).unwrap()),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                Field::Bytes(message.split_off(..length).unwrap())
            }
            5 => Field::Bytes(message.split_off(..4).unwrap()),
            other => panic!("no such type of a field: {other}"),
        };
        all.push((tag >> 3, field));
    }
    all
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = *message.split_off_first().unwrap();
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
