//! Signs tokens with the current key, and rotates the keys in time.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use commerce_chassis::{Connection, Db, Error, KeySet, Progress, Result, Round, SigningKey};
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;

use crate::{
    desk::Desk,
    rotation::{Change, State, due},
    secret::random,
    store,
};

/// The key that signs, and the public halves of all. Clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    current: Arc<RwLock<Arc<SigningKey>>>,
    published: KeySet,
    ids: Arc<dyn IdGenerator>,
}

impl Keys {
    /// Reads the keys, and creates those that are missing.
    pub(crate) async fn open(
        db: &Db,
        published: &KeySet,
        ids: &Arc<dyn IdGenerator>,
        now: i64,
    ) -> Result<Self> {
        let mut tx = db.begin().await?;
        let current = rotate(&mut tx, published, ids, now).await?;
        db.commit(tx).await?;
        Ok(Self {
            current: Arc::new(RwLock::new(Arc::new(current))),
            published: published.clone(),
            ids: Arc::clone(ids),
        })
    }

    /// The key that signs now.
    pub(crate) fn current(&self) -> Arc<SigningKey> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// The public halves of all keys.
    pub(crate) const fn published(&self) -> &KeySet {
        &self.published
    }

    /// Makes the changes that are due, and uses the keys as they are then.
    pub(crate) async fn look_after(&self, tx: &mut Connection, now: i64) -> Result<()> {
        let current = rotate(tx, &self.published, &self.ids, now).await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(())
    }
}

async fn rotate(
    tx: &mut Connection,
    published: &KeySet,
    ids: &Arc<dyn IdGenerator>,
    now: i64,
) -> Result<SigningKey> {
    let keys = store::keys::lock(tx).await?;
    let lives: Vec<_> = keys.into_iter().map(|(life, _)| life).collect();
    for change in due(&lives, now) {
        match change {
            Change::Enter(kid, state) => store::keys::enter(tx, &kid, state, now).await?,
            Change::Create(state) => {
                let kid = ids.uuid().simple().to_string();
                store::keys::insert(tx, &kid, &random()?, state, now).await?;
            }
            Change::Delete(kid) => store::keys::delete(tx, &kid).await?,
        }
    }
    let keys = store::keys::lock(tx).await?;
    published.publish(keys.iter().map(|(_, key)| key))?;
    let current = keys
        .into_iter()
        .find(|(life, _)| life.state == State::Current);
    let (_, key) = current.ok_or(Error::Changed {
        what: "the signing keys",
    })?;
    Ok(key)
}

/// The round that looks after keys, and deletes what has ended.
#[derive(Debug)]
pub(crate) struct Rotation {
    db: Db,
    keys: Keys,
    clock: Arc<dyn Clock>,
}

impl Rotation {
    pub(crate) fn new(desk: &Desk) -> Self {
        Self {
            db: desk.db().clone(),
            keys: desk.keys().clone(),
            clock: Arc::clone(desk.clock()),
        }
    }
}

#[async_trait]
impl Round for Rotation {
    async fn round(&self) -> Result<Progress> {
        let now = micros_since_epoch(self.clock.now());
        let mut tx = self.db.begin().await?;
        self.keys.look_after(&mut tx, now).await?;
        self.db.commit(tx).await?;
        // On its own: a long sweep holds no lock on the keys, and a failed one does not undo their rotation.
        let mut tx = self.db.begin().await?;
        store::sweep(&mut tx, now).await?;
        self.db.commit(tx).await?;
        Ok(Progress::Due(Duration::from_secs(60)))
    }
}
