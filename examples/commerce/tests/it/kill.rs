//! Twenty times `kill -9` under traffic: ten at named points, ten at random moments. No acknowledged order is lost, none
//! is stuck, nothing happens twice. `verify` is killed, too: while it looks at what a killed shop left behind.

use std::{
    collections::BTreeMap, os::unix::process::ExitStatusExt, path::Path, process::Stdio,
    sync::atomic::AtomicBool, thread, time::Duration,
};

use commerce_chassis::ON_A_SERVER;
use mainstay_clock::{IdGenerator, SeededIds};

use crate::{
    customer::{Closing, Told, customer},
    ground::{self, Ground},
    shop::{Shop, assert_holds, command, verify, wait_for},
};

/// The first two hit the first start, when there is nothing but half a schema.
const POINTS: [&str; 10] = [
    "during-migration:1",
    "during-migration:6",
    "before-commit:30",
    "after-commit:25",
    "after-publish:4",
    "after-effect:2",
    "before-commit:200",
    "after-commit:150",
    "after-publish:40",
    "after-effect:20",
];

/// A pace that is kept up with on a busy machine: the point is to hit work in flight, not to build a backlog.
const TRAFFIC: [&str; 2] = ["--traffic", "10/s"];
const SEED: u64 = 20_260_801;

#[test]
fn twenty_kills_lose_nothing_and_do_nothing_twice() {
    let Some(directory) = Ground::new() else {
        return;
    };
    let data = directory.path().join("data");
    // What a client was told, by key: (body, answer).
    let mut acknowledged: BTreeMap<String, (String, String)> = BTreeMap::new();
    let seed = std::env::var("KILL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(SEED);
    println!("KILL_SEED={seed}");
    let random = SeededIds::new(seed);
    let mut verifies_killed = 0;

    for (round, point) in POINTS.iter().enumerate() {
        match Shop::start(&data, &TRAFFIC, Some(point)) {
            Err(status) => assert_eq!(
                status.code(),
                None,
                "killed at {point}, not failed: {status}"
            ),
            Ok(shop) => {
                let placed = shop_until_killed(shop, &format!("named-{round}"), None);
                acknowledged.extend(placed);
            }
        }
        verifies_killed += u32::from(is_sound_when_looked_at(&data, point));
    }
    for round in 0..10 {
        let moment = Duration::from_millis(50 + random.random() % 4_000);
        let shop = Shop::start(&data, &TRAFFIC, None).unwrap();
        acknowledged.extend(shop_until_killed(
            shop,
            &format!("random-{round}"),
            Some(moment),
        ));
        let when = format!("after {moment:?}");
        verifies_killed += u32::from(is_sound_when_looked_at(&data, &when));
    }
    assert!(verifies_killed > 0, "no `verify` was killed");

    let shop = Shop::open(&data);
    let verdict = assert_holds(&data, 60);
    assert_eq!(verdict["orders_in_flight"], 0, "{verdict:#}");
    assert!(
        acknowledged.len() > 50,
        "{} orders are no traffic",
        acknowledged.len()
    );
    for (key, (body, answer)) in &acknowledged {
        let again = shop.order(key, body);
        assert_eq!(
            (again.status, &again.body),
            (202, answer),
            "{key} was acknowledged"
        );
        let status = shop.ended(&again.order_id())["status"].clone();
        assert!(
            status == "completed" || status == "cancelled",
            "{key}: {status}"
        );
    }
    shop.stop();
    assert_holds(&data, 0);
}

/// A customer orders until the shop is gone: killed by itself, or by us at the given moment.
fn shop_until_killed(
    shop: Shop,
    name: &str,
    moment: Option<Duration>,
) -> BTreeMap<String, (String, String)> {
    let address = shop.address().to_owned();
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        let customer = scope.spawn(|| {
            let mut answers = BTreeMap::new();
            let tell = |Told { key, body, answer }| {
                answers.insert(key, (body, answer.body));
            };
            customer(&address, name, Duration::from_millis(15), &gone, tell);
            answers
        });
        let closing = Closing(&gone);
        match moment {
            Some(moment) => {
                thread::sleep(moment);
                shop.kill();
            }
            None => assert_eq!(shop.exit().code(), None, "killed, not failed"),
        }
        drop(closing);
        customer.join().unwrap()
    })
}

/// Right after a kill: what is in flight is in flight, and nothing is broken. Before the first start came to its end
/// there is nothing to check. Whether the first look was killed.
fn is_sound_when_looked_at(data: &Path, when: &str) -> bool {
    let struck = kill_verify(data);
    let (code, verdict) = verify(data, 0);
    let nothing_yet = code == 2 && when.starts_with("during-migration");
    assert!(code == 0 || nothing_yet, "killed {when}: {verdict:#}");
    struck
}

/// Starts `verify`, which brings in what the write-ahead logs hold, and kills it while it has a database open; unless it
/// ends before that. Whether it was killed.
fn kill_verify(data: &Path) -> bool {
    let mut looking = ground::at(command().arg("verify"), data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id = looking.id();
    wait_for("`verify` to open a database, or to end", || {
        let ended = looking.try_wait().unwrap().is_some();
        (ended || has_a_database_open(id, data)).then_some(())
    });
    looking.kill().unwrap();
    looking.wait().unwrap().signal().is_some()
}

/// As the system sees it: a file of a database, or a connection to the server.
fn has_a_database_open(id: u32, data: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{id}/fd"))
        .into_iter()
        .flatten();
    let open: Vec<String> = open
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    if !ON_A_SERVER {
        return open
            .iter()
            .any(|target| Path::new(target).extension().is_some_and(|it| it == "db"));
    }
    let port = format!(":{:04X}", ground::server_of(data).get_port());
    let connections: String = ["tcp", "tcp6"]
        .iter()
        .filter_map(|kind| std::fs::read_to_string(format!("/proc/{id}/net/{kind}")).ok())
        .collect();
    connections.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, _, remote, state, _, _, _, _, _, inode, ..] = columns.as_slice() else {
            return false;
        };
        let established = "01";
        remote.ends_with(&port)
            && *state == established
            && open.contains(&format!("socket:[{inode}]"))
    })
}
