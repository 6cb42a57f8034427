//! The statements.

use mainstay_database::Namespace;
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// What differs between the databases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// When the statement began, in microseconds since 1970; an index can be searched by it.
    pub(crate) now: &'static str,
    /// The same, at the moment: a statement may have waited for a lock.
    pub(crate) clock: &'static str,
    /// A condition: the run is one of the list $1.
    pub(crate) listed: &'static str,
    /// The list $1 as rows `n`, each a `value`.
    pub(crate) given: &'static str,
    /// A condition: the run is one of saga $2.
    pub(crate) of_saga: &'static str,
    /// A set of keys that a subquery finds first: what stands before and behind it.
    pub(crate) among: [&'static str; 2],
    /// `FOR UPDATE`.
    pub(crate) lock: &'static str,
    /// `FOR UPDATE SKIP LOCKED`.
    pub(crate) skip: &'static str,
    /// The journal of the run `r`, as one JSON text.
    pub(crate) journal: &'static str,
}

impl Dialect {
    pub(crate) fn render(&self, namespace: &Namespace, text: &str) -> SqlStr {
        let text = text
            .replace("{stored}", STORED)
            .replace("{summary}", SUMMARY)
            .replace("{is_live}", IS_LIVE)
            .replace("{journal}", self.journal)
            .replace("{listed}", self.listed)
            .replace("{given}", self.given)
            .replace("{of_saga}", self.of_saga)
            .replace("{among}", self.among[0])
            .replace("{end}", self.among[1])
            .replace("{lock}", self.lock)
            .replace("{skip}", self.skip)
            .replace("{now}", self.now)
            .replace("{clock}", self.clock);
        // Safe: program text, and a checked namespace.
        AssertSqlSafe(namespace.render(&text)).into_sql_str()
    }
}

const STORED: &str = "r.run, r.business_key, r.version, r.fingerprint, r.state, r.input, {clock} - r.saved_at AS elapsed";

const SUMMARY: &str = "r.saga, r.run, r.business_key, r.version, r.status, r.is_overdue, r.step, r.started_at, r.saved_at, r.wake_at";

/// Part of the unique index of business keys.
const IS_LIVE: &str = "(CASE WHEN ended_at IS NULL THEN 1 END)";

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)*) => {
        /// Rendered once.
        #[derive(Clone, Debug)]
        pub(crate) struct Statements {
            $($(#[$doc])* pub(crate) $name: SqlStr,)*
        }

        impl Statements {
            pub(crate) fn new(namespace: &Namespace, dialect: Dialect) -> Self {
                Self {
                    $($name: dialect.render(namespace, $text),)*
                }
            }
        }
    };
}

statements! {
    create: "INSERT INTO {ns}saga_runs (run, saga, business_key, version, fingerprint, status, is_overdue, state, input, started_at, saved_at)
        VALUES ($1, $2, $3, $4, $5, 'running', false, '', $6, {now}, {now})
        ON CONFLICT (saga, business_key, {is_live}) DO NOTHING";
    find: "SELECT run FROM {ns}saga_runs WHERE saga = $1 AND business_key = $2 AND {is_live} = 1";
    /// In one order, so that two of them never deadlock.
    lock: "SELECT {stored} FROM {ns}saga_runs AS r WHERE {listed} AND {of_saga} ORDER BY r.run {lock}";
    lock_due: "SELECT {stored} FROM {ns}saga_runs AS r
        WHERE r.saga = $1 AND r.fingerprint = $2 AND r.wake_at <= {now} AND r.ended_at IS NULL
        ORDER BY r.wake_at LIMIT $3 + 0 {skip}";
    postpone: "UPDATE {ns}saga_runs SET wake_at = {now} + CAST($2 AS BIGINT) WHERE run = $1 AND wake_at <= {now}";
    prune: "DELETE FROM {ns}saga_runs WHERE run {among}
            SELECT run FROM {ns}saga_runs WHERE saga = $1 AND ended_at < {now} - CAST($2 AS BIGINT)
            ORDER BY ended_at LIMIT $3 + 0 {skip}{end} RETURNING run";
    prune_journals: "DELETE FROM {ns}saga_journal AS r WHERE {listed}";

    /// Conditions follow.
    list: "SELECT {summary} FROM {ns}saga_runs AS r WHERE true";
    /// Conditions follow.
    count: "SELECT count(*) FROM (SELECT 1 FROM {ns}saga_runs AS r WHERE true";
    show: "SELECT {summary}, {stored}, {journal} AS journal FROM {ns}saga_runs AS r WHERE r.run = $1";
    /// Jumps from definition to definition along the index, and counts up to $2 runs of each. In the
    /// index's order, since a planner may read the table for any one of many.
    live: "WITH RECURSIVE f (fingerprint) AS (
            SELECT min(r.fingerprint) FROM {ns}saga_runs AS r WHERE r.saga = $1 AND r.ended_at IS NULL
            UNION ALL
            SELECT (SELECT min(r.fingerprint) FROM {ns}saga_runs AS r
                    WHERE r.saga = $1 AND r.ended_at IS NULL AND r.fingerprint > f.fingerprint)
            FROM f WHERE f.fingerprint IS NOT NULL)
        SELECT e.version, e.fingerprint, e.run,
            (SELECT count(*) FROM (SELECT 1 FROM {ns}saga_runs AS r
                WHERE r.saga = $1 AND r.ended_at IS NULL AND r.fingerprint = f.fingerprint
                ORDER BY r.wake_at LIMIT $2 + 0) AS t) AS runs
        FROM f JOIN {ns}saga_runs AS e ON e.run = (SELECT r.run FROM {ns}saga_runs AS r
            WHERE r.saga = $1 AND r.ended_at IS NULL AND r.fingerprint = f.fingerprint
            ORDER BY r.wake_at LIMIT 1)
        ORDER BY e.version, e.fingerprint";

    /// Waits for other transactions that begin or undo the step, as `undo` does.
    begin: "INSERT INTO {ns}saga_steps AS s (step, begins, undos, at) VALUES ($1, 1, 0, {now})
        ON CONFLICT (step) DO UPDATE SET begins = s.begins + 1, at = {now} RETURNING begins, undos";
    /// In one order, so that two of them never deadlock.
    begin_batch: "INSERT INTO {ns}saga_steps AS s (step, begins, undos, at)
            SELECT n.value, 1, 0, {now} FROM {given} WHERE true ORDER BY n.value
        ON CONFLICT (step) DO UPDATE SET begins = s.begins + 1, at = {now} RETURNING step, begins, undos";
    undo: "INSERT INTO {ns}saga_steps AS s (step, begins, undos, at) VALUES ($1, 0, 1, {now})
        ON CONFLICT (step) DO UPDATE SET undos = s.undos + 1, at = {now} RETURNING begins, undos";
    prune_steps: "DELETE FROM {ns}saga_steps WHERE step {among}
            SELECT step FROM {ns}saga_steps WHERE at < {now} - CAST($1 AS BIGINT) ORDER BY at LIMIT $2 + 0 {skip}{end}";
}

/// Names the columns that this build needs, and reads no row.
pub(crate) const PROBES: [&str; 3] = [
    "SELECT run, saga, business_key, version, fingerprint, status, is_overdue, step, state, input, started_at, saved_at, wake_at, ended_at
        FROM {ns}saga_runs WHERE false",
    "SELECT run, number, at, entry FROM {ns}saga_journal WHERE false",
    "SELECT step, begins, undos, at FROM {ns}saga_steps WHERE false",
];
