//! Real holders, stopped by SIGSTOP past their lease and woken by SIGCONT. They write a register in PostgreSQL under a lock in
//! Redis or in PostgreSQL, and say what they did; the history is judged.
//!
//! A holder is this test executable, started with [`HOLDER`] in its environment.

use std::{
    env,
    future::poll_fn,
    io::{BufRead as _, BufReader},
    pin::pin,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use mainstay_clock::{Clock as _, SystemClock};
use mainstay_database::postgres::Database;
use mainstay_dlock::{
    Error, Guard, Locks, PostgresFences, PostgresLeases, RedisLeases, redis::Client,
};
use mainstay_testkit::{
    postgres::{Server, TestDatabase},
    redis::PrivateServer,
    register::{Write, violations},
    within,
};
use rustix::process::{Pid, Signal, kill_process};

/// Its number, the URL of its database, and that of its leases if they are in Redis.
const HOLDER: &str = "MAINSTAY_DLOCK_HOLDER";
const LEASE: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(120);

async fn database(url: &str) -> Database {
    // A holder that is stopped in a transaction keeps its successor waiting for so long.
    let database = Database::builder(url).idle_in_transaction_timeout(LEASE);
    database.open().await.unwrap()
}

/// Not a test by itself.
#[test]
fn holder() {
    let Ok(told) = env::var(HOLDER) else {
        return;
    };
    let told: Vec<&str> = told.split(' ').collect();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(hold(
        told[0].parse().unwrap(),
        told[1],
        told.get(2).copied(),
    ));
}

/// Takes the lock again and again, and writes while it has it.
async fn hold(number: u64, url: &str, redis: Option<&str>) {
    let database = database(url).await;
    let fences = PostgresFences::builder(&database).open().await.unwrap();
    let locks = if let Some(redis) = redis {
        let client = Client::open(redis).unwrap();
        let connection = client.get_connection_manager().await.unwrap();
        Locks::builder(RedisLeases::builder(connection).open().await.unwrap())
    } else {
        Locks::builder(PostgresLeases::builder(&database).open().await.unwrap())
    };
    let locks = locks.lease(LEASE).poll_interval(LEASE / 10).build();
    let mut left = number * 1_000_000;
    loop {
        let Ok(guard) = locks.acquire("register", LONG).await else {
            continue;
        };
        println!("holds");
        let work = async {
            loop {
                left += 1;
                match write(&guard, &database, &fences, left).await {
                    Err(Error::Fenced { .. } | Error::Lost { .. }) => break,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        drop(on_time(&guard, work).await);
        println!("ended");
    }
}

/// Runs `work` under the guard. Says so if it is polled although the lease had ended before the guard itself was.
async fn on_time<F: Future>(guard: &Guard, work: F) -> Result<F::Output, Error> {
    let had_ended = AtomicBool::new(false);
    let mut work = pin!(work);
    let watched = poll_fn(|context| {
        if had_ended.load(Ordering::Relaxed) {
            println!("polled late");
        }
        work.as_mut().poll(context)
    });
    let mut running = pin!(guard.run(watched));
    poll_fn(|context| {
        // Before the guard looks: a stop between its look and the poll is nobody's fault.
        had_ended.store(!guard.is_held(), Ordering::Relaxed);
        running.as_mut().poll(context)
    })
    .await
}

async fn write(
    guard: &Guard,
    database: &Database,
    fences: &PostgresFences,
    left: u64,
) -> Result<(), Error> {
    let failed = |error| Error::Database(mainstay_database::postgres::classify(error));
    let left = i64::try_from(left).unwrap();
    let now = || SystemClock::new().monotonic().as_micros();
    let began = now();
    let mut tx = database.begin().await?;
    guard.check(fences, &mut tx).await?;
    let found: i64 = sqlx::query_scalar("SELECT value FROM register")
        .fetch_one(&mut *tx)
        .await
        .map_err(failed)?;
    tokio::time::sleep(Duration::from_millis(5)).await;
    sqlx::query("UPDATE register SET value = $1")
        .bind(left)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    println!("writes {began} {found} {left}");
    database.commit(tx).await?;
    println!("wrote {left} {}", now());
    Ok(())
}

/// A holder's process; killed at the latest when it is dropped.
struct Holder {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Holder {
    fn start(number: u64, url: &str, redis: Option<&str>) -> Self {
        let told = format!("{number} {url} {}", redis.unwrap_or_default());
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["stopped::holder", "--exact", "--nocapture"])
            .env(HOLDER, told.trim_end())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let said = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                said.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            lines,
            reader,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How often it has said so.
    fn said(&self, what: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(what)).count()
    }

    fn until_more(&self, what: &str, more: usize) {
        let before = self.said(what);
        let came = within(PATIENCE, || self.said(what) >= before + more);
        assert!(came, "{what}: {:?}", self.lines.lock().unwrap().last());
    }

    fn writes(&self, client: &str) -> Vec<Write> {
        let lines = self.lines.lock().unwrap();
        let numbers = |line: &str| -> Vec<u64> {
            let numbers = line.split(' ').skip(1);
            numbers.map(|number| number.parse().unwrap()).collect()
        };
        let with = |beginning: &str| -> Vec<Vec<u64>> {
            let lines = lines.iter().filter(|line| line.starts_with(beginning));
            lines.map(|line| numbers(line)).collect()
        };
        let heard = with("wrote ");
        let writes = with("writes ").into_iter();
        let write = writes.map(|write| Write {
            client: client.to_owned(),
            began: Duration::from_micros(write[0]),
            ended: (heard.iter().find(|heard| heard[0] == write[2]))
                .map(|heard| Duration::from_micros(heard[1])),
            found: write[1],
            left: write[2],
        });
        write.collect()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Fails only where it is gone already.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// Each of the two is stopped past its lease while it holds the lock, and finds the other one when it wakes.
async fn stopped_past_the_lease(server: &TestDatabase, redis: Option<&str>) {
    let register = database(&server.url()).await;
    sqlx::raw_sql("CREATE TABLE register (value BIGINT); INSERT INTO register VALUES (0)")
        .execute(register.pool())
        .await
        .unwrap();
    let holders = [1, 2].map(|number| Holder::start(number, &server.url(), redis));
    let scenario = tokio::task::spawn_blocking(move || {
        let holds = |holder: &Holder| holder.said("holds") > holder.said("ended");
        for _ in 0..6 {
            let mut one = None;
            within(PATIENCE, || {
                one = holders.iter().position(holds);
                one.is_some()
            });
            let one = one.expect("nobody holds the lock");
            let (one, other) = (&holders[one], &holders[1 - one]);
            one.until_more("wrote", 3);
            one.signal(Signal::STOP);
            other.until_more("wrote", 10);
            let ended = one.said("ended");
            one.signal(Signal::CONT);
            let came = within(PATIENCE, || one.said("ended") > ended);
            assert!(came, "it believes to hold the lock");
        }
        for holder in &holders {
            holder.signal(Signal::KILL);
            assert_eq!(holder.said("polled late"), 0);
            assert!(holder.said("holds") >= 3);
        }
        let read = || holders.iter().all(|holder| holder.reader.is_finished());
        assert!(within(PATIENCE, read), "what they said last is not read");
        let [one, other] = &holders;
        [one.writes("one"), other.writes("other")].concat()
    });
    let writes = scenario.await.unwrap();
    // What a killed one had under way is decided.
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND xact_start IS NOT NULL";
    loop {
        let open: i64 = sqlx::query_scalar(open)
            .fetch_one(register.pool())
            .await
            .unwrap();
        if open == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let last: i64 = sqlx::query_scalar("SELECT value FROM register")
        .fetch_one(register.pool())
        .await
        .unwrap();
    let told = violations(&writes, u64::try_from(last).unwrap());
    assert!(told.is_empty(), "{}", told.join("\n"));
    println!("{} writes", writes.len());
}

mod postgres {
    use super::{Server, stopped_past_the_lease};

    #[tokio::test]
    async fn holders_stopped_past_their_lease_write_nothing_when_they_wake() {
        let Some(server) = Server::for_suite("dlock, stopped holders") else {
            return;
        };
        let server = server.database().await.unwrap();
        stopped_past_the_lease(&server, None).await;
    }
}

mod redis {
    use super::{PrivateServer, Server, stopped_past_the_lease};

    #[tokio::test]
    async fn holders_stopped_past_their_lease_write_nothing_when_they_wake() {
        let suite = "dlock, stopped holders";
        let (Some(server), Some(redis)) = (
            Server::for_suite(suite),
            PrivateServer::for_suite(suite).await.unwrap(),
        ) else {
            return;
        };
        let server = server.database().await.unwrap();
        stopped_past_the_lease(&server, Some(redis.url())).await;
    }
}
