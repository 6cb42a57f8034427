//! What names a request: whose it is, what it does, and the caller's key.

use std::{fmt, sync::Arc};

/// The longest key and the longest tenant, in bytes.
const LONGEST: usize = 255;

/// The longest operation, in bytes. A path may be long.
const LONGEST_OPERATION: usize = 2_048;

/// Where a key means something: a tenant, and an operation of the service.
///
/// It is part of every [`Key`], so two tenants that choose the same text never meet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scope {
    tenant: Arc<str>,
    operation: Arc<str>,
}

impl Scope {
    /// The scope of `operation`, such as `POST /orders` or `charge`, for `tenant`: the account,
    /// customer or user whose keys these are.
    ///
    /// # Errors
    /// [`InvalidKey`] if the tenant has more than 255 bytes, the operation more than 2,048 or none,
    /// or either contains a control character.
    pub fn new(tenant: &str, operation: &str) -> Result<Self, InvalidKey> {
        check("tenant", tenant, 0, LONGEST, |c| !c.is_control())?;
        check("operation", operation, 1, LONGEST_OPERATION, |c| {
            !c.is_control()
        })?;
        Ok(Self {
            tenant: tenant.into(),
            operation: operation.into(),
        })
    }

    /// The scope of an operation where all callers are one tenant, whose name is empty.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn single_tenant(operation: &str) -> Result<Self, InvalidKey> {
        Self::new("", operation)
    }

    /// The key that a caller chose, in this scope.
    ///
    /// # Errors
    /// [`InvalidKey`] unless `text` is 1 to 255 printable ASCII characters.
    pub fn key(&self, text: &str) -> Result<Key, InvalidKey> {
        check("idempotency key", text, 1, LONGEST, |c| {
            (' '..='~').contains(&c)
        })?;
        Ok(Key {
            scope: self.clone(),
            text: text.into(),
        })
    }

    /// The tenant; empty where there is only one.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }
}

/// The name of one request: a [`Scope`], and the text that the caller chose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    scope: Scope,
    text: Arc<str>,
}

impl Key {
    /// Where the key means something.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What the caller chose.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scope { tenant, operation } = &self.scope;
        write!(f, "{:?} of {operation}", self.text)?;
        if !tenant.is_empty() {
            write!(f, " for {tenant}")?;
        }
        Ok(())
    }
}

fn check(
    what: &'static str,
    text: &str,
    least: usize,
    most: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<(), InvalidKey> {
    let invalid = |why| Err(InvalidKey { what, why });
    if text.len() < least {
        return invalid("it is empty");
    }
    if text.len() > most {
        return invalid("it is too long");
    }
    if !text.chars().all(allowed) {
        return invalid("it contains a character that is not allowed");
    }
    Ok(())
}

/// A key, tenant or operation that cannot be one.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error(
    "invalid {what}: {why}; a key is 1 to 255 printable ASCII characters, tenant and operation are text without control characters"
)]
#[non_exhaustive]
pub struct InvalidKey {
    what: &'static str,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_printable_ascii() {
        let scope = Scope::single_tenant("POST /orders").unwrap();
        for good in ["k", "a b", "~", &"k".repeat(255)] {
            assert_eq!(scope.key(good).unwrap().text(), good);
        }
        for bad in ["", "ä", "a\n", "a\0", &"k".repeat(256)] {
            assert!(scope.key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn scopes_have_no_control_characters() {
        assert!(Scope::new("Zoë & Söhne", "charge").is_ok());
        assert!(Scope::new("a\0", "charge").is_err());
        assert!(Scope::new("", "").is_err());
        assert!(Scope::new(&"t".repeat(256), "charge").is_err());
    }

    #[test]
    fn a_key_reads_as_what_it_names() {
        let key = |tenant| {
            let key = Scope::new(tenant, "POST /orders").unwrap().key("k1");
            key.unwrap().to_string()
        };
        assert_eq!(key(""), r#""k1" of POST /orders"#);
        assert_eq!(key("acme"), r#""k1" of POST /orders for acme"#);
    }
}
