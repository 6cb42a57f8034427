//! Until `mainstay-testkit` is there.

use std::{
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions,
};

pub(super) struct Server(PgConnectOptions);

impl Server {
    pub(super) fn for_suite(_: &str) -> Option<Self> {
        let url = std::env::var("MAINSTAY_POSTGRES_URL").ok()?;
        Some(Self(PgConnectOptions::from_str(&url).unwrap()))
    }

    pub(super) async fn database(self) -> Result<TestDatabase, sqlx::Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "outbox_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut connection = PgConnection::connect_with(&self.0).await?;
        for sql in [
            format!("DROP DATABASE IF EXISTS {name}"),
            format!("CREATE DATABASE {name} TEMPLATE template0"),
        ] {
            sqlx::query(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await?;
        }
        Ok(TestDatabase { server: self, name })
    }
}

pub(super) struct TestDatabase {
    server: Server,
    name: String,
}

impl TestDatabase {
    pub(super) fn url(&self) -> String {
        self.server
            .0
            .clone()
            .database(&self.name)
            .to_url_lossy()
            .into()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (options, name) = (self.server.0.clone(), self.name.clone());
        let dropping = move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(async {
                    let mut connection = PgConnection::connect_with(&options).await.unwrap();
                    let sql = format!("DROP DATABASE {name} WITH (FORCE)");
                    sqlx::query(AssertSqlSafe(sql))
                        .execute(&mut connection)
                        .await
                        .unwrap();
                });
        };
        std::thread::spawn(dropping).join().unwrap();
    }
}
