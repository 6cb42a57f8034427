//! Private servers on the Java that is installed and the libraries that were fetched.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use mainstay_testkit::kafka::{PrivateServer, answers};

/// A server of the test's own, or the reason why the test does not run.
async fn private() -> Option<PrivateServer> {
    PrivateServer::for_suite("testkit, private servers")
        .await
        .unwrap()
}

/// What a server knows of its cluster.
#[derive(PartialEq, Eq, Debug)]
struct Cluster {
    port: u32,
    id: String,
}

fn ask(stream: &mut TcpStream) {
    // Metadata of no topic, version 4.
    let request = [0, 0, 0, 15, 0, 3, 0, 4, 0, 0, 0, 7, 255, 255, 0, 0, 0, 0, 0];
    stream.write_all(&request).unwrap();
}

fn heard(mut stream: &TcpStream) -> Cluster {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    let mut rest = &*answer;
    let mut bytes = |count: usize| rest.split_off(..count).unwrap();
    // The number of the request, throttling, the number of brokers, and the first one's own number.
    bytes(16);
    let host = bytes(2)[1];
    assert_eq!(bytes(host.into()), b"127.0.0.1");
    let port = bytes(4)
        .iter()
        .fold(0, |port, byte| port << 8 | u32::from(*byte));
    // No rack.
    bytes(2);
    let id = bytes(2)[1];
    let id = String::from_utf8(bytes(id.into()).to_vec()).unwrap();
    Cluster { port, id }
}

fn cluster(server: &PrivateServer) -> Cluster {
    let mut stream = TcpStream::connect(server.url()).unwrap();
    ask(&mut stream);
    heard(&stream)
}

fn port(server: &PrivateServer) -> u16 {
    server.url().rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_server_that_restarts_has_its_cluster_and_is_where_it_was() {
    let Some(server) = private().await else {
        return;
    };
    let before = cluster(&server);
    assert_eq!((before.port, before.id.len()), (port(&server).into(), 22));
    server.kill().await.unwrap();
    assert!(!answers(port(&server)));
    server.start_again().await.unwrap();
    assert_eq!(cluster(&server), before);
    server.stop().await.unwrap();
    assert!(!answers(port(&server)));
    // What clients are told is a setting.
    let elsewhere = [("advertised.listeners", "PLAINTEXT://127.0.0.1:7")];
    server.restart_with(&elsewhere).await.unwrap();
    assert_eq!(cluster(&server), Cluster { port: 7, ..before });
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_paused_server_answers_only_when_it_goes_on_and_goes_with_its_value() {
    let Some(server) = private().await else {
        return;
    };
    let mut stream = TcpStream::connect(server.url()).unwrap();
    server.pause().await.unwrap();
    ask(&mut stream);
    let patience = Some(Duration::from_millis(200));
    stream.set_read_timeout(patience).unwrap();
    assert!(stream.read(&mut [0]).is_err());
    server.resume().await.unwrap();
    stream.set_read_timeout(None).unwrap();
    assert_eq!(heard(&stream), cluster(&server));
    let port = port(&server);
    server.pause().await.unwrap();
    drop(server);
    assert!(!answers(port));
}
