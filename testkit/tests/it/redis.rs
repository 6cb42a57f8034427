//! Private servers on the Redis that is installed.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use mainstay_testkit::redis::{PrivateServer, answers};

/// A server of the test's own, or the reason why the test does not run.
async fn private() -> Option<PrivateServer> {
    PrivateServer::for_suite("testkit, private servers")
        .await
        .unwrap()
}

/// A login at the server.
struct Session(BufReader<TcpStream>);

impl Session {
    fn of(server: &PrivateServer) -> Self {
        let (_, rest) = server.url().split_once("://:").unwrap();
        let (password, rest) = rest.split_once('@').unwrap();
        let stream = TcpStream::connect(rest.trim_end_matches("/0")).unwrap();
        let mut session = Self(BufReader::new(stream));
        assert_eq!(session.line(&format!("AUTH {password}")), "+OK");
        session
    }

    fn say(&mut self, command: &str) {
        let said = format!("{command}\r\n");
        self.0.get_mut().write_all(said.as_bytes()).unwrap();
    }

    fn line(&mut self, command: &str) -> String {
        self.say(command);
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What `CONFIG GET` has for one name.
    fn setting(&mut self, name: &str) -> String {
        self.say(&format!("CONFIG GET {name}"));
        let mut lines = self.0.by_ref().lines().map(Result::unwrap);
        lines.nth(4).unwrap()
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_empty_and_where_it_was() {
    let Some(server) = private().await else {
        return;
    };
    let mut session = Session::of(&server);
    assert_eq!(session.line("SET a 1"), "+OK");
    server.kill().await.unwrap();
    assert_eq!(session.0.read(&mut [0]).unwrap_or(0), 0);
    server.start_again().await.unwrap();
    assert_eq!(Session::of(&server).line("GET a"), "$-1");
    server.close().await.unwrap();
}

#[tokio::test]
async fn settings_are_the_usual_ones_or_those_asked_for() {
    let Some(server) = private().await else {
        return;
    };
    let mut session = Session::of(&server);
    for (name, value) in [
        ("bind", "127.0.0.1"),
        ("save", ""),
        ("appendonly", "no"),
        ("maxmemory-policy", "noeviction"),
    ] {
        assert_eq!(session.setting(name), value, "{name}");
    }
    let asked_for = [
        ("maxmemory-policy", "allkeys-lru"),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
    ];
    server.restart_with(&asked_for).await.unwrap();
    let mut session = Session::of(&server);
    for (name, value) in asked_for {
        assert_eq!(session.setting(name), value, "{name}");
    }
    assert_eq!(session.line("SET a 1"), "+OK");
    server.restart().await.unwrap();
    assert_eq!(Session::of(&server).line("GET a"), "$1");
}

#[tokio::test]
async fn a_paused_server_answers_only_when_it_goes_on() {
    let Some(server) = private().await else {
        return;
    };
    let mut session = Session::of(&server);
    server.pause().await.unwrap();
    session.say("PING");
    let patience = Duration::from_millis(200);
    let stream = session.0.get_ref();
    stream.set_read_timeout(Some(patience)).unwrap();
    assert!(session.0.read_line(&mut String::new()).is_err());
    server.resume().await.unwrap();
    session.0.get_ref().set_read_timeout(None).unwrap();
    let mut line = String::new();
    session.0.read_line(&mut line).unwrap();
    assert_eq!(line, "+PONG\r\n");
}

#[tokio::test]
async fn a_server_goes_with_its_value_even_if_it_is_paused() {
    let Some(server) = private().await else {
        return;
    };
    let port = server.url().rsplit([':', '/']).nth(1).unwrap();
    let port = port.parse().unwrap();
    assert!(answers(port));
    server.pause().await.unwrap();
    drop(server);
    assert!(!answers(port));
}
