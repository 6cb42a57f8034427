//! What acts and views of a deployment begin with: where it is, and who acts.

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
