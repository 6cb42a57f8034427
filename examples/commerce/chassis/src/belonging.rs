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

/// A service, its database and the log that it is started with.
#[derive(Clone, Debug)]
pub struct Belonging {
    parties: Parties,
    log: String,
    db: Db,
}

/// Of whom a refusal speaks.
#[derive(Clone, Debug)]
struct Parties {
    service: &'static str,
    data: PathBuf,
}

impl Belonging {
    /// Looks whether the database belongs to another log. A database that belongs to none yet does not belong to this one
    /// before [`settle`](Self::settle).
    pub(crate) async fn examine(
        service: &'static str,
        place: &Place,
        log: String,
        db: &Db,
    ) -> Result<Self> {
        db.migrate(&MIGRATIONS).await?;
        let found = sqlx::query_scalar(LOG_OF_DATABASE)
            .fetch_optional(db.reader())
            .await
            .map_err(sql)?;
        let parties = Parties::of(service, place);
        parties.compare(found, Some(&log))?;
        Ok(Self {
            parties,
            log,
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
            .bind(&self.log)
            .execute(&mut *tx)
            .await
            .map_err(sql)?;
        let row = sqlx::query(LOG_OF_DATABASE)
            .fetch_one(&mut *tx)
            .await
            .map_err(sql)?;
        self.parties.compare(Some(row.get(0)), Some(&self.log))?;
        Ok(self.db.commit(tx).await?)
    }
}

/// Looks whether the databases of `services` belong to the log that lies in `place`, and writes nothing. A database that
/// says nothing was last used before databases did.
///
/// # Errors
/// [`Error::AnotherLog`], or one of them cannot be read.
pub async fn examine(place: &Place, services: &[&'static str]) -> Result<()> {
    // The log last: a database that was new a moment ago may belong to it by now.
    let mut found = Vec::new();
    for service in services {
        let mut look = place.look(service).await?;
        found.push((*service, log_of(&mut look).await?));
        look.close().await?;
    }
    let mut log = FileLook::open(place.data(), "broker").await?;
    let id = id_of(&mut log).await?;
    log.close().await?;
    for (service, log) in found {
        Parties::of(service, place).compare(log, id.as_deref())?;
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

impl Parties {
    fn of(service: &'static str, place: &Place) -> Self {
        Self {
            service,
            data: place.data().to_owned(),
        }
    }

    fn compare(&self, database: Option<String>, log: Option<&str>) -> Result<()> {
        match database {
            Some(its) if Some(&*its) != log => Err(Error::AnotherLog {
                service: self.service,
                its: short(&its),
                data: self.data.display().to_string(),
                found: log.map_or_else(|| "one without an id".to_owned(), short),
                remedy: GET_TOGETHER,
            }),
            _ => Ok(()),
        }
    }
}

/// The end of an id: two that were drawn in the same minute begin alike.
fn short(id: &str) -> String {
    let end = id.char_indices().rev().nth(7);
    format!("…{}", end.map_or(id, |(at, _)| &id[at..]))
}
