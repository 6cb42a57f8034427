//! Flags that every act and view of an operator has.

use clap::Args;

use super::StorageArguments;

/// Where the deployment is, and how to print.
#[derive(Args, Debug)]
pub(crate) struct Target {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// Print one JSON value
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who acts, and why. The audit log keeps both.
#[derive(Args, Debug)]
pub(crate) struct Signed {
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who [default: USER of the environment]
    #[arg(long, env = "COMMERCE_OPERATOR", value_name = "NAME")]
    pub(crate) operator: Option<String>,
}
