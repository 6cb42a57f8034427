//! Which log a service's database belongs to.
//!
//! What a service told is in its outbox or in the log, and what it read there is marked here: with another log, what was
//! on its way is lost, and nobody would notice before `commerce verify`. So the database keeps the id of its log, from its
//! first start on, and a service does not start with another one.

use std::path::PathBuf;

use mainstay_database::{Migrations, Transactions as _};
use sqlx::Row as _;

use crate::{
    Db, Error, FileLook, Look, Place, Result,
    db::{GET_TOGETHER, IS_THERE_A_BELONGING, sql},
};

const MIGRATIONS: Migrations = crate::migrations!("belonging", "0001_belonging");

const LOG_OF_DATABASE: &str = "SELECT log_id FROM belonging";

/// How a refusal says what was done before it.
const NOTHING_WAS_CHANGED: &str = "Nothing was changed";
const CAME_SECOND: &str =
    "Another start came first; what this one created or brought up to date stays";

/// A service, its database and the log that it is started with.
#[derive(Clone, Debug)]
pub struct Belonging {
    parties: Parties,
    log: Log,
    db: Db,
}

/// Of whom a refusal speaks.
#[derive(Clone, Debug)]
struct Parties {
    service: &'static str,
    data: PathBuf,
}

/// What lies in the directory.
#[derive(Clone, Debug)]
enum Log {
    Missing,
    /// From before logs had ids.
    WithoutId,
    Is(String),
}

impl Belonging {
    /// Makes room for the id. The database does not belong to this log before [`settle`](Self::settle).
    pub(crate) async fn prepare(
        service: &'static str,
        place: &Place,
        log: String,
        db: &Db,
    ) -> Result<Self> {
        db.migrate(&MIGRATIONS).await?;
        Ok(Self {
            parties: Parties::of(service, place),
            log: Log::Is(log),
            db: db.clone(),
        })
    }

    /// Has the database belong to this log from now on, if it is new. To be done once all services of the process are
    /// open: if one is refused, the others' databases stay free.
    ///
    /// # Errors
    /// [`Error::AnotherLog`]: another process came first, with another log.
    pub async fn settle(&self) -> Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query("INSERT INTO belonging (one, log_id) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(self.log.id())
            .execute(&mut *tx)
            .await
            .map_err(sql)?;
        let row = sqlx::query(LOG_OF_DATABASE)
            .fetch_one(&mut *tx)
            .await
            .map_err(sql)?;
        self.parties
            .compare(Some(row.get(0)), &self.log, CAME_SECOND)?;
        Ok(self.db.commit(tx).await?)
    }
}

/// Looks whether the databases of `services` belong to the log that lies in `place`, and writes nothing. A database that
/// is not there yet, or that was last used before databases said so, belongs to none.
///
/// # Errors
/// [`Error::AnotherLog`], or one of them cannot be read.
pub async fn examine(place: &Place, services: &[&'static str]) -> Result<()> {
    // The log last: a database that was new a moment ago may belong to it by now.
    let mut found = Vec::new();
    for service in services {
        if let Some(mut look) = place.find(service).await? {
            found.push((*service, log_of(&mut look).await?));
            look.close().await?;
        }
    }
    let log = match FileLook::find(place.data(), "broker").await? {
        Some(mut look) => {
            let id = id_of(&mut look).await?;
            look.close().await?;
            id.map_or(Log::WithoutId, Log::Is)
        }
        None => Log::Missing,
    };
    for (service, its) in found {
        Parties::of(service, place).compare(its, &log, NOTHING_WAS_CHANGED)?;
    }
    Ok(())
}

async fn log_of(database: &mut Look) -> Result<Option<String>> {
    let there: Vec<(bool,)> = database.all(IS_THERE_A_BELONGING).await?;
    if !there.contains(&(true,)) {
        return Ok(None);
    }
    let mut found: Vec<(String,)> = database.all(LOG_OF_DATABASE).await?;
    Ok(found.pop().map(|(id,)| id))
}

async fn id_of(log: &mut FileLook) -> Result<Option<String>> {
    let there: Vec<(bool,)> = log
        .all("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'broker_identity')")
        .await?;
    if !there.contains(&(true,)) {
        return Ok(None);
    }
    let mut found: Vec<(String,)> = log.all("SELECT id FROM broker_identity").await?;
    Ok(found.pop().map(|(id,)| id))
}

impl Log {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Is(id) => Some(id),
            Self::Missing | Self::WithoutId => None,
        }
    }
}

impl Parties {
    fn of(service: &'static str, place: &Place) -> Self {
        Self {
            service,
            data: place.data().to_owned(),
        }
    }

    fn compare(&self, database: Option<String>, log: &Log, changed: &'static str) -> Result<()> {
        let its = match database {
            Some(its) if Some(&*its) != log.id() => short(&its),
            _ => return Ok(()),
        };
        let data = self.data.display();
        Err(Error::AnotherLog {
            service: self.service,
            its,
            found: match log {
                Log::Missing => format!("there is none in {data}"),
                Log::WithoutId => format!("the log in {data} is one without an id"),
                Log::Is(id) => format!("the log in {data} is {}", short(id)),
            },
            changed,
            remedy: GET_TOGETHER,
        })
    }
}

/// The end of an id: two that were drawn in the same minute begin alike.
fn short(id: &str) -> String {
    let end = id.char_indices().rev().nth(7);
    format!("…{}", end.map_or(id, |(at, _)| &id[at..]))
}
