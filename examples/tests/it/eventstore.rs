//! The event store's program, killed again and again.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use mainstay_eventstore::sqlx::{Connection as _, SqliteConnection, query_scalar};

const PROGRAM: &str = env!("CARGO_BIN_EXE_eventstore");

#[tokio::test]
async fn nobody_sells_what_is_not_there_though_the_program_is_killed_in_between() {
    let directory = tempfile::tempdir().unwrap();
    // Killed once it has said so many lines.
    for lines in [0, 1, 1, 2] {
        let mut program = Command::new(PROGRAM)
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(program.stdout.take().unwrap()).lines();
        assert_eq!(said.take(lines).filter(Result::is_ok).count(), lines);
        program.kill().unwrap();
        program.wait().unwrap();
    }
    let ran = Command::new(PROGRAM)
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{said}");
    let path = directory.path().join("stock.db");
    let url = format!("sqlite://{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let mut count = async |sql: &'static str| -> i64 {
        query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    };
    let delivered = count("SELECT 100 * count(*) FROM eventstore_events WHERE kind = 'Delivered'");
    let delivered = delivered.await;
    let sold = count("SELECT count(*) FROM eventstore_events WHERE kind = 'Sold'").await;
    assert!(delivered >= 100, "{said}");
    assert_eq!(sold, delivered, "all of it, and nothing else: {said}");
    let recorded = "SELECT count(*) FROM sales s JOIN eventstore_events e ON e.version = s.number
        WHERE e.stream = 'stock/mug' AND e.kind = 'Sold' AND e.payload ->> 'clerk' = s.clerk";
    assert_eq!(count(recorded).await, sold);
    assert_eq!(count("SELECT count(*) FROM sales").await, sold);
    let head = count("SELECT max(version) FROM eventstore_events").await;
    assert_eq!(head, count("SELECT count(*) FROM eventstore_events").await);
}
