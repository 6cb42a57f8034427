//! A service's database is bound to its log: a start with another log is refused.

use std::{
    path::Path,
    process::{Command, Output},
    thread,
};

use commerce_chassis::ON_A_SERVER;

use crate::{
    sandbox::{self, Sandbox, count, execute, text},
    server::refused,
    shop::{Shop, assert_holds, assert_settles, body, command, verify},
};

const SERVICES: [&str; 8] = [
    "order",
    "inventory",
    "payment",
    "shipping",
    "catalog",
    "identity",
    "notification",
    "analytics",
];
const ID_OF_LOG: &str = "SELECT id FROM broker_identity";
const BOUND_LOG: &str = "SELECT log_id FROM log_binding";

fn migrate(data: &Path) -> Command {
    let mut migrate = command();
    sandbox::at(migrate.arg("migrate"), data);
    migrate
}

fn serve(data: &Path) -> Command {
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--traffic", "off"]);
    sandbox::at(&mut serve, data);
    serve
}

/// Moves the log of a stopped deployment with the files beside it, and replaces the one at `to`.
fn move_log(from: &Path, to: &Path) {
    for name in ["broker.db", "broker.db-wal", "broker.db-shm"] {
        if to.join(name).exists() {
            std::fs::remove_file(to.join(name)).unwrap();
        }
        if from.join(name).exists() {
            std::fs::rename(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// Puts another log into `data`. It is a copy of the one in `from`, with another id and no records.
fn put_another_log(from: &Path, data: &Path) -> String {
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
    }
    let other = "01980000-0000-7000-8000-0123456789ab";
    let rename = format!("UPDATE broker_identity SET id = '{other}'");
    execute(data, "broker", &rename);
    execute(data, "broker", "DELETE FROM broker_records");
    other.to_owned()
}

fn end_of(id: &str) -> &str {
    &id[id.len() - 8..]
}

/// The log's id, after asserting that all databases are bound to it.
fn bound_log(data: &Path) -> String {
    let id = text(data, "broker", ID_OF_LOG);
    for service in SERVICES {
        assert_eq!(text(data, service, BOUND_LOG), id, "{service}");
    }
    id
}

/// A stopped deployment with a completed order.
fn sold(data: &Path) -> String {
    let shop = Shop::open(data);
    let order_id = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    assert_settles(data);
    shop.stop();
    order_id
}

#[test]
fn a_database_is_not_started_with_another_log() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let order_id = sold(data);
    let id = bound_log(data);
    let aside = tempfile::tempdir().unwrap();
    move_log(data, aside.path());

    let mut verify_it = command();
    sandbox::at(verify_it.arg("verify"), data);
    let mut refuse = |found: &str| {
        // `serve` comes last: if it is not refused, it does not end.
        let lines = [&mut migrate(data), &mut verify_it, &mut serve(data)].map(refused);
        for line in &lines {
            for part in [
                "order",
                "is bound to log",
                "Nothing was changed",
                "new --data",
                end_of(&id),
                found,
            ] {
                assert!(line.contains(part), "no {part:?} in: {line}");
            }
        }
        let serving = &lines[2];
        assert!(serving.contains("order service cannot start"), "{serving}");
    };
    refuse("there is no log in");
    assert!(!data.join("broker.db").exists(), "no log was created");
    let other = put_another_log(aside.path(), data);
    refuse(end_of(&other));
    assert_eq!(verify(data).0, 2, "the deployment cannot be checked");
    // A process of one service names that service.
    let line = refused(serve(data).args(["--service", "shipping"]));
    assert!(line.contains("shipping service cannot start"), "{line}");
    let records = "SELECT count(*) FROM broker_records";
    assert_eq!(
        count(data, "broker", records),
        0,
        "nothing was written to the other log"
    );

    // With its own log, the deployment works as before.
    move_log(aside.path(), data);
    assert_eq!(bound_log(data), id);
    assert_holds(data);
    let shop = Shop::open(data);
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let next = shop.accept("k2", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&next)["status"], "completed");
    assert_settles(data);
    shop.stop();
}

/// SQLite would apply a write-ahead log that the other log left behind to the right one.
#[test]
fn a_log_that_is_put_back_after_a_refusal_is_whole() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    sold(data);
    let id = bound_log(data);
    // Checkpoint, so that an operator can move the log as one file.
    execute(data, "broker", "PRAGMA wal_checkpoint(TRUNCATE)");
    let records = "SELECT count(*) FROM broker_records";
    let written = count(data, "broker", records);
    let aside = tempfile::tempdir().unwrap();
    move_log(data, aside.path());
    assert!(!aside.path().join("broker.db-wal").exists());
    put_another_log(aside.path(), data);
    for refuse in [&mut migrate(data), &mut serve(data)] {
        refused(refuse);
        assert!(
            !data.join("broker.db-wal").exists(),
            "a write-ahead log was left behind"
        );
    }
    std::fs::rename(aside.path().join("broker.db"), data.join("broker.db")).unwrap();
    assert_eq!(bound_log(data), id);
    assert_eq!(count(data, "broker", records), written);
    assert_holds(data);
}

/// Otherwise the right log, or an older build, would be refused afterwards.
#[test]
fn a_start_that_is_refused_changes_nothing() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    assert!(migrate(data).output().unwrap().status.success());
    let id = bound_log(data);
    // Order has no table of its binding, inventory is unbound, payment is missing, shipping is
    // bound.
    execute(data, "order", "DROP TABLE log_binding");
    execute(data, "order", "DROP TABLE log_binding_schema");
    execute(data, "inventory", "DELETE FROM log_binding");
    sandbox::drop_database(data, "payment");
    let aside = tempfile::tempdir().unwrap();
    move_log(data, aside.path());
    let databases = sandbox::databases(data);
    for line in [&mut migrate(data), &mut serve(data)].map(refused) {
        assert!(line.contains("the shipping service"), "{line}");
        assert!(line.contains("Nothing was changed"), "{line}");
    }
    assert_eq!(sandbox::databases(data), databases);
    assert_eq!(
        count(data, "order", sandbox::LOG_BINDINGS),
        0,
        "not migrated"
    );
    let belongs = "SELECT count(*) FROM log_binding";
    assert_eq!(count(data, "inventory", belongs), 0);
    move_log(aside.path(), data);
    assert!(migrate(data).output().unwrap().status.success());
    assert_eq!(bound_log(data), id);
}

#[test]
fn a_deployment_without_ids_gets_one_and_continues() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let order_id = sold(data);
    for service in SERVICES {
        execute(data, service, "DROP TABLE log_binding");
        execute(data, service, "DROP TABLE log_binding_schema");
    }
    execute(data, "broker", "DROP TABLE broker_identity");
    execute(
        data,
        "broker",
        "DELETE FROM broker_schema WHERE version = 2",
    );
    // `verify` accepts the unbound databases, and binds none.
    assert_holds(data);

    let shop = Shop::open(data);
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let next = shop.accept("k2", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&next)["status"], "completed");
    assert_settles(data);
    shop.stop();
    let id = bound_log(data);
    Shop::open(data).stop();
    assert_eq!(bound_log(data), id);
}

#[test]
fn processes_that_start_at_once_on_a_new_log_and_new_databases_agree() {
    // A start on a server is slow.
    for _ in 0..if ON_A_SERVER { 1 } else { 5 } {
        let Some(sandbox) = Sandbox::new() else {
            return;
        };
        let data = sandbox.path();
        for output in at_once((0..4).map(|_| migrate(data)).collect()) {
            assert!(output.status.success(), "{output:?}");
        }
        bound_log(data);
    }
}

/// On a server, two starts with different logs may race for new databases. Files share their log's
/// directory.
#[test]
fn of_two_logs_that_race_for_new_databases_one_gets_them() {
    let Some(sandbox) = Sandbox::new().filter(|_| ON_A_SERVER) else {
        return;
    };
    let directories = ["one", "other"].map(|name| sandbox.path().join(name));
    let commands = directories.each_ref().map(|data| {
        let mut migrate = command();
        migrate.arg("migrate").arg("--data").arg(data);
        sandbox::with_databases_of(sandbox.path(), &mut migrate);
        migrate
    });
    let outcomes = at_once(commands.into());
    let has_won = |output: &&Output| output.status.success();
    assert_eq!(outcomes.iter().filter(has_won).count(), 1, "{outcomes:?}");
    let winner = outcomes.iter().position(|output| has_won(&output)).unwrap();
    let refusal = String::from_utf8_lossy(&outcomes[1 - winner].stderr);
    assert!(refusal.contains("is bound to log"), "{refusal}");
    // Either it lost the race, or it started after the other one had ended.
    let first = refusal.contains("Another start came first");
    assert!(
        first || refusal.contains("Nothing was changed"),
        "{refusal}"
    );
    let id = text(&directories[winner], "broker", ID_OF_LOG);
    for service in SERVICES {
        assert_eq!(text(sandbox.path(), service, BOUND_LOG), id, "{service}");
    }
}

/// Runs all commands concurrently.
fn at_once(commands: Vec<Command>) -> Vec<Output> {
    thread::scope(|scope| {
        let running: Vec<_> = commands
            .into_iter()
            .map(|mut command| scope.spawn(move || command.output().unwrap()))
            .collect();
        let ended = running.into_iter().map(|process| process.join().unwrap());
        ended.collect()
    })
}
