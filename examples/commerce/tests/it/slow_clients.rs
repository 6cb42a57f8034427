//! Slow clients: deadlines close their connections, and they keep no other client out.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{
    sandbox::{Sandbox, count, while_locked},
    shop::{BOUND, Shop, body, place},
};

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
const HEAD: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost";
const BODY: &[u8] = b"POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\nidempotency-key: slow\r\ncontent-length: 60000\r\n\r\n{";
const CHUNKED: &[u8] = b"POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\nidempotency-key: slow\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n{";

fn open(shop: &Shop, start: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(shop.address()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(start).unwrap();
    stream
}

/// A connection with a complete request behind it.
fn open_kept_alive(shop: &Shop, start: &[u8]) -> TcpStream {
    let mut stream = open(shop, REQUEST);
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    stream.write_all(start).unwrap();
    stream
}

/// Sends a byte now and then, until the server closes the connection. Returns the answer, if any.
fn trickle(mut stream: TcpStream) -> String {
    let mut writing = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        while writing.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let answer = until_closed(&mut stream);
    writer.join().unwrap();
    answer
}

fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => String::from_utf8(answer).unwrap(),
    }
}

/// Sends requests and reads no answer, until the server closes the connection.
fn never_read(mut stream: TcpStream) {
    stream.set_write_timeout(Some(BOUND)).unwrap();
    loop {
        if let Err(error) = stream.write_all(REQUEST) {
            let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(closed.contains(&error.kind()), "not closed: {error}");
            return;
        }
    }
}

#[test]
fn a_client_that_misses_a_deadline_is_disconnected() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let arguments = ["--traffic", "off", "--request-timeout", "1"];
    let shop = Shop::start(sandbox.path(), &arguments).unwrap();
    thread::scope(|scope| {
        let (shop, mut clients) = (&shop, Vec::new());
        for start in [b"", HEAD] {
            clients.push(scope.spawn(move || trickle(open(shop, start))));
            clients.push(scope.spawn(move || trickle(open_kept_alive(shop, start))));
            clients.push(scope.spawn(move || until_closed(&mut open(shop, start))));
            clients.push(scope.spawn(move || until_closed(&mut open_kept_alive(shop, start))));
        }
        scope.spawn(move || never_read(open(shop, b"")));
        for client in clients {
            assert_eq!(client.join().unwrap(), "");
        }
        for start in [BODY, CHUNKED] {
            let silent = scope.spawn(move || until_closed(&mut open(shop, start)));
            let slow = scope.spawn(move || trickle(open_kept_alive(shop, start)));
            for answer in [silent.join().unwrap(), slow.join().unwrap()] {
                assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
                assert!(answer.contains("connection: close"), "{answer}");
                assert!(answer.contains(":request-timeout\""), "{answer}");
            }
        }
    });
    let keys = "SELECT count(*) FROM idempotency_records";
    assert_eq!(count(shop.data(), "order", keys), 0, "nothing was written");
    shop.stop();
}

/// No deadline passes here, so only new connections end the slow ones.
#[test]
fn slow_clients_on_every_connection_keep_nobody_out() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let start = |limit: &str| {
        let mut arguments = vec!["--traffic", "off", "--request-timeout", "3600"];
        arguments.extend(["--max-connections", limit]);
        Shop::start(sandbox.path(), &arguments).unwrap()
    };
    let assert_open = |shop: &Shop, key: &str| {
        for path in ["/healthz", "/readyz", "/"] {
            assert_eq!(shop.get(path).status, 200, "{key}");
        }
        shop.accept(key, &body(&[("SKU-001", 1)], "pm_ok"));
    };
    let shop = start("32");
    for (kind, start) in [
        ("head", HEAD),
        ("body", BODY),
        ("chunk", CHUNKED),
        ("no", b""),
    ] {
        let _new: Vec<_> = (0..40).map(|_| open(&shop, start)).collect();
        assert_open(&shop, &format!("new-{kind}"));
        let _kept: Vec<_> = (0..40).map(|_| open_kept_alive(&shop, start)).collect();
        assert_open(&shop, &format!("kept-{kind}"));
    }
    shop.stop();
    let shop = start("512");
    let _slow: Vec<_> = (0..512).map(|_| open(&shop, HEAD)).collect();
    assert_open(&shop, "all");
    shop.stop();
}

#[test]
fn health_is_answered_while_all_permits_are_taken() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let arguments = ["--traffic", "off", "--max-connections", "8"];
    let shop = Shop::start(sandbox.path(), &arguments).unwrap();
    let (answers, answered) = mpsc::channel();
    thread::scope(|scope| {
        while_locked(shop.data(), "order", "idempotency_records", || {
            for number in 0..7 {
                let (shop, answers) = (&shop, answers.clone());
                scope.spawn(move || {
                    let order = body(&[("SKU-001", 1)], "pm_ok");
                    let answer = place(shop.address(), &format!("k{number}"), &order);
                    answers.send(answer.unwrap()).unwrap();
                });
            }
            // Six requests wait for the table, and there is no seventh permit.
            let refused = answered.recv_timeout(BOUND).unwrap();
            assert_eq!(refused.status, 503, "{refused:?}");
            assert_eq!(refused.headers["retry-after"], "1");
            for path in ["/healthz", "/readyz"] {
                assert_eq!(shop.get(path).status, 200, "{path}");
            }
        });
        for _ in 0..6 {
            let accepted = answered.recv_timeout(BOUND).unwrap();
            assert_eq!(accepted.status, 202, "{accepted:?}");
        }
    });
    shop.stop();
}
