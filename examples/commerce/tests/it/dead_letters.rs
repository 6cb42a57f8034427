//! Dead letters from an operator's side: the scenario, the command line and the HTTP API.

use std::{path::Path, process::Output};

use commerce_chassis::ON_A_SERVER;
use serde_json::{Value, json};

use crate::{
    sandbox::{self, Sandbox, count, execute},
    shop::{Shop, assert_settles, body, command, send, verify, wait_for},
};

/// Runs `commerce` with these words on the deployment in `data`: its exit code and its stdout.
pub(crate) fn run(data: &Path, words: &[&str]) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = sandbox::at(command().args(words), data)
        .env("COMMERCE_OPERATOR", "ada")
        .output()
        .unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), stdout + &stderr)
}

/// The JSON that `commerce dlq` with these words prints.
pub(crate) fn dlq(data: &Path, words: &[&str]) -> Value {
    let words = [&["dlq"], words, &["--json"]].concat();
    let (code, text) = run(data, &words);
    assert_eq!(code, 0, "{words:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{words:?}: {text}"))
}

#[test]
fn the_scenario_goes_from_the_alarm_to_fixed() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let (code, text) = run(data, &["demo", "poison"]);
    assert_eq!(code, 2, "{text}");
    let shop = Shop::open(data);
    let target = format!("http://{}", shop.address());
    for _ in 0..2 {
        let (code, text) = run(data, &["demo", "poison", "--target", &target]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("every expectation held"), "{text}");
    }
    let verdict = assert_settles(data);
    assert_eq!(verdict["dead_letters"], json!({"dead": 0, "held": 0}));
    shop.stop();
}

#[test]
fn what_the_alarm_leaves_can_be_repaired_from_the_shell() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let shop = Shop::open(data);
    let target = format!("http://{}", shop.address());
    let (code, text) = run(data, &["demo", "poison-alarm", "--target", &target]);
    assert_eq!(code, 0, "{text}");
    let letters = dlq(data, &["list", "--state", "dead"]);
    let letters = letters.as_array().unwrap();
    assert!(!letters.is_empty(), "{text}");
    for letter in letters {
        let reference = format!("{}/{}", letter["service"].as_str().unwrap(), letter["id"]);
        assert!(text.contains(&reference), "{text}");
        let (code, body) = run(data, &["dlq", "show", &reference, "--body"]);
        assert_eq!(code, 0, "{body}");
        let mended = data.join("mended.json");
        std::fs::write(&mended, body.replace("IN TRANSIT", "in_transit")).unwrap();
        let mended = mended.to_str().unwrap();
        let edit = ["dlq", "edit", &reference, "--payload", mended];
        let (code, text) = run(data, &[&edit[..], &["--reason", "misspelt"]].concat());
        assert_eq!(code, 0, "{text}");
        let replay = ["dlq", "replay", &reference, "--reason", "mended", "--wait"];
        let (code, text) = run(data, &replay);
        assert_eq!(code, 0, "{text}");
    }
    let verdict = assert_settles(data);
    assert_eq!(verdict["dead_letters"], json!({"dead": 0, "held": 0}));
    shop.stop();
}

/// The commands to reserve stock in the log.
pub(crate) const RESERVATIONS: &str =
    "SELECT count(*) FROM broker_records WHERE envelope ->> 'kind' = 'ReserveStock'";

/// Commands about three orders that no handler can read: the payloads are damaged before inventory
/// reads them.
fn with_dead_letters(data: &Path) -> (Shop, Vec<String>) {
    let seller = Shop::start(data, &["--traffic", "off", "--service", "order"]).unwrap();
    let orders: Vec<_> = (0..3)
        .map(|number| seller.accept(&format!("{number}"), &body(&[("SKU-001", 1)], "pm_ok")))
        .collect();
    wait_for("the commands to be in the log", || {
        (count(data, "broker", RESERVATIONS) == 3).then_some(())
    });
    seller.stop();
    execute(
        data,
        "broker",
        "UPDATE broker_records SET payload = CAST(replace(CAST(payload AS TEXT), '\"qty\":1', '\"qty\":\"one\"') AS BLOB) WHERE envelope ->> 'kind' = 'ReserveStock'",
    );
    let shop = Shop::open(data);
    wait_for("inventory to keep all", || {
        let letters = dlq(data, &["list", "--service", "inventory"]);
        (letters.as_array().unwrap().len() == 3).then_some(())
    });
    (shop, orders)
}

fn letter_of(data: &Path, order: &str) -> String {
    let letters = dlq(data, &["list", "--key", order]);
    format!("inventory/{}", letters[0]["id"])
}

/// Who did what with a message, newest first.
fn acts_on(data: &Path, reference: &str) -> Vec<(String, String)> {
    let audit = dlq(data, &["audit", reference]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = audit.as_array().unwrap().iter();
    entries
        .map(|entry| (text(&entry["operator"]), text(&entry["act"])))
        .collect()
}

#[test]
fn an_operator_acts_on_a_running_and_on_a_stopped_deployment() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let (shop, orders) = with_dead_letters(data);
    let groups = dlq(data, &["groups"]);
    assert_eq!(groups.as_array().unwrap().len(), 1, "{groups:#}");
    assert_eq!(groups[0]["count"], 3);
    wait_for("the alarm", || {
        (shop.get("/readyz").json()["status"] == "attention").then_some(())
    });

    // What waits for an operator is neither lost nor at rest, and its order is not stuck.
    let (code, verdict) = verify(data);
    assert_eq!(code, 0, "{verdict:#}");
    assert_eq!(verdict["dead_letters"], json!({"dead": 3, "held": 0}));
    assert_eq!(verdict["orders_in_flight"], 3);

    // One is mended while the shop runs.
    let first = letter_of(data, &orders[0]);
    let shown = dlq(data, &["show", &first]);
    let mended = shown["payload"]["text"].as_str().unwrap();
    let file = data.join("mended.json");
    std::fs::write(&file, mended.replace("\"one\"", "\"two\"")).unwrap();
    let edit = [
        "dlq",
        "edit",
        &first,
        "--payload",
        file.to_str().unwrap(),
        "--reason",
        "a text",
    ];
    let (code, refused) = run(data, &edit);
    assert_eq!(code, 1, "{refused}");
    assert!(refused.contains("the edit of message"), "{refused}");
    std::fs::write(&file, mended.replace("\"one\"", "1")).unwrap();
    let (code, text) = run(data, &edit);
    assert_eq!(code, 0, "{text}");
    let replay = ["dlq", "replay", &first, "--reason", "mended", "--wait"];
    assert_eq!(run(data, &replay).0, 0);
    assert_eq!(shop.ended(&orders[0])["status"], "completed");

    // The others fail again; the exit code says so.
    let all = ["dlq", "replay", "--all", "--reason", "again", "--wait"];
    let (code, unconfirmed) = run(data, &all);
    assert_eq!(code, 2, "{unconfirmed}");
    assert!(unconfirmed.contains("--yes"), "{unconfirmed}");
    let (code, text) = run(data, &[&all[..], &["--yes"]].concat());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("2 failed"), "{text}");
    shop.stop();

    // The rest goes on while the shop is stopped.
    let second = letter_of(data, &orders[1]);
    assert_eq!(
        run(data, &["dlq", "discard", &second, "--reason", "lost"]).0,
        0
    );
    assert_eq!(
        run(data, &["dlq", "restore", &second, "--reason", "found"]).0,
        0
    );
    for order in &orders[1..] {
        let reference = letter_of(data, order);
        let shown = dlq(data, &["show", &reference]);
        let mended = shown["payload"]["text"].as_str().unwrap();
        std::fs::write(&file, mended.replace("\"one\"", "1")).unwrap();
        let edit = [
            "edit",
            &reference,
            "--payload",
            file.to_str().unwrap(),
            "--reason",
            "a text",
        ];
        dlq(data, &edit);
    }
    let jobs = dlq(
        data,
        &[
            "replay",
            "--service",
            "inventory",
            "--reason",
            "mended",
            "--yes",
        ],
    );
    assert_eq!(jobs[0]["state"], "running", "{jobs:#}");
    let shop = Shop::open(data);
    for order in &orders[1..] {
        assert_eq!(shop.ended(order)["status"], "completed");
    }
    assert_settles(data);
    let jobs = dlq(data, &["jobs"]);
    assert_eq!(jobs[0]["replayed"], 2, "{jobs:#}");

    let by_ada = ["edit", "restore", "discard"].map(|act| ("ada".to_owned(), act.to_owned()));
    assert_eq!(acts_on(data, &second), by_ada);
    shop.stop();
}

/// `verify` needs it for as long as it reads the message in the log.
#[test]
fn a_discarded_message_is_kept_as_long_as_the_log() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let (shop, orders) = with_dead_letters(data);
    shop.stop();
    let letter = letter_of(data, &orders[0]);
    let (code, text) = run(data, &["dlq", "discard", &letter, "--reason", "lost"]);
    assert_eq!(code, 0, "{text}");
    // A year ago.
    let past = "UPDATE dlq_messages SET resolved_at = resolved_at - 31536000000000 WHERE state = 'discarded'";
    assert_eq!(execute(data, "inventory", past), 1);
    let shop = Shop::open(data);
    wait_for("the replayer to remove old messages, and count", || {
        let ready = shop.get("/readyz").json();
        let mut services = ready["services"].as_array().unwrap().iter();
        let inventory = services.find(|it| it["service"] == "inventory").unwrap();
        (inventory["dead_letters"]["dead"] == 2).then_some(())
    });
    // The order is stuck; its message is neither lost nor without a reason.
    let (_, verdict) = verify(data);
    let mut broken = verdict["invariants"].as_array().unwrap().iter();
    assert!(
        !broken
            .any(|it| ["I5", "I6"].contains(&it["id"].as_str().unwrap()) && it["holds"] == false),
        "{verdict:#}"
    );
    run(data, &["dlq", "restore", &letter, "--reason", "found"]);
    assert_eq!(letter_of(data, &orders[0]), letter);
    shop.stop();
}

#[test]
fn every_service_answers_under_its_own_path() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let token = "0123456789abcdef";
    let arguments = ["--traffic", "off", "--operator-token", token];
    let shop = Shop::start(data, &arguments).unwrap();
    let ask = |method, path: &str, headers: &[(&str, &str)], body| {
        send(shop.address(), method, path, headers, body).unwrap()
    };
    let bearer = format!("Bearer {token}");
    let known = [("authorization", &*bearer)];
    let named = [("authorization", &*bearer), ("x-operator", "ada")];
    // Identity reads nothing.
    for service in [
        "order",
        "inventory",
        "payment",
        "shipping",
        "catalog",
        "notification",
        "analytics",
    ] {
        let groups = format!("/api/v1/dlq/{service}/groups");
        assert_eq!(ask("GET", &groups, &[], "").status, 401);
        let reply = ask("GET", &groups, &known, "");
        assert_eq!((reply.status, reply.json()), (200, json!([])));
        let act = format!("/api/v1/dlq/{service}/messages/1/replay");
        let reason = r#"{"reason":"mended"}"#;
        assert_eq!(ask("POST", &act, &known, reason).status, 401);
        let missing = ask("POST", &act, &named, reason);
        assert_eq!(missing.status, 404);
        assert_eq!(missing.json()["type"], "urn:mainstay:dlq:not-found");
    }
    let unknown = ask("GET", "/api/v1/dlq/gateway/groups", &known, "");
    assert_eq!(unknown.status, 404);
    shop.stop();
}

#[test]
fn a_message_that_the_broker_refuses_is_removed_without_sql() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let (_, text) = run(data, &["migrate"]);
    assert_eq!(text, "");
    // As a service writes it whose outbox takes larger messages than the broker.
    let large = if ON_A_SERVER {
        "decode(repeat('00', 2000000), 'hex')"
    } else {
        "zeroblob(2000000)"
    };
    let envelope = json!({"id": "large", "source": "/order", "kind": "OrderPlaced", "version": 1});
    let insert = format!(
        "INSERT INTO outbox (shard, topic, key, envelope, payload) VALUES (0, 'order', 'demo', '{envelope}', {large})"
    );
    assert_eq!(execute(data, "order", &insert), 1);
    let shop = Shop::open(data);
    let refused = wait_for("the broker to refuse it", || {
        let list = outbox(data, &["list"]);
        list.as_array().unwrap().first().cloned()
    });
    assert_eq!(refused["state"], "refused", "{refused:#}");
    assert_eq!(refused["message_id"], "large");
    let reference = format!("order/{}", refused["position"]);
    outbox(data, &["retry", &reference, "--reason", "once more"]);
    outbox(
        data,
        &[
            "discard",
            &reference,
            "--reason",
            "too large for any broker",
        ],
    );
    assert_eq!(outbox(data, &["list", "--all"]), json!([]));
    let audit = outbox(data, &["audit"]);
    assert_eq!(audit[0]["act"], "discard", "{audit:#}");
    assert_eq!(audit[0]["operator"], "ada");
    wait_for("the shop to be healthy", || {
        (shop.get("/readyz").json()["status"] == "ok").then_some(())
    });
    assert_settles(data);
    shop.stop();
}

fn outbox(data: &Path, words: &[&str]) -> Value {
    let words = [&["outbox"], words, &["--json"]].concat();
    let (code, text) = run(data, &words);
    assert_eq!(code, 0, "{words:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{words:?}: {text}"))
}
