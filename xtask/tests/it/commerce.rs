//! The application as many processes: started, found again, mended and stopped. A stand-in serves, since only its processes
//! matter here; the tests of the application itself are in examples/commerce.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Lists two services, and serves until it is killed. The service `payment` fails where a file says so.
const STAND_IN: &str = r#"
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["services"] {
        println!("order\npayment");
        return;
    }
    let settings = ["COMMERCE_DATA", "COMMERCE_POSTGRES", "COMMERCE_REDIS_URL", "COMMERCE_KAFKA"];
    for name in settings {
        eprintln!("{name}={}", std::env::var(name).unwrap());
    }
    if words.contains(&"payment".to_owned()) && std::path::Path::new("broken").exists() {
        eprintln!("this till is stuck");
        std::process::exit(3);
    }
    eprintln!("{}", words.join(" "));
    // Its own id in place of a free port.
    let after = |word: &str| words.iter().skip_while(|it| *it != word).nth(1).unwrap();
    match after("--listen").as_str() {
        "127.0.0.1:0" => println!("ready http://127.0.0.1:{}", std::process::id()),
        address => println!("ready http://{address}"),
    }
    loop {
        std::thread::park();
    }
}
"#;

/// What it is told of servers, none of which is ever asked.
const SERVERS: [(&str, &str); 2] = [
    ("MAINSTAY_POSTGRES_URL", "postgres://127.0.0.1:1"),
    ("MAINSTAY_REDIS_URL", "redis://127.0.0.1:1"),
];

/// A checkout of its own; what runs in it goes with it.
struct Checkout {
    folder: PathBuf,
    kafka: Cell<&'static str>,
}

impl Checkout {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = "[package]\nname = \"commerce\"\nedition = \"2024\"\n[features]\ndistributed = []\n[workspace]\n";
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), STAND_IN).unwrap();
        drop(fs::remove_file(folder.join("broken")));
        let kafka = Cell::new("127.0.0.1:1");
        let checkout = Self { folder, kafka };
        checkout.succeeds(&["down"]);
        checkout
    }

    fn xtask(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .arg("commerce")
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .envs(SERVERS)
            .env("MAINSTAY_KAFKA_URL", self.kafka.get());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        let [stdout, stderr] = text;
        (output.status.success(), stdout, stderr)
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let (succeeded, stdout, stderr) = self.xtask(arguments);
        assert!(succeeded, "{arguments:?}: {stderr}");
        stdout
    }

    /// Name, process id and URL of those that run.
    fn running(&self) -> Vec<(String, String, String)> {
        let status: Value = serde_json::from_str(&self.succeeds(&["status"])).unwrap();
        let processes = status["processes"].as_array().unwrap().iter();
        let running = processes.filter(|process| process["running"] == true);
        let mut running: Vec<_> = running
            .map(|process| {
                let name = process["name"].as_str().unwrap().to_owned();
                let url = process["url"].as_str().unwrap().to_owned();
                (name, process["pid"].to_string(), url)
            })
            .collect();
        running.sort();
        running
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        drop(self.xtask(&["down"]));
    }
}

fn names(running: &[(String, String, String)]) -> Vec<&str> {
    running.iter().map(|(name, ..)| &**name).collect()
}

fn is_there(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn it_runs_as_a_process_per_service_and_the_next_up_mends_what_was_killed() {
    let checkout = Checkout::new("commerce-up-down");
    let first = checkout.succeeds(&["up"]);
    let running = checkout.running();
    assert_eq!(names(&running), ["front", "order", "payment"]);
    for line in [
        "COMMERCE_POSTGRES=postgres://127.0.0.1:1",
        "COMMERCE_REDIS_URL=redis://127.0.0.1:1",
        "COMMERCE_KAFKA=127.0.0.1:1",
        &format!("COMMERCE_TARGET={}", running[0].2),
    ] {
        assert!(first.lines().any(|it| it == line), "{line}: {first}");
        let log = fs::read_to_string(checkout.folder.join("target/commerce/order.log")).unwrap();
        assert!(
            log.contains(line) || line.starts_with("COMMERCE_TARGET"),
            "{log}"
        );
    }

    assert_eq!(checkout.succeeds(&["up"]), first);
    assert_eq!(checkout.running(), running);

    let (_, payment, url) = &running[2];
    let killed = Command::new("kill").args(["-9", payment]).status();
    assert!(killed.unwrap().success());
    checkout.succeeds(&["up"]);
    let mended = checkout.running();
    assert_eq!(mended[..2], running[..2]);
    assert!(mended[2].0 == "payment" && mended[2].1 != *payment);
    assert_eq!(mended[2].2, *url, "it is where it was");

    let told = checkout.succeeds(&["down"]);
    assert!(told.contains("3 processes stopped"), "{told}");
    assert!(mended.iter().all(|(_, pid, _)| !is_there(pid)));
    assert!(checkout.running().is_empty());
    assert!(!checkout.folder.join("target/commerce/state.json").exists());
    assert!(!checkout.folder.join("target/commerce/data").exists());
}

#[test]
fn each_service_runs_as_often_as_was_asked() {
    let checkout = Checkout::new("commerce-replicas");
    checkout.succeeds(&["up"]);
    let once = checkout.running();
    checkout.succeeds(&["up", "--replicas", "2"]);
    let running = checkout.running();
    // The gateway stands before all of them, so it is started anew, where it was.
    let (front, services) = once.split_first().unwrap();
    assert_eq!((&*running[0].0, &running[0].2), ("front", &front.2));
    assert!(services.iter().all(|process| running.contains(process)));
    let expected = ["front", "order", "order-2", "payment", "payment-2"];
    assert_eq!(names(&running), expected);
    let log = fs::read_to_string(checkout.folder.join("target/commerce/front.log")).unwrap();
    for (name, _, url) in &running[1..] {
        let service = name.trim_end_matches("-2");
        assert!(
            log.contains(&format!("--upstream {service}={url}")),
            "{log}"
        );
    }
    checkout.succeeds(&["up"]);
    let after = checkout.running();
    assert_eq!(after[1..], *services, "the second ones are stopped");
    assert_eq!(after[0].2, front.2);
    assert!(
        running
            .iter()
            .all(|it| after.contains(it) || !is_there(&it.1))
    );
}

#[test]
fn what_runs_an_older_program_or_other_settings_is_started_anew_where_it_was() {
    let checkout = Checkout::new("commerce-anew");
    checkout.succeeds(&["up"]);
    let mut before = checkout.running();
    let mut anew = |checkout: &Checkout, arguments: &[&str]| -> Vec<String> {
        let (succeeded, _, stderr) = checkout.xtask(arguments);
        assert!(succeeded, "{stderr}");
        let after = checkout.running();
        assert_eq!(names(&after), ["front", "order", "payment"]);
        let pairs = before.iter().zip(&after);
        let anew = pairs.filter(|((_, earlier, url), (_, later, now_at))| {
            assert_eq!(url, now_at, "it is where it was");
            assert!(earlier == later || !is_there(earlier));
            earlier != later
        });
        let anew: Vec<String> = anew.map(|(_, (name, ..))| name.clone()).collect();
        for name in &anew {
            assert!(
                stderr.contains(&format!("{name}: runs an older")),
                "{stderr}"
            );
        }
        before = after;
        anew
    };
    // Only the process of orders has customers.
    assert_eq!(anew(&checkout, &["up", "--traffic", "5/s"]), ["order"]);
    let traffic = ["up", "--traffic", "5/s"];
    assert!(anew(&checkout, &traffic).is_empty());
    let newer = STAND_IN.to_owned() + "// newer\n";
    fs::write(checkout.folder.join("src/main.rs"), newer).unwrap();
    assert_eq!(anew(&checkout, &traffic), ["front", "order", "payment"]);
    assert!(anew(&checkout, &traffic).is_empty());
    let release = [&traffic[..], &["--release"]].concat();
    assert_eq!(anew(&checkout, &release), ["front", "order", "payment"]);
    checkout.kafka.set("127.0.0.1:2");
    assert_eq!(anew(&checkout, &release), ["front", "order", "payment"]);
}

#[test]
fn the_gateway_stands_before_the_services() {
    let checkout = Checkout::new("commerce-gateway");
    checkout.succeeds(&["up"]);
    let running = checkout.running();
    assert_eq!(names(&running), ["front", "order", "payment"]);
    let log = fs::read_to_string(checkout.folder.join("target/commerce/front.log")).unwrap();
    for (name, _, url) in &running[1..] {
        assert!(log.contains(&format!("--upstream {name}={url}")), "{log}");
    }
    assert!(log.contains("--service gateway"), "{log}");
}

#[test]
fn what_does_not_start_is_named_with_its_last_words_and_down_stops_the_others() {
    let checkout = Checkout::new("commerce-broken");
    fs::write(checkout.folder.join("broken"), "").unwrap();
    let (succeeded, _, stderr) = checkout.xtask(&["up"]);
    assert!(
        !succeeded && stderr.contains("payment does not start: this till is stuck"),
        "{stderr}"
    );
    let running = still_there(&checkout.folder);
    assert_eq!(running.len(), 1, "{running:?}");
    checkout.succeeds(&["down"]);
    assert!(running.iter().all(|pid| !is_there(pid)));
}

/// The processes that its state names and that run.
fn still_there(folder: &Path) -> Vec<String> {
    let state = fs::read_to_string(folder.join("target/commerce/state.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let processes = state["processes"].as_array().unwrap().iter();
    let pids = processes.map(|process| process["pid"].to_string());
    pids.filter(|pid| is_there(pid)).collect()
}
