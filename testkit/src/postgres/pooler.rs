//! `PgBouncer` before a server.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    str::FromStr,
};

use percent_encoding::percent_decode_str;
use rustix::process::Signal;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use super::{NAME, binaries};
use crate::{
    Directory, Error,
    daemon::{Daemon, free_port},
    error::At as _,
    suites::or_skipped,
};

/// A pooler in transaction mode before all databases of a server. It goes with the value, or with the process.
///
/// It takes its sessions in turn: what a transaction leaves in its session is not there for the next one.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    _daemon: Daemon,
}

impl Pooler {
    /// Before the server at `url`, whose user it logs in as; returns when it has all its sessions of the database that `url`
    /// names. On each of them it says `greeting` first, as `SET ROLE somebody`. None where there is no `PgBouncer`: it says then
    /// that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If suites on PostgreSQL [must run](crate::must_run) and there is no `PgBouncer`.
    pub async fn for_suite(
        suite: &str,
        url: &str,
        sessions: u16,
        greeting: &str,
    ) -> Result<Option<Self>, Error> {
        let started = or_skipped(suite, NAME, Self::start(url, sessions, greeting))?;
        if let Some(pooler) = &started {
            let filled = pooler.fill(url, sessions).await;
            filled.at("filling the pool")?;
        }
        Ok(started)
    }

    /// It opens a session only when all it has are taken: transactions in a row would stay in the first one.
    async fn fill(&self, url: &str, count: u16) -> Result<(), sqlx::Error> {
        let direct = PgConnectOptions::from_str(url)?;
        let url = self.url(direct.get_database().unwrap_or("postgres"));
        let mut sessions = Vec::new();
        for _ in 0..count {
            let mut session = PgConnection::connect(&url).await?;
            sqlx::raw_sql("BEGIN").execute(&mut session).await?;
            sessions.push(session);
        }
        for mut session in sessions {
            // One that is left in a transaction goes with its client.
            sqlx::raw_sql("ROLLBACK").execute(&mut session).await?;
            session.close().await?;
        }
        Ok(())
    }

    fn start(url: &str, sessions: u16, greeting: &str) -> Result<Self, Error> {
        const STEP: &str = "starting pgbouncer";
        let program = binaries::pooler();
        let program =
            program.ok_or_else(|| Error::Unavailable("PgBouncer is not installed".to_owned()))?;
        let directory = Directory::new("pgbouncer")?;
        let port = free_port()?;
        let (settings, pid) = (directory.join("pgbouncer.ini"), directory.join("pid"));
        let text = format!(
            "[databases]\n* = {}\n[pgbouncer]\npidfile = {}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {}\n\
             server_round_robin = 1\nignore_startup_parameters = extra_float_digits\n",
            server(url, greeting)?,
            pid.display(),
            sessions,
        );
        fs::write(&settings, text).at(STEP)?;
        directory.hand_over(&settings).at(STEP)?;
        let log = directory.join("log");
        let mut daemon = Daemon::new(directory, log, &pid, Signal::QUIT)?;
        let mut command = daemon.command(program);
        command.arg(settings);
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop);
        daemon.start(STEP, command, listens)?;
        Ok(Self {
            port,
            _daemon: daemon,
        })
    }

    /// The URL of a database of the server, through the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://anybody@127.0.0.1:{}/{database}", self.port)
    }
}

/// How to log in at the server, as the settings have it.
fn server(url: &str, greeting: &str) -> Result<String, Error> {
    const STEP: &str = "reading the URL of a server";
    let options = PgConnectOptions::from_str(url).at(STEP)?;
    let url = options.to_url_lossy();
    let password = percent_decode_str(url.password().unwrap_or_default());
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut server = format!(
        "host={} port={} user={} password={}",
        options.get_host(),
        options.get_port(),
        quoted(options.get_username()),
        quoted(&password.decode_utf8().at(STEP)?)
    );
    if !greeting.is_empty() {
        server.push_str(" connect_query=");
        server.push_str(&quoted(greeting));
    }
    Ok(server)
}

#[test]
fn a_password_comes_out_of_its_url() {
    let server = server("postgres://me:a%40b%27c@h:7/d", "SET ROLE x").unwrap_or_default();
    assert_eq!(
        server,
        "host=h port=7 user='me' password='a@b''c' connect_query='SET ROLE x'"
    );
}
