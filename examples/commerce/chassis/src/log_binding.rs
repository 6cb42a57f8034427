//! Binds a service's database to the broker's log.
//!
//! Messages that are on their way to a service lie in the log only, and the database holds the
//! processed records of that log. With another log these messages are lost. So the database keeps
//! the id of its log from its first start on, and the service does not start with another one.

use mainstay_database::{Migrations, Transactions as _};
use sqlx::Row as _;

use crate::{
    Db, Error, Log, Result, Snapshot, Storage,
    broker::LogId,
    db::{HAS_LOG_BINDING, sql},
};

const MIGRATIONS: Migrations = crate::migrations!("log_binding", "0001_log_binding");

const BOUND_LOG: &str = "SELECT log_id FROM log_binding";

/// What a refused start changed.
const NOTHING_CHANGED: &str = "Nothing was changed";
const OTHER_START_FIRST: &str =
    "Another start came first; the databases that this one created or migrated stay";

/// A service's database and the log that the service is started with.
#[derive(Clone, Debug)]
pub struct LogBinding {
    owner: Owner,
    log: LogId,
    db: Db,
}

/// The service and the place of the log that a refusal names.
#[derive(Clone, Debug)]
struct Owner {
    service: &'static str,
    log: Log,
}

impl LogBinding {
    /// Creates the table. The database stays unbound until [`bind`](Self::bind).
    pub(crate) async fn prepare(
        service: &'static str,
        storage: &Storage,
        log: String,
        db: &Db,
    ) -> Result<Self> {
        db.migrate(&MIGRATIONS).await?;
        Ok(Self {
            owner: Owner::new(service, storage),
            log: LogId::Of(log),
            db: db.clone(),
        })
    }

    /// Binds the database to this log, if it is not bound yet. Call it once all services of the
    /// process are open: if one is refused, the others' databases stay unbound.
    ///
    /// # Errors
    /// [`Error::WrongLog`]: another process bound the database first, to another log.
    pub async fn bind(&self) -> Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query("INSERT INTO log_binding (one, log_id) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(self.log.id())
            .execute(&mut *tx)
            .await
            .map_err(sql)?;
        let row = sqlx::query(BOUND_LOG)
            .fetch_one(&mut *tx)
            .await
            .map_err(sql)?;
        self.owner
            .compare(Some(row.get(0)), &self.log, OTHER_START_FIRST)?;
        Ok(self.db.commit(tx).await?)
    }
}

/// Compares the logs that the databases of `services` are bound to with the log in `storage`, and
/// writes nothing. A database that is missing, or older than log bindings, is bound to none.
///
/// # Errors
/// [`Error::WrongLog`], or one of the databases cannot be read.
pub async fn check_log(storage: &Storage, services: &[&'static str]) -> Result<()> {
    // The log last: by now, a database that was new may be bound to a log that was created since.
    let mut bindings = Vec::new();
    for service in services {
        if let Some(mut snapshot) = storage.find_snapshot(service).await? {
            bindings.push((*service, bound_log(&mut snapshot).await?));
            snapshot.close().await?;
        }
    }
    let log = storage.log().id().await?;
    for (service, bound) in bindings {
        Owner::new(service, storage).compare(bound, &log, NOTHING_CHANGED)?;
    }
    Ok(())
}

async fn bound_log(database: &mut Snapshot) -> Result<Option<String>> {
    let exists: Vec<(bool,)> = database.all(HAS_LOG_BINDING).await?;
    if !exists.contains(&(true,)) {
        return Ok(None);
    }
    let mut found: Vec<(String,)> = database.all(BOUND_LOG).await?;
    Ok(found.pop().map(|(id,)| id))
}

impl LogId {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Of(id) => Some(id),
            Self::Missing | Self::Unnamed => None,
        }
    }
}

impl Owner {
    fn new(service: &'static str, storage: &Storage) -> Self {
        Self {
            service,
            log: storage.log().clone(),
        }
    }

    fn compare(&self, bound: Option<String>, log: &LogId, changed: &'static str) -> Result<()> {
        let bound = match bound {
            Some(bound) if Some(&*bound) != log.id() => short(&bound),
            _ => return Ok(()),
        };
        let place = &self.log;
        Err(Error::WrongLog {
            service: self.service,
            bound,
            found: match log {
                LogId::Missing => format!("there is no log {place}"),
                LogId::Unnamed => format!("the log {place} has no id"),
                LogId::Of(id) => format!("the log {place} is {}", short(id)),
            },
            changed,
            remedy: self.log.remedy(),
        })
    }
}

/// The end of an id. Ids begin with their time, so two of the same minute begin alike.
fn short(id: &str) -> String {
    let end = id.char_indices().rev().nth(7);
    format!("…{}", end.map_or(id, |(at, _)| &id[at..]))
}
