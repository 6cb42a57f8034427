//! Where a pattern's tables live: an optional schema and an optional prefix, checked.

use std::{fmt, sync::Arc};

/// A schema and a prefix for every object of a pattern, checked so that it can be put into SQL
/// text.
///
/// SQL text names its objects with two placeholders, which [`render`](Self::render) fills in:
/// `{ns}` is the schema (if any, in quotes: it may be a word of SQL) and the prefix, for tables:
/// `{ns}outbox`; `{prefix}` is the prefix alone, for indexes, which live in their table's schema:
/// `{prefix}outbox_by_key`.
///
/// ```
/// use mainstay_database::Namespace;
///
/// let ns = Namespace::prefixed("shop_")?;
/// assert_eq!(&*ns.render("DELETE FROM {ns}outbox"), "DELETE FROM shop_outbox");
/// assert!(Namespace::prefixed("x; DROP TABLE").is_err());
/// # Ok::<_, mainstay_database::InvalidNamespace>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Namespace {
    schema: Option<Arc<str>>,
    prefix: Arc<str>,
}

impl Namespace {
    /// No schema, no prefix: plain names.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// A prefix before every name.
    ///
    /// # Errors
    /// [`InvalidNamespace`] unless `prefix` is empty or 1 to 30 of `a-z`, `0-9` and `_`, starting
    /// with no digit, nor with `pg_` or `sqlite_`.
    pub fn prefixed(prefix: &str) -> Result<Self, InvalidNamespace> {
        if !prefix.is_empty() {
            check("prefix", prefix)?;
        }
        Ok(Self {
            schema: None,
            prefix: prefix.into(),
        })
    }

    /// Puts everything into a schema of PostgreSQL, which must exist. Not for SQLite: a schema
    /// there is an attached file, and the stores attach none.
    ///
    /// # Errors
    /// [`InvalidNamespace`] unless `schema` is 1 to 30 of `a-z`, `0-9` and `_`, starting with no
    /// digit, nor with `pg_` or `sqlite_`.
    pub fn in_schema(mut self, schema: &str) -> Result<Self, InvalidNamespace> {
        check("schema", schema)?;
        self.schema = Some(schema.into());
        Ok(self)
    }

    /// The schema, if there is one. Without quotes: SQL text needs them where it is a reserved
    /// word.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Fills the placeholders of `sql`. Do it once per statement, not once per call.
    #[must_use]
    pub fn render(&self, sql: &str) -> Arc<str> {
        let qualified = match &self.schema {
            Some(schema) => format!("\"{schema}\".{}", self.prefix),
            None => self.prefix.to_string(),
        };
        sql.replace("{ns}", &qualified)
            .replace("{prefix}", &self.prefix)
            .into()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render("{ns}"))
    }
}

fn check(what: &'static str, text: &str) -> Result<(), InvalidNamespace> {
    let invalid = |why| {
        Err(InvalidNamespace {
            what,
            text: text.chars().take(64).collect(),
            why,
        })
    };
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !starts_well || text.len() > 30 || !text.chars().all(plain) {
        return invalid("use 1 to 30 of a-z, 0-9 and _, not starting with a digit");
    }
    // PostgreSQL refuses such schemas and roles, SQLite such tables.
    if text.starts_with("pg_") || text.starts_with("sqlite_") {
        return invalid(
            "the database keeps names that begin with pg_ or sqlite_ for itself, use another",
        );
    }
    Ok(())
}

/// A schema or prefix that may not be put into SQL text.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error("invalid {what} {text:?}: {why}")]
#[non_exhaustive]
pub struct InvalidNamespace {
    what: &'static str,
    text: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn schema_qualifies_tables_but_not_indexes() {
        let ns = Namespace::prefixed("a_").unwrap().in_schema("s").unwrap();
        assert_eq!(
            &*ns.render("CREATE INDEX {prefix}i ON {ns}t (x)"),
            "CREATE INDEX a_i ON \"s\".a_t (x)"
        );
    }

    #[test]
    fn names_reserved_by_databases_are_refused() {
        let plain = Namespace::plain();
        for name in ["pg_", "pg_shop", "sqlite_"] {
            let refused = [Namespace::prefixed(name), plain.clone().in_schema(name)];
            for (what, refused) in ["prefix", "schema"].into_iter().zip(refused) {
                let says = format!(
                    "invalid {what} {name:?}: the database keeps names that begin with pg_ or sqlite_"
                );
                let told = refused.unwrap_err().to_string();
                assert!(told.starts_with(&says), "{told}");
            }
        }
        for name in ["pg", "sqlite", "order_pg_"] {
            assert!(Namespace::prefixed(name).is_ok(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_accepted_name_is_a_plain_identifier(text in ".{0,40}") {
            if Namespace::prefixed(&text).is_ok() {
                prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
                prop_assert!(!text.starts_with(|c: char| c.is_ascii_digit()));
            }
        }
    }
}
