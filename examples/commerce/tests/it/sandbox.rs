//! The sandbox of a test's deployments: a directory and, in a build for a server, databases there.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use commerce_chassis::ON_A_SERVER;
use mainstay_testkit::{
    kafka,
    postgres::{PrivateServer, Server, URL},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Decode, Executor, PgConnection, Postgres, Sqlite,
    Type, postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

pub(crate) const DATABASES: [&str; 9] = [
    "order",
    "inventory",
    "payment",
    "shipping",
    "catalog",
    "identity",
    "notification",
    "analytics",
    "psp",
];

/// The number of tables of the log binding in a database.
pub(crate) const LOG_BINDINGS: &str = if ON_A_SERVER {
    "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'log_binding%'"
} else {
    "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'log_binding%'"
};

/// Directories whose deployments have a private server, with its URL.
static PRIVATE: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());

/// Directories whose deployments have their log on Kafka, with its servers.
static ON_KAFKA: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());

/// A directory for deployments, in itself and in its subdirectories. Its drop removes their
/// databases.
pub(crate) struct Sandbox {
    directory: TempDir,
    server: Option<PrivateServer>,
}

impl Sandbox {
    /// None if the build needs a server and there is none.
    pub(crate) fn new() -> Option<Self> {
        if ON_A_SERVER {
            Server::for_suite("commerce")?;
        }
        Some(Self {
            directory: tempfile::tempdir().unwrap(),
            server: None,
        })
    }

    /// With the log on Kafka. None in a build for files, too.
    pub(crate) fn on_kafka() -> Option<Self> {
        if !ON_A_SERVER {
            return None;
        }
        let kafka = kafka::Server::for_suite("commerce")?;
        Some(Self::new()?.on(kafka.url()))
    }

    /// The same on a private Kafka, which may be killed.
    pub(crate) fn with_kafka() -> Option<(Self, kafka::PrivateServer)> {
        if !ON_A_SERVER {
            return None;
        }
        let suite = "commerce, private servers";
        let kafka = block_on(kafka::PrivateServer::for_suite(suite)).unwrap()?;
        Some((Self::new()?.on(kafka.url()), kafka))
    }

    /// With the log on the Kafka at these servers.
    pub(crate) fn on(self, servers: &str) -> Self {
        let here = (self.path().to_owned(), servers.to_owned());
        ON_KAFKA.lock().unwrap().push(here);
        self
    }

    /// The servers of the log.
    pub(crate) fn kafka(&self) -> String {
        let on_kafka = ON_KAFKA.lock().unwrap();
        let own = on_kafka.iter().find(|(path, _)| path == self.path());
        own.unwrap().1.clone()
    }

    /// With a private server, which may be killed. None in a build for files, too.
    pub(crate) fn with_server() -> Option<Self> {
        if !ON_A_SERVER {
            return None;
        }
        let suite = "commerce, private servers";
        let server = block_on(PrivateServer::for_suite(suite)).unwrap()?;
        let directory = tempfile::tempdir().unwrap();
        let here = (directory.path().to_owned(), server.url().to_owned());
        PRIVATE.lock().unwrap().push(here);
        Some(Self {
            directory,
            server: Some(server),
        })
    }

    /// As `pg_ctl stop -m immediate` does.
    pub(crate) fn kill_server(&self) {
        block_on(self.server.as_ref().unwrap().kill_immediate()).unwrap();
    }

    pub(crate) fn start_server(&self) {
        block_on(self.server.as_ref().unwrap().start_again()).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell_the_ends_of_logs(self.path());
        }
        // The databases of a private server are removed with it.
        if ON_A_SERVER && self.server.is_none() {
            let inside = self.path().read_dir().into_iter().flatten().flatten();
            drop_databases(self.path());
            for entry in inside.filter(|entry| entry.path().is_dir()) {
                drop_databases(&entry.path());
            }
        }
    }
}

/// What each process of a failed test logged last: the logs go with the directory.
#[expect(
    clippy::print_stderr,
    reason = "the harness shows it beside the failure"
)]
fn tell_the_ends_of_logs(data: &Path) {
    const LINES: usize = 30;
    let files = data.read_dir().into_iter().flatten().flatten();
    for path in files.map(|file| file.path()) {
        if path.extension().is_some_and(|extension| extension == "log")
            && let Ok(log) = std::fs::read_to_string(&path)
        {
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.len().saturating_sub(LINES);
            eprintln!("── the end of {}", path.display());
            eprintln!("{}", lines[end..].join("\n"));
        }
    }
}

/// Drops the databases of the deployment in `data`.
pub(crate) fn drop_databases(data: &Path) {
    on_the_server(async |connection| {
        for name in DATABASES {
            let statement = format!(
                "DROP DATABASE IF EXISTS {} WITH (FORCE)",
                database(data, name)
            );
            // If a failed test still uses it, the database is removed with its server.
            drop(connection.execute(AssertSqlSafe(statement)).await);
        }
    });
}

/// Drops one database of the deployment in `data`.
pub(crate) fn drop_database(data: &Path, name: &str) {
    if ON_A_SERVER {
        on_the_server(async |connection| {
            let drop = format!("DROP DATABASE {} WITH (FORCE)", database(data, name));
            connection.execute(AssertSqlSafe(drop)).await.unwrap();
        });
    } else {
        for file in ["db", "db-wal", "db-shm"].map(|end| data.join(format!("{name}.{end}"))) {
            if file.exists() {
                std::fs::remove_file(file).unwrap();
            }
        }
    }
}

/// The databases and files of the deployment in `data`, without SQLite's files beside a database.
pub(crate) fn databases(data: &Path) -> Vec<String> {
    let files = data.read_dir().unwrap();
    let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<_> = files.filter(|name| !name.contains(".db-")).collect();
    if ON_A_SERVER {
        all.extend(on_the_server(async |connection| {
            let names =
                "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1)";
            let names = sqlx::query_scalar::<_, String>(names).bind(prefix(data));
            names.fetch_all(connection).await.unwrap()
        }));
    }
    all.sort();
    all
}

/// Gives a command the storage of the deployment in `data`.
pub(crate) fn at<'a>(command: &'a mut Command, data: &Path) -> &'a mut Command {
    with_databases_of(data, command).arg("--data").arg(data)
}

/// Gives a command the databases of the deployment in `data`, if they are on a server.
pub(crate) fn with_databases_of<'a>(data: &Path, command: &'a mut Command) -> &'a mut Command {
    if ON_A_SERVER {
        command
            .env("COMMERCE_POSTGRES", url(data))
            .env("COMMERCE_POSTGRES_PREFIX", prefix(data));
        let on_kafka = ON_KAFKA.lock().unwrap();
        let own = on_kafka
            .iter()
            .find(|(sandbox, _)| data.starts_with(sandbox));
        if let Some((_, servers)) = own {
            command
                .env("COMMERCE_KAFKA", servers)
                .env("COMMERCE_KAFKA_PREFIX", prefix(data));
        }
    }
    command
}

/// The URL of the server of the deployment in `data`.
fn url(data: &Path) -> String {
    let private = PRIVATE.lock().unwrap();
    let own = private
        .iter()
        .find(|(sandbox, _)| data.starts_with(sandbox));
    own.map_or_else(|| std::env::var(URL).unwrap(), |(_, url)| url.clone())
}

/// The server of the deployment in `data`.
pub(crate) fn server_of(data: &Path) -> PgConnectOptions {
    url(data).parse().unwrap()
}

/// The prefix of its databases' names; each path has its own.
pub(crate) fn prefix(data: &Path) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in data.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("t{hash:016x}_")
}

pub(crate) fn database(data: &Path, name: &str) -> String {
    prefix(data) + name
}

/// Copies the files of a stopped deployment.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            continue; // sent mails, which nothing reads
        }
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Keeps a copy of one of the databases of a stopped deployment, for [`put_back`].
pub(crate) fn keep(data: &Path, name: &str) {
    if !is_on_the_server(name) {
        let [live, kept] = ["db", "kept"].map(|end| data.join(format!("{name}.{end}")));
        std::fs::copy(live, kept).unwrap();
        return;
    }
    let live = database(data, name);
    on_the_server(async |connection| {
        let statement = format!("CREATE DATABASE {live}_kept TEMPLATE {live}");
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    });
}

/// Puts the copy in place of the database.
pub(crate) fn put_back(data: &Path, name: &str) {
    if !is_on_the_server(name) {
        let [live, kept] = ["db", "kept"].map(|end| data.join(format!("{name}.{end}")));
        std::fs::rename(kept, live).unwrap();
        for end in ["db-wal", "db-shm"] {
            // Of the database before; there may be none.
            drop(std::fs::remove_file(data.join(format!("{name}.{end}"))));
        }
        return;
    }
    let live = database(data, name);
    on_the_server(async |connection| {
        for statement in [
            format!("DROP DATABASE {live} WITH (FORCE)"),
            format!("ALTER DATABASE {live}_kept RENAME TO {live}"),
        ] {
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    });
}

/// Runs a statement on one of the deployment's databases, and returns the number of changed rows.
pub(crate) fn execute(data: &Path, name: &str, sql: &str) -> u64 {
    let sql = AssertSqlSafe(sql.to_owned());
    block_on(async {
        if is_on_the_server(name) {
            let mut connection = connect(data, name).await;
            let done = connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
            done.rows_affected()
        } else {
            let mut connection = file(data, name).connect().await.unwrap();
            let done = connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
            done.rows_affected()
        }
    })
}

/// The number that a query returns.
pub(crate) fn count(data: &Path, name: &str, sql: &'static str) -> i64 {
    single(data, name, sql)
}

/// The text that a query returns.
pub(crate) fn text(data: &Path, name: &str, sql: &str) -> String {
    single(data, name, sql)
}

fn single<T>(data: &Path, name: &str, sql: &str) -> T
where
    T: Send + Unpin,
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite>,
{
    let sql = AssertSqlSafe(sql.to_owned());
    block_on(async {
        if is_on_the_server(name) {
            let mut connection = connect(data, name).await;
            let answer = sqlx::query_scalar(sql)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
            answer
        } else {
            let mut connection = file(data, name).connect().await.unwrap();
            let answer = sqlx::query_scalar(sql)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
            answer
        }
    })
}

async fn connect(data: &Path, name: &str) -> PgConnection {
    let server = server_of(data).database(&database(data, name));
    server.connect().await.unwrap()
}

/// Runs `run` while no other transaction can use a table of one of the deployment's databases.
pub(crate) fn while_locked<T>(data: &Path, name: &str, table: &str, run: impl FnOnce() -> T) -> T {
    block_on(async {
        if is_on_the_server(name) {
            let mut connection = connect(data, name).await;
            let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
            connection.execute(AssertSqlSafe(lock)).await.unwrap();
            let outcome = run();
            connection.close().await.unwrap();
            outcome
        } else {
            let mut connection = file(data, name).connect().await.unwrap();
            connection.execute("BEGIN IMMEDIATE").await.unwrap();
            let outcome = run();
            connection.close().await.unwrap();
            outcome
        }
    })
}

/// The broker's log is a file in every build.
fn is_on_the_server(name: &str) -> bool {
    ON_A_SERVER && name != "broker"
}

fn file(data: &Path, name: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(data.join(format!("{name}.db")))
}

pub(crate) fn server_options() -> PgConnectOptions {
    std::env::var(URL).unwrap().parse().unwrap()
}

/// Runs statements on the shared server.
pub(crate) fn on_the_server<T>(run: impl AsyncFnOnce(&mut PgConnection) -> T) -> T {
    on(&server_options(), run)
}

/// Runs statements on a server.
pub(crate) fn on<T>(server: &PgConnectOptions, run: impl AsyncFnOnce(&mut PgConnection) -> T) -> T {
    block_on(async {
        let mut connection = server.connect().await.unwrap();
        let outcome = run(&mut connection).await;
        connection.close().await.unwrap();
        outcome
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
