//! The locks of a service's processes.

use commerce_chassis::{ON_A_SERVER, Result, Snapshot};

/// PostgreSQL draws tokens from a sequence, SQLite from a row.
const NEWEST: &str = if ON_A_SERVER {
    "SELECT last_value FROM dlock_tokens"
} else {
    "SELECT fence FROM dlock_tokens"
};

/// The tables of `mainstay-dlock`.
#[derive(Default, Debug)]
pub(crate) struct Locks {
    /// Name and fencing token of each lock that is held, or was until its lease ended.
    pub(crate) leases: Vec<(String, i64)>,
    /// The newest token that each guarded resource has accepted.
    pub(crate) accepted: Vec<(String, i64)>,
    /// The newest token that was granted.
    pub(crate) newest: i64,
}

impl Locks {
    pub(super) async fn read(snapshot: &mut Snapshot) -> Result<Self> {
        let newest: Vec<(i64,)> = snapshot.all(NEWEST).await?;
        Ok(Self {
            leases: snapshot.all("SELECT name, fence FROM dlock_leases").await?,
            accepted: snapshot.all("SELECT name, fence FROM dlock_fences").await?,
            newest: newest.first().map_or(0, |(fence,)| *fence),
        })
    }
}
