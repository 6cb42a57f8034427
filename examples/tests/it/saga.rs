//! The saga's program, killed again and again.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use mainstay_saga::sqlx::{Connection as _, SqliteConnection, query_as};

const PROGRAM: &str = env!("CARGO_BIN_EXE_saga");

#[tokio::test]
async fn every_order_ends_once_though_the_program_is_killed_in_between() {
    let directory = tempfile::tempdir().unwrap();
    // Killed once it has said so.
    for word in ["flowchart", "order small", "order lost", "overdue"] {
        let mut program = Command::new(PROGRAM)
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(program.stdout.take().unwrap()).lines();
        let _if_it_got_so_far = said.any(|line| line.unwrap().starts_with(word));
        program.kill().unwrap();
        program.wait().unwrap();
    }
    let ran = Command::new(PROGRAM)
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{said}");
    let path = directory.path().join("shop.db");
    let url = format!("sqlite://{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let runs = "SELECT business_key, status FROM saga_runs ORDER BY business_key";
    let runs = query_as::<_, (String, String)>(runs).fetch_all(&mut connection);
    let runs = runs.await.unwrap();
    let runs: Vec<_> = runs
        .iter()
        .map(|(key, status)| (&**key, &**status))
        .collect();
    let expected = [
        ("large", "undone"),
        ("lost", "completed"),
        ("small", "completed"),
    ];
    assert_eq!(runs, expected, "{said}");
}
