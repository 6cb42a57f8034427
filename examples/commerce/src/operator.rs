//! What acts and views of a deployment begin with: where it is, and who acts.

use std::io::{IsTerminal as _, Write as _};

use commerce_chassis::Storage;

use crate::{
    cli::{StorageArguments, operator::Signed},
    config,
    error::Failure,
};

/// Who acts, and why.
pub(crate) fn operator(signed: &Signed) -> Result<(String, String), Failure> {
    let user = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    let operator = signed.operator.clone().or_else(user);
    let operator = operator.ok_or_else(|| {
        Failure::plain(
            "the act needs a name: USER is not set; give --operator NAME, or set COMMERCE_OPERATOR",
        )
        .unanswered()
    })?;
    Ok((operator, signed.reason.clone()))
}

/// The storage of a deployment that runs or has run.
pub(crate) fn storage(arguments: StorageArguments) -> Result<Storage, Failure> {
    config::storage(arguments).map_err(Failure::unanswered)
}

/// Asks a person; a script says `--yes`.
pub(crate) fn confirm(what: &str) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::plain(format!("{what}? confirm with --yes")).unanswered());
    }
    // The question goes to stderr, so that stdout stays one JSON value.
    let mut stderr = std::io::stderr();
    let mut answer = String::new();
    let asked = write!(stderr, "{what}? [y/N] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| stdin.read_line(&mut answer));
    asked.map_err(|error| Failure::new("cannot ask", &error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::plain("nothing was done"))
}
