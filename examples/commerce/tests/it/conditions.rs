//! Faults of a server: `serve` prints one line that says what to do, without the password, and
//! exits with 1. A running shop survives faults that heal.

use std::path::Path;

use mainstay_testkit::{SmallDisk, postgres::OldServer};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    sandbox::{self, Sandbox, on, on_the_server, prefix, server_of, server_options},
    server::{PASSWORD, on_a_server, refused},
    shop::{Shop, assert_settles, body, command, wait_for},
};

/// The line of a `serve` that does not start.
fn serve(data: &Path, url: Option<String>) -> String {
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--traffic", "off"]);
    sandbox::at(&mut serve, data);
    if let Some(url) = url {
        serve.env("COMMERCE_POSTGRES", url);
    }
    refused(&mut serve)
}

fn run(sql: &str) {
    on_the_server(async |connection| {
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
    });
}

#[test]
fn a_fault_of_the_server_is_one_line_that_says_what_to_do() {
    let Some(sandbox) = on_a_server() else { return };
    let guest = format!("{}guest", prefix(sandbox.path()));
    let database = format!("{}order", prefix(sandbox.path()));
    run(&format!(
        "CREATE ROLE {guest} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0"
    ));
    run(&format!("CREATE DATABASE {database}"));
    let server = server_options();
    let at = |user: &str, password: &str, port: u16| {
        let host = server.get_host();
        let url = format!("postgres://{user}:{password}@{host}:{port}/postgres");
        serve(sandbox.path(), Some(url))
    };
    let assert_says = |line: String, words: &[&str]| {
        for word in words {
            assert!(line.contains(word), "no {word:?} in: {line}");
        }
    };
    let port = server.get_port();
    assert_says(
        at(&guest, &format!("{PASSWORD}-no"), port),
        &[&database, &guest, "check the user, the password"],
    );
    assert_says(
        at(&guest, PASSWORD, port),
        &["too many connections", "raise its max_connections"],
    );
    run(&format!("ALTER ROLE {guest} CONNECTION LIMIT -1"));
    assert_says(
        at(&guest, PASSWORD, port),
        &["permission denied", "have the owner grant it"],
    );
    let old = OldServer::start("130023").unwrap();
    let line = serve(
        sandbox.path(),
        Some(format!(
            "postgres://u:{PASSWORD}@127.0.0.1:{}/u",
            old.port()
        )),
    );
    assert_says(line, &["PostgreSQL 13", "14 or newer is needed"]);
    run(&format!("DROP DATABASE {database}"));
    run(&format!("DROP ROLE {guest}"));
}

#[test]
fn a_shop_on_a_full_disk_of_the_server_resumes_once_there_is_space() {
    let suite = "commerce on a full disk";
    if !commerce_chassis::ON_A_SERVER {
        return;
    }
    let Some(disk) = SmallDisk::for_suite(suite, 128).unwrap() else {
        return;
    };
    let Some(sandbox) = Sandbox::with_server() else {
        return;
    };
    let data = sandbox.path();
    on(&server_of(data), async |connection| {
        let path = disk.path().display();
        let create = format!("CREATE TABLESPACE small LOCATION '{path}'");
        connection.execute(AssertSqlSafe(create)).await.unwrap();
        for name in sandbox::DATABASES {
            let create = format!("CREATE DATABASE {}{name} TABLESPACE small", prefix(data));
            connection.execute(AssertSqlSafe(create)).await.unwrap();
        }
    });
    disk.fill().unwrap();
    let line = serve(data, None);
    assert!(line.contains("disk is full: make room"), "{line}");
    disk.make_room().unwrap();

    let shop = Shop::open(data);
    let order = body(&[("SKU-001", 1)], "pm_ok");
    let mut accepted = vec![shop.accept("first", &order)];
    disk.fill().unwrap();
    let mut number = 0;
    let mut place = || {
        let reply = shop.order(&format!("k{number}"), &order);
        if reply.status == 202 {
            accepted.push(reply.order_id());
            number += 1;
        }
        reply
    };
    wait_for("the shop to report the full disk", || {
        // A shop that has nothing to write does not notice.
        if place().status != 202 {
            disk.make_room().unwrap();
            (0..20).for_each(|_| drop(place()));
            disk.fill().unwrap();
        }
        let ready = shop.get("/readyz").body;
        ready.contains("disk is full: make room").then_some(())
    });
    let refused = wait_for("an order that does not fit on the disk", || {
        Some(place()).filter(|reply| reply.status != 202)
    });
    assert_eq!(refused.status, 503, "{refused:?}");

    disk.make_room().unwrap();
    let again = wait_for("the order to be accepted", || {
        Some(shop.order(&format!("k{number}"), &order)).filter(|reply| reply.status == 202)
    });
    accepted.push(again.order_id());
    for order_id in &accepted {
        // One that found no room for long enough was given up.
        let ended = shop.ended(order_id);
        let gave_up = ended.to_string().contains("timed_out");
        assert!(ended["status"] == "completed" || gave_up, "{ended:#}");
    }
    // There was room for the last one.
    let last = shop.ended(accepted.last().unwrap());
    assert_eq!(last["status"], "completed", "{last:#}");
    let verdict = assert_settles(data);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    shop.stop();
}
