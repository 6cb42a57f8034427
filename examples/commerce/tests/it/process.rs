//! The process: starts, refused starts, and exits.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Output,
};

use rustix::process::Signal;

use crate::{
    sandbox::{self, Sandbox, execute},
    shop::{Shop, assert_settles, body, command, verify, wait_for},
};
use commerce_chassis::ON_A_SERVER;

/// Runs a command that must fail, and returns its one line.
pub(crate) fn refused(arguments: &[&str], data: &Path) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = sandbox::at(command().args(arguments), data)
        .output()
        .unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(
        !status.success() && status.code().is_some(),
        "{arguments:?}: {status}"
    );
    assert!(stdout.is_empty(), "{arguments:?}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--traffic", "off"];

#[test]
fn a_refused_start_says_why_in_one_line() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path().join("data");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = refused(&["serve", "--listen", &address], &data);
    assert!(
        line.contains("cannot listen") && line.contains(&address),
        "{line}"
    );
    assert!(!data.exists(), "nothing was written");

    for (arguments, name) in [
        (["serve", "--traffic", "lots"], "traffic"),
        (["serve", "--listen", "here"], "listen"),
        (["serve", "--service", "bakery"], "bakery"),
        (
            ["serve", "--config", "no-such-file.toml"],
            "no-such-file.toml",
        ),
    ] {
        let line = refused(&arguments, &data);
        assert!(line.contains(name), "{line}");
    }
    let config = directory.path().join("commerce.toml");
    std::fs::write(&config, "trafic = \"5/s\"\n").unwrap();
    let line = refused(&["serve", "--config", config.to_str().unwrap()], &data);
    assert!(line.contains("trafic"), "{line}");

    let line = refused(&SERVE, Path::new(""));
    assert!(line.contains("data"), "{line}");
    let mut log = command();
    sandbox::at(log.args(SERVE), &data).env("COMMERCE_LOG", "loud");
    let line = String::from_utf8(log.output().unwrap().stderr).unwrap();
    assert!(line.contains("COMMERCE_LOG"), "{line}");

    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let line = refused(&SERVE, &file);
    assert!(line.contains("data directory"), "{line}");
}

#[test]
fn a_database_that_cannot_be_used_is_named_in_one_line() {
    for (name, damage) in [
        ("order", "damaged"),
        ("broker", "damaged"),
        ("payment", "folder"),
        ("psp", "folder"),
    ] {
        let Some(directory) = Sandbox::new() else {
            return;
        };
        if ON_A_SERVER && name != "broker" {
            continue;
        }
        let path = directory.path().join(format!("{name}.db"));
        if damage == "folder" {
            std::fs::create_dir(&path).unwrap();
        } else {
            std::fs::write(&path, "this file is not a database, ".repeat(100)).unwrap();
        }
        let line = refused(&SERVE, directory.path());
        assert!(line.contains(name), "{name}: {line}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let migrated = sandbox::at(command().arg("migrate"), directory.path())
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    execute(
        directory.path(),
        "inventory",
        "INSERT INTO inventory_schema (version, name, checksum) VALUES (99, 'from the future', 0)",
    );
    let line = refused(&SERVE, directory.path());
    assert!(line.contains("inventory") && line.contains("99"), "{line}");
}

#[test]
fn settings_come_from_flags_over_environment_over_file() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let config = directory.path().join("commerce.toml");
    std::fs::write(&config, "listen = \"from-the-file\"\n").unwrap();
    let mut command = command();
    command.arg("serve").arg("--config").arg(&config);
    let mut refused = |setting: &str| {
        let output = command.output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && line.contains(setting), "{line}");
        command.env("COMMERCE_LISTEN", "from-the-environment");
        if setting == "from-the-environment" {
            command.args(["--listen", "from-a-flag"]);
        }
    };
    refused("from-the-file");
    refused("from-the-environment");
    refused("from-a-flag");
}

#[test]
fn a_first_signal_drains_and_a_second_one_exits_at_once() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let order_id = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(shop.get(path).status, 200, "{path}");
    }
    // A request that never ends delays the drain.
    let mut stuck = TcpStream::connect(shop.address()).unwrap();
    stuck
        .write_all(b"POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k2\r\ncontent-length: 100\r\n\r\n{")
        .unwrap();
    // This request was answered later, so the stuck one was read.
    assert_eq!(shop.get("/healthz").status, 200);
    shop.signal(Signal::TERM);
    let address = shop.address().to_owned();
    wait_for("the port to be closed", || {
        TcpStream::connect(&address).is_err().then_some(())
    });
    // The request is still stuck, so this exit does not wait for it.
    shop.signal(Signal::INT);
    assert_eq!(shop.exit().code(), Some(130));

    // The next start continues the work in flight.
    let shop = Shop::open(directory.path());
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    assert_settles(shop.data());
    shop.signal(Signal::INT);
    assert!(shop.exit().success());
}

/// Clients that send nothing, or a part of a request, block neither other clients nor the exit.
#[test]
fn silent_clients_block_nobody() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let silent: Vec<_> = (0..520)
        .map(|_| TcpStream::connect(shop.address()).unwrap())
        .collect();
    // Waits for a permit.
    assert_eq!(shop.get("/healthz").status, 200);
    drop(silent);
    let mut stuck = TcpStream::connect(shop.address()).unwrap();
    stuck
        .write_all(b"POST /api/v1/orders HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\ncontent-length: 100\r\n\r\n{")
        .unwrap();
    assert_eq!(shop.get("/healthz").status, 200);
    shop.stop();
}

#[test]
fn a_target_that_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", silent.local_addr().unwrap());
    let output = command()
        .args(["load", "--target", &target])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("no answer"), "{line}");
}

#[test]
fn verify_says_when_it_cannot_check() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let (code, line) = verify(&directory.path().join("nowhere"));
    assert_eq!(code, 2, "{line}");
    assert!(line.as_str().unwrap().contains("broker"), "{line}");
}

#[test]
fn verify_says_what_it_waits_for_under_traffic() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::start(directory.path(), &["--traffic", "50/s"]).unwrap();
    // On a busy machine the first look alone may take longer than a short wait.
    let mut settle = 1;
    let said = wait_for("a wait under traffic", || {
        settle *= 2;
        let mut verify = command();
        verify.args(["verify", "--settle", &settle.to_string()]);
        let output = sandbox::at(&mut verify, directory.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let waited = said.contains("waiting at most") && said.contains("still has in progress");
        waited.then_some(said)
    });
    let mut lines = said.lines();
    let (first, last) = (lines.next().unwrap(), lines.next_back().unwrap());
    let limit = format!("waiting at most {settle} s");
    assert!(first.starts_with(&limit), "{said}");
    assert!(first.contains("in progress: "), "{said}");
    assert!(last.contains("stop its traffic"), "{said}");
    shop.stop();
}

#[test]
fn load_places_orders_and_reports_how_they_ended() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let target = format!("http://{}", shop.address());
    let output = command()
        .args([
            "load", "--json", "--orders", "30", "--rate", "60", "--target", &target,
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["answered_by_status"]["202 Accepted"], 30,
        "{report:#}"
    );
    let ends = &report["orders_by_status"];
    let ended = |status: &str| ends[status].as_u64().unwrap_or(0);
    assert_eq!(ended("completed") + ended("cancelled"), 30, "{report:#}");
    shop.stop();

    let nobody = command()
        .args(["load", "--target", &target])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(2));
    assert_eq!(String::from_utf8(nobody.stderr).unwrap().lines().count(), 1);
}

#[test]
fn a_run_of_a_saga_that_waits_for_an_operator_is_told() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let order = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&order)["status"], "completed");
    let says = |status: &str| {
        let ready = wait_for(status, || {
            Some(shop.get("/readyz").json()).filter(|ready| ready["status"] == status)
        });
        let mut services = ready["services"].as_array().unwrap().iter();
        let order = services.find(|it| it["service"] == "order");
        order.unwrap()["sagas"].clone()
    };
    assert_eq!(says("ok")["overdue"], 0);
    for (is_overdue, status) in [("1 = 1", "attention"), ("1 = 0", "ok")] {
        let mark = format!("UPDATE saga_runs SET is_overdue = ({is_overdue})");
        assert_eq!(execute(shop.data(), "order", &mark), 1);
        assert_eq!(says(status)["overdue"], u8::from(status != "ok"));
    }
    // And counted, beside what the shop has sold.
    let metrics = shop.get("/metrics").body;
    for line in [
        r#"commerce_stalled_sagas{service="order",state="overdue"} 0"#,
        r#"commerce_orders_placed{currency="EUR"} 1"#,
        "commerce_orders_completed 1",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    shop.stop();
}
