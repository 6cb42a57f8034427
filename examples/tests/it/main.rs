//! Runs the programs, as a reader does.
#![expect(clippy::unwrap_used, reason = "tests")]

mod eventstore;
mod idempotency;
mod saga;

use std::process::Command;

#[test]
fn only_the_outbox_loses_and_invents_nothing() {
    let ran = Command::new(env!("CARGO_BIN_EXE_dual_write"))
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{said}");
    let expected = "\
way            crash after  orders  events
publish first  publish           0       1
publish first  insert            0       1
publish first  commit            1       1
publish first  0 lost, 2 invented

write first    insert            0       0
write first    commit            1       0
write first    publish           1       1
write first    1 lost, 0 invented

outbox         insert            0       0
outbox         emit              0       0
outbox         commit            1       1
outbox         0 lost, 0 invented

";
    assert_eq!(said, expected);
}
