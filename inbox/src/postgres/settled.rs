//! The number up to which all processed records are committed or rolled back.

use std::sync::{Mutex, PoisonError};

use mainstay_database::{Namespace, postgres::statement};
use sqlx::{PgConnection, SqlStr};

/// A record draws its number before it is committed. Below the newest visible record there may be
/// some whose transactions are still open. A checkpoint that covered those would let records be
/// pruned that are younger than it.
///
/// So a checkpoint covers records up to a number that was read earlier, once all transactions have
/// ended that may have drawn a lower one. Such a transaction holds a lock on the table from before
/// the draw until its end. The list of these locks, read after the number, names all of them. If
/// the list is empty, the number is settled at once.
///
/// This is kept in memory and not in a table: transactions have other names after a restart.
#[derive(Default, Debug)]
pub(super) struct Settled {
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    /// Every record up to this number is committed or rolled back.
    up_to: i64,
    pending: Option<Pending>,
}

/// A number that is settled once these have ended.
#[derive(Debug)]
struct Pending {
    newest: i64,
    writers: Vec<String>,
}

/// A transaction that has written records: its name, and whether it is a prepared one. Preparing
/// changes the name.
type Writer = (String, bool);

/// The statements.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    newest: SqlStr,
    writers: SqlStr,
    table: String,
}

impl Settling {
    pub(super) fn new(namespace: &Namespace) -> Self {
        Self {
            newest: statement(
                namespace,
                "SELECT coalesce(max(seq), 0) FROM {ns}inbox_processed",
            ),
            writers: statement(
                namespace,
                "SELECT DISTINCT virtualtransaction, pid IS NULL FROM pg_catalog.pg_locks
                 WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = $1::regclass
                   AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())",
            ),
            table: namespace.render("{ns}inbox_processed").to_string(),
        }
    }

    /// The highest number that is known to be settled. `keep` says whether the connection keeps
    /// prepared statements.
    pub(super) async fn look(
        &self,
        connection: &mut PgConnection,
        settled: &Settled,
        keep: bool,
    ) -> Result<i64, sqlx::Error> {
        // Two statements, in this order: a transaction that has drawn a number up to this one holds
        // its lock by now, or has ended.
        let newest = sqlx::query_scalar(self.newest.clone())
            .persistent(keep)
            .fetch_one(&mut *connection)
            .await?;
        let writers = sqlx::query_as(self.writers.clone())
            .persistent(keep)
            .bind(&self.table)
            .fetch_all(connection)
            .await?;
        Ok(settled.advance(newest, writers))
    }
}

impl Settled {
    fn advance(&self, newest: i64, writers: Vec<Writer>) -> i64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if writers.is_empty() {
            state.up_to = state.up_to.max(newest);
            state.pending = None;
            return state.up_to;
        }
        // Reads of several workers may overlap: this one began before the pending one.
        if state
            .pending
            .as_ref()
            .is_some_and(|pending| newest < pending.newest)
        {
            return state.up_to;
        }
        // A prepared transaction may be any of the pending ones under another name.
        let prepared = writers.iter().any(|(_, prepared)| *prepared);
        let open = |name: &String| writers.iter().any(|(writer, _)| writer == name);
        match &state.pending {
            Some(pending) if prepared || pending.writers.iter().any(open) => {}
            pending => {
                if let Some(pending) = pending {
                    state.up_to = state.up_to.max(pending.newest);
                }
                state.pending = Some(Pending {
                    newest,
                    writers: writers.into_iter().map(|(name, _)| name).collect(),
                });
            }
        }
        state.up_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writers(names: &[&str]) -> Vec<Writer> {
        let writer = |name: &&str| ((*name).to_owned(), name.starts_with('-'));
        names.iter().map(writer).collect()
    }

    #[test]
    fn an_overtaken_read_settles_nothing() {
        let settled = Settled::default();
        assert_eq!(settled.advance(20, writers(&["4/7"])), 0);
        assert_eq!(settled.advance(10, writers(&["3/1"])), 0);
        assert_eq!(settled.advance(21, writers(&["4/7"])), 0);
        assert_eq!(settled.advance(22, writers(&["5/1"])), 20);
    }

    #[test]
    fn a_number_is_settled_once_all_transactions_that_wrote_when_it_was_read_have_ended() {
        let settled = Settled::default();
        assert_eq!(settled.advance(10, writers(&[])), 10);
        assert_eq!(settled.advance(20, writers(&["3/1", "4/7"])), 10);
        assert_eq!(settled.advance(30, writers(&["4/7", "5/1"])), 10);
        // 4/7 has ended; 5/1 began after 20 was read.
        assert_eq!(settled.advance(40, writers(&["5/1"])), 20);
        assert_eq!(settled.advance(50, writers(&["6/1"])), 40);
        assert_eq!(settled.advance(50, writers(&[])), 50);
    }

    #[test]
    fn a_prepared_transaction_has_another_name_and_has_not_ended() {
        let settled = Settled::default();
        assert_eq!(settled.advance(20, writers(&["3/1"])), 0);
        assert_eq!(settled.advance(30, writers(&["-1/900"])), 0);
        assert_eq!(settled.advance(30, writers(&["3/2"])), 20);
    }
}
