//! `PgBouncer` before a server.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    str::FromStr,
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{Directory, Error, account::Account, left_out, port, process, watch::Watch};

/// How it pools.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Pooling<'a> {
    /// Connections to each database of the server.
    pub connections: u16,
    /// What it says on each new one of them, as `SET ROLE somebody`.
    pub greeting: &'a str,
}

impl Default for Pooling<'_> {
    fn default() -> Self {
        Self {
            connections: 3,
            greeting: "",
        }
    }
}

/// A pooler in transaction mode before all databases of a server. It goes with the value, or with the process.
///
/// It takes its sessions in turn: what a transaction leaves in its session is not there for the next one.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    directory: Directory,
    watch: Option<Watch>,
}

impl Pooler {
    /// Before the server at `url`, whose user it logs in as; returns when it has all its sessions of the database that `url`
    /// names. None where there is no `PgBouncer`: it says then that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If suites on PostgreSQL [must run](crate::must_run) and there is no `PgBouncer`.
    pub async fn for_suite(
        suite: &str,
        url: &str,
        pooling: Pooling<'_>,
    ) -> Result<Option<Self>, Error> {
        let pooler = match Self::start(url, pooling) {
            Err(Error::Unavailable(why)) => {
                left_out(suite, "postgres", &why);
                return Ok(None);
            }
            outcome => outcome?,
        };
        let filled = pooler.fill(url, pooling.connections).await;
        filled.map_err(|error| Error::step("filling the pool", error.to_string()))?;
        Ok(Some(pooler))
    }

    /// It opens a session only when all it has are taken: transactions in a row would stay in the first one.
    async fn fill(&self, url: &str, connections: u16) -> Result<(), sqlx::Error> {
        let direct = PgConnectOptions::from_str(url)?;
        let url = self.url(direct.get_database().unwrap_or("postgres"));
        let mut sessions = Vec::new();
        for _ in 0..connections {
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

    fn start(url: &str, pooling: Pooling<'_>) -> Result<Self, Error> {
        const STEP: &str = "starting pgbouncer";
        let failed = |error: io::Error| Error::step(STEP, error.to_string());
        let directory = Directory::new("pgbouncer")?;
        let port = port::free()?;
        let (settings, pid) = (directory.join("pgbouncer.ini"), directory.join("pid"));
        let text = format!(
            "[databases]\n* = {}\n[pgbouncer]\npidfile = {}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {}\n\
             server_round_robin = 1\nignore_startup_parameters = extra_float_digits\n",
            server(url, pooling.greeting)?,
            pid.display(),
            pooling.connections,
        );
        fs::write(&settings, text).map_err(failed)?;
        directory.hand_over(&settings).map_err(failed)?;
        let watch = Watch::over(directory.path(), &pid)?;
        let started = Self::spawn(&directory, &settings);
        let process = match started {
            Ok(process) => process,
            Err(error) => {
                drop(fs::remove_dir_all(directory.path()));
                watch.dismiss();
                return Err(match error.kind() {
                    ErrorKind::NotFound => {
                        Error::Unavailable("PgBouncer is not installed".to_owned())
                    }
                    _ => failed(error),
                });
            }
        };
        let mut pooler = Self {
            process,
            port,
            directory,
            watch: Some(watch),
        };
        let mut ended = None;
        let listens = process::within(Duration::from_secs(30), || {
            ended = pooler.process.try_wait().ok().flatten();
            ended.is_some() || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        let log = fs::read_to_string(pooler.directory.join("log")).unwrap_or_default();
        match ended {
            None if listens => Ok(pooler),
            None => Err(Error::step(STEP, "it does not listen").with_log(&log)),
            Some(status) => {
                Err(Error::step(STEP, format!("it ended with {status}")).with_log(&log))
            }
        }
    }

    fn spawn(directory: &Directory, settings: &std::path::Path) -> io::Result<Child> {
        let log = fs::File::create(directory.join("log"))?;
        // Debian has it where only root looks.
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(env::split_paths(&path).chain(["/usr/sbin".into()]));
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root.
        Account::runs(directory.account(), &mut command);
        command
            .env("PATH", path.as_deref().unwrap_or(OsStr::new("/usr/sbin")))
            .current_dir(directory.path())
            .arg(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }

    /// The URL of a database of the server, through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://anybody@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // The watcher does what fails here.
        drop(self.process.kill());
        drop(self.process.wait());
        if let Some(watch) = self.watch.take() {
            drop(fs::remove_dir_all(self.directory.path()));
            watch.dismiss();
        }
    }
}

/// How to log in at the server, as the settings have it.
fn server(url: &str, greeting: &str) -> Result<String, Error> {
    let unreadable = |error: String| Error::step("reading the URL of a server", error);
    let options = PgConnectOptions::from_str(url).map_err(|error| unreadable(error.to_string()))?;
    let url = options.to_url_lossy();
    let password = decoded(url.password().unwrap_or_default())
        .ok_or_else(|| unreadable("the password is no text".to_owned()))?;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut server = format!(
        "host={} port={} user={} password={}",
        options.get_host(),
        options.get_port(),
        quoted(options.get_username()),
        quoted(&password)
    );
    if !greeting.is_empty() {
        server.push_str(" connect_query=");
        server.push_str(&quoted(greeting));
    }
    Ok(server)
}

/// A part of a URL as it was before it became one.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[test]
fn a_password_comes_out_of_its_url() {
    assert_eq!(decoded("a%40b%27").as_deref(), Some("a@b'"));
    assert_eq!(decoded("plain").as_deref(), Some("plain"));
    let server = server("postgres://me:a%40b%27c@h:7/d", "SET ROLE x").unwrap_or_default();
    assert_eq!(
        server,
        "host=h port=7 user='me' password='a@b''c' connect_query='SET ROLE x'"
    );
}
