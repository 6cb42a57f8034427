//! The API against its OpenAPI document: schemathesis sends what the document allows, and what it does
//! not. `cargo xtask prove openapi` installs it and runs this.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test suite: it fails loudly"
)]

mod shop;

use std::{
    env,
    process::{Command, Output},
};

use commerce_identity::OPERATOR;
use mainstay_testkit::skipped;
use shop::Shop;

/// Who asks. Each asks for everything: a refusal has to be in the document, too.
const CALLERS: [(&str, Option<&str>); 3] = [
    ("without a token", None),
    ("as a customer", Some("cust-001@example.com")),
    ("as the operator", Some(OPERATOR)),
];

/// A run says the same again, and takes minutes at most.
const BOUNDS: [&str; 7] = [
    "--seed=1",
    "--generation-database=none",
    "--max-examples=20",
    "--request-timeout=20",
    "--workers=1",
    "--continue-on-failure",
    "--no-color",
];

/// What counts as wrong.
const CHECKS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/openapi/schemathesis.toml"
);

#[test]
fn every_answer_is_in_the_document_and_none_is_a_fault_of_the_server() {
    let Some(program) = schemathesis() else {
        return;
    };
    let shop = Shop::open();
    let mut wrong = Vec::new();
    for (caller, email) in CALLERS {
        let mut run = Command::new(&program);
        run.args(["--config-file", CHECKS, "run"]);
        run.arg(shop.url("/openapi.json")).args(BOUNDS);
        run.current_dir(shop.data());
        if let Some(email) = email {
            let token = shop.log_in(email);
            run.arg(format!("--header=Authorization: Bearer {token}"));
        }
        let Output { status, stdout, .. } = run.output().unwrap();
        let told = String::from_utf8_lossy(&stdout);
        println!("openapi: {caller}: {}", summary(&told));
        if !status.success() {
            wrong.push(format!("{caller}, {status}:\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // Whatever it did to the shop.
    shop.assert_holds();
}

/// None if there is no schemathesis, unless `MAINSTAY_REQUIRE` asks for it.
fn schemathesis() -> Option<String> {
    let program = env::var("SCHEMATHESIS").unwrap_or_else(|_| "schemathesis".to_owned());
    let found = Command::new(&program).arg("--version").output();
    if found.is_ok_and(|it| it.status.success()) {
        return Some(program);
    }
    let why = "schemathesis is not installed; `cargo xtask prove openapi` installs it";
    skipped("openapi", "schemathesis", why);
    None
}

/// How much was sent.
fn summary(told: &str) -> String {
    let counts = told.lines().filter(|line| line.contains(" generated, "));
    counts.map(str::trim).collect::<Vec<_>>().join("; ")
}
