//! A database and the log that it was used with: neither does without the other, and a start with another log is refused.

use std::{
    path::Path,
    process::{Command, Output},
    thread,
};

use commerce_chassis::ON_A_SERVER;

use crate::{
    ground::{self, Ground, count, execute, text},
    server::refused,
    shop::{Shop, assert_holds, body, command, verify},
};

const SERVICES: [&str; 4] = ["order", "inventory", "payment", "shipping"];
const ID_OF_LOG: &str = "SELECT id FROM broker_identity";
const LOG_OF_DATABASE: &str = "SELECT log_id FROM belonging";

fn migrate(data: &Path) -> Command {
    let mut migrate = command();
    ground::at(migrate.arg("migrate"), data);
    migrate
}

fn serve(data: &Path) -> Command {
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--traffic", "off"]);
    ground::at(&mut serve, data);
    serve
}

/// Takes the log away from a deployment that is stopped, or puts it back in place of the one that is there; with what the
/// last process left beside it.
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

/// Puts another log there, in place of the one that was moved to `from`.
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

/// The log's id, which all databases of the deployment have to name.
fn agreed(data: &Path) -> String {
    let id = text(data, "broker", ID_OF_LOG);
    for service in SERVICES {
        assert_eq!(text(data, service, LOG_OF_DATABASE), id, "{service}");
    }
    id
}

/// A stopped deployment with an order that came to its end.
fn sold(data: &Path) -> String {
    let shop = Shop::open(data);
    let order_id = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    assert_holds(data, 30);
    shop.stop();
    order_id
}

#[test]
fn a_database_is_not_started_with_another_log() {
    let Some(ground) = Ground::new() else { return };
    let data = ground.path();
    let order_id = sold(data);
    let id = agreed(data);
    let aside = tempfile::tempdir().unwrap();
    move_log(data, aside.path());

    let mut verify_it = command();
    ground::at(verify_it.arg("verify"), data);
    let mut refuse = |found: &str| {
        // Serving comes last: where it is not refused, it does not end.
        let lines = [&mut migrate(data), &mut verify_it, &mut serve(data)].map(refused);
        for line in &lines {
            for part in [
                "order",
                "belongs to another log",
                "Nothing was changed",
                "fresh --data",
                end_of(&id),
                found,
            ] {
                assert!(line.contains(part), "no {part:?} in: {line}");
            }
        }
        let serving = &lines[2];
        assert!(serving.contains("order service cannot start"), "{serving}");
    };
    refuse("there is none in");
    assert!(!data.join("broker.db").exists(), "nobody made a new log");
    let other = put_another_log(aside.path(), data);
    refuse(end_of(&other));
    assert_eq!(verify(data, 0).0, 2, "not an answer: no question");
    // A process of one service says so of that one.
    let line = refused(serve(data).args(["--service", "shipping"]));
    assert!(line.contains("shipping service cannot start"), "{line}");
    let records = "SELECT count(*) FROM broker_records";
    assert_eq!(
        count(data, "broker", records),
        0,
        "nobody wrote to the other log"
    );

    // With the log that it was used with, everything is as it was.
    move_log(aside.path(), data);
    assert_eq!(agreed(data), id);
    assert_holds(data, 0);
    let shop = Shop::open(data);
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let next = shop.accept("k2", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&next)["status"], "completed");
    assert_holds(data, 30);
    shop.stop();
}

/// A file that the other log left beside it would be taken for a part of the right one, and overwrite it.
#[test]
fn a_log_that_is_put_back_after_a_refusal_is_whole() {
    let Some(ground) = Ground::new() else { return };
    let data = ground.path();
    sold(data);
    let id = agreed(data);
    // All of it in one file, which is moved away and back as people do it.
    execute(data, "broker", "PRAGMA wal_checkpoint(TRUNCATE)");
    let records = "SELECT count(*) FROM broker_records";
    let written = count(data, "broker", records);
    let aside = tempfile::tempdir().unwrap();
    move_log(data, aside.path());
    assert!(!aside.path().join("broker.db-wal").exists());
    put_another_log(aside.path(), data);
    for refuse in [&mut migrate(data), &mut serve(data)] {
        refused(refuse);
        assert!(!data.join("broker.db-wal").exists(), "left beside it");
    }
    std::fs::rename(aside.path().join("broker.db"), data.join("broker.db")).unwrap();
    assert_eq!(agreed(data), id);
    assert_eq!(count(data, "broker", records), written);
    assert_holds(data, 0);
}

/// Otherwise the right log would be refused afterwards, or an older build.
#[test]
fn a_start_that_is_refused_changes_nothing() {
    let Some(ground) = Ground::new() else { return };
    let data = ground.path();
    assert!(migrate(data).output().unwrap().status.success());
    let id = agreed(data);
    // Order comes first, and is of before there were ids; inventory is new to logs; shipping comes last, and is not.
    execute(data, "order", "DROP TABLE belonging");
    execute(data, "order", "DROP TABLE belonging_schema");
    execute(data, "inventory", "DELETE FROM belonging");
    ground::drop_database(data, "payment");
    let aside = tempfile::tempdir().unwrap();
    move_log(data, aside.path());
    let databases = ground::databases(data);
    for line in [&mut migrate(data), &mut serve(data)].map(refused) {
        assert!(line.contains("of shipping"), "{line}");
        assert!(line.contains("Nothing was changed"), "{line}");
    }
    assert_eq!(ground::databases(data), databases);
    assert_eq!(count(data, "order", ground::BELONGINGS), 0, "not migrated");
    let belongs = "SELECT count(*) FROM belonging";
    assert_eq!(count(data, "inventory", belongs), 0);
    move_log(aside.path(), data);
    assert!(migrate(data).output().unwrap().status.success());
    assert_eq!(agreed(data), id);
}

#[test]
fn a_deployment_of_before_gets_an_id_and_goes_on() {
    let Some(ground) = Ground::new() else { return };
    let data = ground.path();
    let order_id = sold(data);
    for service in SERVICES {
        execute(data, service, "DROP TABLE belonging");
        execute(data, service, "DROP TABLE belonging_schema");
    }
    execute(data, "broker", "DROP TABLE broker_identity");
    execute(
        data,
        "broker",
        "DELETE FROM broker_schema WHERE version = 2",
    );
    // It says nothing about logs, and `verify` writes nothing down.
    assert_holds(data, 0);

    let shop = Shop::open(data);
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let next = shop.accept("k2", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&next)["status"], "completed");
    assert_holds(data, 30);
    shop.stop();
    let id = agreed(data);
    Shop::open(data).stop();
    assert_eq!(agreed(data), id);
}

#[test]
fn processes_that_start_at_once_on_a_new_log_and_new_databases_agree() {
    // A start on a server takes its time.
    for _ in 0..if ON_A_SERVER { 1 } else { 5 } {
        let Some(ground) = Ground::new() else { return };
        let data = ground.path();
        for output in at_once((0..4).map(|_| migrate(data)).collect()) {
            assert!(output.status.success(), "{output:?}");
        }
        agreed(data);
    }
}

/// On a server, new databases may meet two logs at once. Files lie beside their log.
#[test]
fn of_two_logs_that_come_to_new_databases_at_once_one_gets_them() {
    let Some(ground) = Ground::new().filter(|_| ON_A_SERVER) else {
        return;
    };
    let directories = ["one", "other"].map(|name| ground.path().join(name));
    let commands = directories.each_ref().map(|data| {
        let mut migrate = command();
        migrate.arg("migrate").arg("--data").arg(data);
        ground::with_databases_of(ground.path(), &mut migrate);
        migrate
    });
    let outcomes = at_once(commands.into());
    let has_won = |output: &&Output| output.status.success();
    assert_eq!(outcomes.iter().filter(has_won).count(), 1, "{outcomes:?}");
    let winner = outcomes.iter().position(|output| has_won(&output)).unwrap();
    let told = String::from_utf8_lossy(&outcomes[1 - winner].stderr);
    assert!(told.contains("belongs to another log"), "{told}");
    // Or it looked when the other one was done.
    let first = told.contains("Another start came first");
    assert!(first || told.contains("Nothing was changed"), "{told}");
    let id = text(&directories[winner], "broker", ID_OF_LOG);
    for service in SERVICES {
        assert_eq!(
            text(ground.path(), service, LOG_OF_DATABASE),
            id,
            "{service}"
        );
    }
}

/// Runs all of them side by side.
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
