//! What may be wrong with a server, as `serve` tells it: one line with what to do, exit code 1, no password. What heals
//! does so under a shop that runs.

use std::path::Path;

use mainstay_testkit::{SmallDisk, postgres::OldServer};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    ground::{self, Ground, on, on_the_server, prefix, server_of, server_options},
    server::{PASSWORD, on_a_server, refused},
    shop::{Shop, assert_holds, body, command, wait_for},
};

/// The line of a `serve` that does not come up.
fn serve(data: &Path, url: Option<String>) -> String {
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--traffic", "off"]);
    ground::at(&mut serve, data);
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
fn what_is_wrong_with_the_server_is_one_line_that_says_what_to_do() {
    let Some(ground) = on_a_server() else { return };
    let guest = format!("{}guest", prefix(ground.path()));
    let database = format!("{}order", prefix(ground.path()));
    run(&format!(
        "CREATE ROLE {guest} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0"
    ));
    run(&format!("CREATE DATABASE {database}"));
    let server = server_options();
    let at = |user: &str, password: &str, port: u16| {
        let host = server.get_host();
        let url = format!("postgres://{user}:{password}@{host}:{port}/postgres");
        serve(ground.path(), Some(url))
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
        ground.path(),
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
fn a_shop_whose_servers_disk_is_full_goes_on_once_there_is_room() {
    let suite = "commerce on a full disk";
    if !commerce_chassis::ON_A_SERVER {
        return;
    }
    let Some(disk) = SmallDisk::for_suite(suite, 128).unwrap() else {
        return;
    };
    let Some(ground) = Ground::with_server() else {
        return;
    };
    let data = ground.path();
    on(&server_of(data), async |connection| {
        let path = disk.path().display();
        let create = format!("CREATE TABLESPACE small LOCATION '{path}'");
        connection.execute(AssertSqlSafe(create)).await.unwrap();
        for name in ground::DATABASES {
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
    let refused = wait_for("an order that there is no room for", || {
        let reply = shop.order(&format!("k{number}"), &order);
        if reply.status == 202 {
            accepted.push(reply.order_id());
            number += 1;
            return None;
        }
        Some(reply)
    });
    assert_eq!(refused.status, 503, "{refused:?}");
    wait_for("the shop to say why", || {
        let ready = shop.get("/readyz").body;
        ready.contains("disk is full: make room").then_some(())
    });

    disk.make_room().unwrap();
    let again = wait_for("the order to be accepted", || {
        Some(shop.order(&format!("k{number}"), &order)).filter(|reply| reply.status == 202)
    });
    accepted.push(again.order_id());
    for order_id in &accepted {
        assert_eq!(shop.ended(order_id)["status"], "completed");
    }
    let verdict = assert_holds(data, 60);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    shop.stop();
}
