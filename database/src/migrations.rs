//! A component's schema as an ordered list of migrations.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod check;

use crate::{Error, Namespace};

/// The migrations of one component (a pattern crate, a service), oldest first.
///
/// Two ways to run them:
///
/// - `Database::migrate` of the adapter applies what is missing in one transaction, and records it
///   in the component's version table. Ten processes may start it at once. It refuses a schema that
///   is newer than the build.
/// - [`sql`](Self::sql) hands the steps to a migration tool of your own. Stores accept the result.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "written as a constant in other crates"
)]
pub struct Migrations {
    /// Whose schema it is; part of the version table's name, so `a-z`, `0-9` and `_` only.
    pub component: &'static str,
    /// The steps; their versions are 1, 2, 3 … in this order.
    pub steps: &'static [Migration],
}

/// One step: a script of statements.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "written as a constant in other crates"
)]
pub struct Migration {
    /// A name for people, such as `0001_outbox`.
    pub name: &'static str,
    /// Statements, with the placeholders of [`Namespace`](crate::Namespace). Never edited once
    /// released.
    pub sql: &'static str,
}

impl Migrations {
    /// The newest version this build knows.
    #[must_use]
    pub fn newest(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    /// The steps as SQL text for a migration tool, oldest first: a name such as `0001_outbox`, and
    /// the statements.
    ///
    /// Each step also records itself in the version table, so that `Database::migrate` and the
    /// `open` of a store find it done. A schema of PostgreSQL that `namespace` names must exist.
    ///
    /// ```
    /// # use mainstay_database::{Migration, Migrations, Namespace};
    /// # const SHOP: Migrations = Migrations { component: "shop", steps: &[Migration { name: "0001_orders", sql: "" }] };
    /// for (name, sql) in SHOP.sql(&Namespace::plain()) {
    ///     println!("-- {name}.sql\n{sql}");
    /// }
    /// ```
    pub fn sql(&self, namespace: &Namespace) -> impl Iterator<Item = (&'static str, String)> {
        let table = namespace.render(&self.version_table());
        (1u32..).zip(self.steps).map(move |(version, step)| {
            let sql = format!(
                "{};\nCREATE TABLE IF NOT EXISTS {table} \
                 (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum BIGINT NOT NULL);\n\
                 INSERT INTO {table} (version, name, checksum) VALUES ({version}, '{}', {});\n",
                namespace.render(step.sql).trim_end().trim_end_matches(';'),
                step.name,
                step.checksum(),
            );
            (step.name, sql)
        })
    }

    /// The component's version table, with the placeholder of [`Namespace`].
    pub(crate) fn version_table(&self) -> String {
        format!("{{ns}}{}_schema", self.component)
    }

    /// The steps still to apply, with their versions. `applied` has the version and checksum of
    /// each step applied, ascending.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], [`Error::ChangedMigration`].
    pub fn pending(&self, applied: &[(u32, i64)]) -> Result<Vec<(u32, &'static Migration)>, Error> {
        if let Some(&(found, _)) = applied.last()
            && found > self.newest()
        {
            return Err(Error::NewerSchema {
                component: self.component.to_owned(),
                found,
                known: self.newest(),
            });
        }
        let mut pending = Vec::new();
        for (version, step) in (1u32..).zip(self.steps) {
            match applied.iter().find(|(applied, _)| *applied == version) {
                Some(&(_, checksum)) if checksum == step.checksum() => {}
                Some(_) => {
                    return Err(Error::ChangedMigration {
                        component: self.component.to_owned(),
                        version,
                    });
                }
                None => pending.push((version, step)),
            }
        }
        Ok(pending)
    }
}

impl Migration {
    /// FNV-1a of the text, recorded to notice a migration that was edited after it was applied.
    #[must_use]
    pub fn checksum(&self) -> i64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.sql.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash.cast_signed()
    }
}
