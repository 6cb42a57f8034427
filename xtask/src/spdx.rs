//! SPDX licence expressions, as far as manifests use them: names, `AND`, `OR`, `WITH`, parentheses, and the
//! old `/` for `OR`.

/// Whether the licences in `allowed` are enough to satisfy `expression`.
///
/// An exception (`WITH …`) only grants more, so the licence before it decides.
pub(crate) fn satisfied(expression: &str, allowed: &[String]) -> Result<bool, String> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let answer = any(&mut rest, allowed);
    match (answer, rest) {
        (Some(answer), []) => Ok(answer),
        _ => Err(format!("{expression:?} is not an SPDX expression")),
    }
}

fn any(tokens: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut answer = all(tokens, allowed)?;
    while let ["OR", rest @ ..] = *tokens {
        *tokens = rest;
        answer |= all(tokens, allowed)?;
    }
    Some(answer)
}

fn all(tokens: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut answer = one(tokens, allowed)?;
    while let ["AND", rest @ ..] = *tokens {
        *tokens = rest;
        answer &= one(tokens, allowed)?;
    }
    Some(answer)
}

fn one(tokens: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let (first, rest) = tokens.split_first()?;
    *tokens = rest;
    match *first {
        "(" => {
            let answer = any(tokens, allowed)?;
            *tokens = tokens.strip_prefix(&[")"])?;
            Some(answer)
        }
        ")" | "AND" | "OR" | "WITH" => None,
        name => {
            if let ["WITH", _exception, rest @ ..] = *tokens {
                *tokens = rest;
            }
            Some(allowed.iter().any(|licence| licence == name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    fn with_mit_and_zlib(expression: &str) -> Result<bool, String> {
        satisfied(expression, &["MIT".to_owned(), "Zlib".to_owned()])
    }

    #[test]
    fn one_side_of_or_is_enough_and_both_sides_of_and_are_needed() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "MIT AND Zlib",
            "(GPL-3.0 OR MIT) AND Zlib",
            "MIT WITH LLVM-exception",
        ] {
            assert_eq!(with_mit_and_zlib(good), Ok(true), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT AND (GPL-3.0 OR AGPL-3.0)",
            "GPL-3.0 WITH Classpath-exception-2.0",
        ] {
            assert_eq!(with_mit_and_zlib(bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_an_error_and_never_an_allowance() {
        for nonsense in ["", "MIT OR", "(MIT", "MIT Zlib", "AND", "MIT) OR Zlib"] {
            assert!(with_mit_and_zlib(nonsense).is_err(), "{nonsense}");
        }
    }
}
