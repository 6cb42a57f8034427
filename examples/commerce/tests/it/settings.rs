//! Numbers in settings: each value is accepted, or refused at once by the name of its setting.

use std::process::{Command, Output};

use crate::{
    sandbox::{self, Sandbox},
    shop::{Shop, command},
};

const VALUES: [&str; 14] = [
    "",
    "-1",
    "0",
    "1",
    "1.5",
    "nan",
    "inf",
    "1e308",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];

/// Runs a command. None = it was accepted, and succeeded or printed a report; otherwise its only
/// line.
fn refusal(command: &mut Command) -> Option<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    if status.success() || (status.code() == Some(1) && !stdout.is_empty()) {
        return None;
    }
    let code = status.code();
    assert!(
        matches!(code, Some(1 | 2)),
        "{command:?}: {status} {stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    Some(stderr)
}

/// Asserts that the command takes exactly the values of `accepted`, and names `option` in a
/// refusal.
fn assert_takes(option: &str, accepted: &[&str], mut refusal: impl FnMut(&str) -> Option<String>) {
    for value in VALUES {
        match refusal(value) {
            None => assert!(accepted.contains(&value), "{option} took {value:?}"),
            Some(line) => {
                assert!(!accepted.contains(&value), "{option} {value:?}: {line}");
                assert!(line.contains(option), "{option} {value:?}: {line}");
            }
        }
    }
}

#[test]
fn every_number_is_accepted_or_refused_by_name() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let any = ["0", "1", "65536", "4294967295", "4294967296"];
    let any = [&any[..], &["9223372036854775808", "18446744073709551615"]].concat();
    for (option, accepted) in [
        ("request-timeout", &["1"][..]),
        ("answer-timeout", &["1"]),
        ("max-connections", &["65536"]),
        ("hold", &["1", "65536"]),
        ("traffic", &["1", "1.5"]),
    ] {
        assert_takes(option, accepted, |value| serve(&sandbox, option, value));
    }

    let shop = Shop::open(sandbox.path());
    let target = format!("http://{}", shop.address());
    assert_takes("settle", &any, |value| {
        let mut verify = command();
        verify.arg("verify").arg(format!("--settle={value}"));
        refusal(sandbox::at(&mut verify, sandbox.path()))
    });
    for (option, accepted) in [
        ("settle", &any[..]),
        ("orders", &["1", "65536"]),
        ("rate", &["1", "65536"]),
        ("concurrency", &["1", "65536"]),
        ("mix", &any[1..]),
    ] {
        assert_takes(option, accepted, |value| {
            let mut load = command();
            load.args(["load", "--target", &target]);
            // The report is enough: do not wait for the order to end.
            for (other, default) in [("orders", "1"), ("settle", "0")] {
                if other != option {
                    load.arg(format!("--{other}={default}"));
                }
            }
            let value = match option {
                "mix" => format!("pm_ok={value}"),
                // Accepted, but not placed: so many orders take too long.
                "orders" if value == "65536" => return None,
                _ => value.to_owned(),
            };
            refusal(load.arg(format!("--{option}={value}")))
        });
    }
    shop.stop();
}

/// As [`refusal`], of a `serve` that is stopped once it is ready.
fn serve(sandbox: &Sandbox, option: &str, value: &str) -> Option<String> {
    let argument = format!("--{option}={value}");
    let mut arguments = vec![&*argument];
    if option != "traffic" {
        arguments.extend(["--traffic", "off"]);
    }
    if let Ok(shop) = Shop::start(sandbox.path(), &arguments) {
        shop.stop();
        return None;
    }
    let mut serve = command();
    serve
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments);
    refusal(sandbox::at(&mut serve, sandbox.path()))
}

#[test]
fn a_number_in_the_file_is_refused_by_name() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let config = sandbox.path().join("commerce.toml");
    for option in ["request_timeout", "answer_timeout", "max_connections"] {
        for value in VALUES
            .into_iter()
            .filter(|value| *value != "1" && *value != "65536")
        {
            std::fs::write(&config, format!("service = 'all'\n{option} = {value}\n")).unwrap();
            let mut serve = command();
            serve
                .args(["serve", "--listen", "127.0.0.1:0", "--config"])
                .arg(&config);
            let line = refusal(sandbox::at(&mut serve, sandbox.path())).unwrap();
            let names = [option.to_owned(), option.replace('_', "-")];
            assert!(
                names.iter().any(|name| line.contains(name)),
                "{value}: {line}"
            );
        }
    }
}
