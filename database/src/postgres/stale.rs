//! Prepared statements that the server no longer runs: the result type of one changed with the
//! schema, or the session forgot them all.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sqlx::{Connection as _, PgConnection, error::DatabaseError, postgres::PgDatabaseError};

/// How often a statement was found stale. Of the whole process, because the driver's error does not
/// say whose connection it was.
static FOUND: AtomicU64 = AtomicU64::new(0);

/// Whether the server does not run a statement as the driver has prepared it. Takes note of it: the
/// pools prepare their statements anew.
pub(super) fn is_stale(answer: &dyn DatabaseError) -> bool {
    let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>() else {
        return false;
    };
    let is_stale = match answer.code() {
        // "cached plan must not change result type", in whatever language. The code alone means any
        // missing feature.
        "0A000" => answer.routine() == Some("RevalidateCachedQuery"),
        // Only the driver's own names: a statement that the user forgot to prepare does not heal.
        "26000" => answer.message().contains("sqlx_s_"),
        _ => false,
    };
    if is_stale {
        FOUND.fetch_add(1, Ordering::Relaxed);
    }
    is_stale
}

/// Makes the connections of a pool forget their statements after one was found stale.
///
/// A pool hands out the connection that was returned first. So the connection that failed is among
/// as many as the pool may have, and whoever tries again meets it at most once more.
#[derive(Debug)]
pub(super) struct Forgetting {
    seen: AtomicU64,
    /// How many connections are still to forget.
    left: AtomicU32,
}

impl Default for Forgetting {
    fn default() -> Self {
        Self {
            seen: AtomicU64::new(FOUND.load(Ordering::Relaxed)),
            left: AtomicU32::new(0),
        }
    }
}

impl Forgetting {
    /// For a connection that a pool of at most `connections` hands out.
    pub(super) async fn forget(
        &self,
        connection: &mut PgConnection,
        connections: u32,
    ) -> Result<(), sqlx::Error> {
        let found = FOUND.load(Ordering::Relaxed);
        if self.seen.swap(found, Ordering::Relaxed) != found {
            self.left.store(connections, Ordering::Relaxed);
        }
        let take_one = |left: u32| left.checked_sub(1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.left.fetch_update(set, get, take_one).is_ok() {
            connection.clear_cached_statements().await?;
        }
        Ok(())
    }
}
