//! A sweeper that must run once, however many processes there are: one is elected leader, and its writes are fenced.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin leader -- DIRECTORY ada &
//! $ cargo run -p mainstay-examples --bin leader -- DIRECTORY bob &
//! ```
//!
//! Kill the leader (`kill -9`): the other one takes over when its lease ends. Stop it (`kill -STOP`), wait for the other one
//! to take over, and let it go on (`kill -CONT`): its work is dropped, and it sweeps nothing.
//!
//! Every number in the table `swept` comes once, and the tokens beside them never fall. With SQLite, all processes share one file. With
//! `RedisLeases` and `PostgresFences` in place of the two stores, the same code runs on many machines.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::PathBuf, time::Duration};

use mainstay_dlock::{
    Guard, Locks, SqliteFences, SqliteLeases,
    database::{Namespace, sqlite::Database},
    sqlite::guarded,
    sqlx,
};

type Failure = Box<dyn Error + Send + Sync>;

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS swept (number INTEGER PRIMARY KEY, by TEXT, token INTEGER) STRICT";
const SWEEP: &str = "INSERT INTO swept (number, by, token)
    SELECT coalesce(max(number), 0) + 1, $1, $2 FROM swept RETURNING number";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (directory, name) = (std::env::args().nth(1), std::env::args().nth(2));
    let (Some(directory), Some(name)) = (directory, name) else {
        return Err("usage: leader DIRECTORY NAME".into());
    };
    let directory = PathBuf::from(directory);
    std::fs::create_dir_all(&directory)?;
    let db = Database::open(directory.join("leader.db")).await?;
    let locks = Locks::builder(SqliteLeases::builder(&db).open().await?)
        .lease(Duration::from_secs(3))
        .build();
    let fences = SqliteFences::builder(&db).guards_tables(true);
    let fences = fences.open().await?;

    // From now on the table refuses writers that have checked no token.
    let mut tx = db.begin().await?;
    sqlx::query(SCHEMA).execute(&mut *tx).await?;
    sqlx::raw_sql(guarded(&Namespace::plain(), "swept", "sweeper"))
        .execute(&mut *tx)
        .await?;
    db.commit(tx).await?;

    let work = |guard| sweep(guard, db.clone(), fences.clone(), name.clone());
    let shutdown = async { drop(tokio::signal::ctrl_c().await) };
    locks.lead("sweeper", work).run_until(shutdown).await?;
    println!("{name} has given up the lead");
    Ok(())
}

/// Runs in the leader only, until its lease ends.
async fn sweep(
    guard: Guard,
    db: Database,
    fences: SqliteFences,
    name: String,
) -> Result<(), Failure> {
    println!("{name} leads with token {}", guard.token());
    loop {
        let mut tx = db.begin().await?;
        guard.check(&fences, &mut tx).await?;
        let number: i64 = sqlx::query_scalar(SWEEP)
            .bind(&name)
            .bind(guard.token().as_i64())
            .fetch_one(&mut *tx)
            .await?;
        db.commit(tx).await?;
        println!("{name} has swept number {number}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
