//! Processes that abort before and after a call of each of their ports, one after the other.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::stage::{Actor, PATIENCE, Stage};

/// So few messages that whoever is started again keeps up.
const WRITER: &[&str] = &["--pace", "70", "--sessions", "2"];
const RELAY: &[&str] = &["--lease", "600", "--linger", "0"];
const WORKER: &[&str] = &["--lease", "600", "--linger", "0", "--lock-timeout", "500"];

/// A port, and which of its calls: the first ones of a process are not like the later ones.
type Calls = &'static [(&'static str, usize)];

const OF_A_WRITER: Calls = &[
    ("begin", 2),
    ("count", 2),
    ("enter", 1),
    ("enqueue", 1),
    ("enter_and_enqueue", 1),
    ("commit", 1),
];
const OF_A_RELAY: Calls = &[
    ("lease", 1),
    ("fetch", 2),
    ("publish", 2),
    ("record", 1),
    ("release", 1),
];
const OF_A_WORKER: Calls = &[
    // The second one may be dropped for a commit.
    ("next", 1),
    ("now", 1),
    ("checkpoint", 1),
    ("prune", 1),
    ("begin", 2),
    ("admit_batch", 1),
    ("handle", 2),
    ("commit", 1),
    ("store", 1),
    ("release", 1),
];

fn points(calls: Calls) -> impl Iterator<Item = String> {
    let of = |&(port, nth): &(&str, usize)| {
        ["before", "after"].map(|moment| format!("{moment}:{port}:{nth}"))
    };
    calls.iter().flat_map(of)
}

/// Waits until a process has ended where it was told to. What it does only at its end it does when it is asked to end.
async fn aborts(stage: &Stage, mut actor: Actor, point: &str) {
    if point.contains(":release:") {
        stage.traffic(3).await;
        actor.ask_to_end();
    }
    let ending = async {
        while !actor.has_ended() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ending).await;
    assert!(ended.is_ok(), "{point} was never reached: {}", actor.said());
    let last_words = format!("aborted at {point}");
    assert!(actor.said().contains(&last_words), "{}", actor.said());
}

/// Plays a role again and again, each time until another point; then for good.
async fn plays(
    stage: &Stage,
    role: impl Fn(String, &[&str]) -> Actor,
    name: &str,
    options: &[&str],
    calls: Calls,
) -> Actor {
    let mut aborted = 0;
    for point in points(calls) {
        let options = [options, &["--abort", &point]].concat();
        let actor = role(format!("{name}-{point}").replace(':', "-"), &options);
        aborts(stage, actor, &point).await;
        aborted += 1;
    }
    println!("{name}: aborted at {aborted} points");
    role(format!("{name}-for-good"), options)
}

/// No port of a process that came to its end was left out.
fn all_are_struck(calls: Calls, summary: &Value) {
    let made = summary["calls"].as_object().unwrap().keys();
    let made: BTreeSet<&str> = made.map(String::as_str).collect();
    assert_eq!(made, calls.iter().map(|(port, _)| *port).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers() {
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let others = vec![stage.relay("relay-1", &[]), stage.worker("worker-1", &[])];
    let role = |name: String, options: &[&str]| stage.writer(&name, options);
    let writer = plays(&stage, role, "writer", WRITER, OF_A_WRITER).await;
    stage.traffic(20).await;
    let ended = stage.close(vec![writer], others).await;
    all_are_struck(OF_A_WRITER, ended.summary("writer-for-good"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays() {
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", WRITER)];
    let worker = stage.worker("worker-1", &[]);
    let role = |name: String, options: &[&str]| stage.relay(&name, options);
    let relay = plays(&stage, role, "relay", RELAY, OF_A_RELAY).await;
    stage.new_traffic(20).await;
    let ended = stage.close(writers, vec![worker, relay]).await;
    all_are_struck(OF_A_RELAY, ended.summary("relay-for-good"));
    // Who aborted behind a send had not recorded it.
    assert!(ended.history.repetitions() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers() {
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", WRITER)];
    let relay = stage.relay("relay-1", &[]);
    let role = |name: String, options: &[&str]| stage.worker(&name, options);
    let worker = plays(&stage, role, "worker", WORKER, OF_A_WORKER).await;
    stage.traffic(20).await;
    let ended = stage.close(writers, vec![relay, worker]).await;
    all_are_struck(OF_A_WORKER, ended.summary("worker-for-good"));
}
