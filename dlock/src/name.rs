//! Which names a lock may have.

use crate::Error;

/// Longer names would not fit into every store's index.
const LONGEST: usize = 255;

pub(crate) fn check(name: &str) -> Result<(), Error> {
    let invalid = |why| {
        Err(Error::InvalidName {
            name: name.chars().take(64).collect(),
            why,
        })
    };
    if name.is_empty() || name.len() > LONGEST {
        return invalid("use 1 to 255 bytes");
    }
    if name.contains(char::is_control) {
        return invalid("leave out control characters");
    }
    Ok(())
}

#[test]
fn names_are_short_and_printable() {
    for good in ["sweeper", "tenant 7/orders", "é", &"x".repeat(255)] {
        assert!(check(good).is_ok(), "{good}");
    }
    for bad in ["", "a\nb", "\0", &"x".repeat(256)] {
        assert!(check(bad).is_err(), "{bad}");
    }
}
