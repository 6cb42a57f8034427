//! Behind `PgBouncer` in transaction mode, where the next transaction runs in another session.

use std::{
    io::Write as _,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use mainstay_database::{
    Transactions as _,
    postgres::{self, Database},
};
use mainstay_outbox::{
    EnqueueKey, Enqueued, Entry, Outbox as _,
    postgres::{Options, PostgresOutbox},
};
use mainstay_testkit::{LEFT_OUT, postgres::TestDatabase};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Running, Shop, message, shop, until};

/// A pooler before one database, with fewer connections than clients.
struct Pooler {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Pooler {
    /// None where there is no `PgBouncer`, which is not a server that a suite may ask for.
    async fn before(server: &TestDatabase) -> Option<Self> {
        let url = server.url();
        let (login, place) = url.strip_prefix("postgres://")?.split_once('@')?;
        let (user, password) = login.split_once(':')?;
        let (host, port) = place.split_once('/')?.0.split_once(':')?;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap().port();
        drop(free);
        let directory = tempfile::tempdir().unwrap();
        let settings = directory.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={host} port={port} user={user} password='{password}'\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listen}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 3\nignore_startup_parameters = extra_float_digits\n"
        );
        std::fs::write(&settings, text).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        // It does not run as root, and takes a user's name only from root.
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt as _;
            own.uid() == 0
        });
        let mut command = Command::new("pgbouncer");
        command.args(["-u", "nobody"].iter().filter(|_| root));
        command
            .arg(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(process) = command.spawn() else {
            let why = "outbox behind a pooler: there is no pgbouncer";
            // Past the test harness, which keeps what a passing test prints.
            let line = format!("{LEFT_OUT}{why}\n");
            std::io::stdout().write_all(line.as_bytes()).unwrap();
            return None;
        };
        let pooler = Self {
            process,
            port: listen,
            _directory: directory,
        };
        until("it answers", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", listen))
                .await
                .is_ok()
        })
        .await;
        Some(pooler)
    }

    async fn open(&self, server: &TestDatabase) -> (Database, Arc<PostgresOutbox>) {
        let mut through = postgres::Options::default();
        through.behind_transaction_pooler = true;
        let url = format!(
            "postgres://anybody@127.0.0.1:{}/{}",
            self.port,
            server.name()
        );
        let database = Database::connect_with(&url, through).await.unwrap();
        let outbox = PostgresOutbox::open(database.clone(), Options::default()).await;
        (database, Arc::new(outbox.unwrap()))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

async fn write(database: &Database, outbox: &PostgresOutbox, key: &str) {
    let fused = outbox.fused("SELECT $1::int4 AS written");
    for number in 0..30 {
        let once = EnqueueKey::new(format!("{key}-{number}"));
        let messages = [message(key, 3 * number), message(key, 3 * number + 1)];
        let mut tx = database.begin().await.unwrap();
        let entries = [
            Entry::new(&messages[0]).once(&once),
            Entry::new(&messages[1]),
        ];
        let added = outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
        assert_eq!(added, [Enqueued::Added; 2]);
        let last = message(key, 3 * number + 2);
        let query = fused.query(&last, |business| business.bind(1)).unwrap();
        query.execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
        outbox.ring();
    }
}

#[tokio::test]
async fn writers_and_relays_work_behind_a_pooler_in_transaction_mode() {
    let Some(Shop { server, .. }) = shop().await else {
        return;
    };
    let Some(pooler) = Pooler::before(&server).await else {
        return;
    };
    let (database, writer) = pooler.open(&server).await;
    let (_, elsewhere) = pooler.open(&server).await;
    let shutdown = CancellationToken::new();
    for outbox in [&writer, &elsewhere] {
        let (outbox, shutdown) = (Arc::clone(outbox), shutdown.clone());
        tokio::spawn(async move {
            tokio::join!(outbox.announce(shutdown.clone()), outbox.listen(shutdown));
        });
    }
    let running = Running::start_as(&elsewhere, |relay| relay.lease(Duration::from_secs(2)));
    let keys = ["a", "b", "c", "d", "e", "f"];
    join_all(keys.map(|key| write(&database, &writer, key))).await;
    until("all is published", async || running.tape.ids().len() >= 540).await;
    for key in keys {
        let sent: Vec<_> = (0..90).map(|number| format!("{key}-{number}")).collect();
        assert_eq!(running.tape.ids_of(key), sent);
    }
    assert!(
        !elsewhere.is_listening(),
        "nothing can be heard through it, and that is known"
    );
    running.stop().await;
    shutdown.cancel();
}
