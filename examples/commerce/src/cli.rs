//! Commands and flags. Every value is a text here: `config` reads it, wherever it came from.

use std::{fmt, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// A shop of four services, by default on nothing but SQLite files.
#[derive(Parser, Debug)]
#[command(name = "commerce", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeArguments,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve the shop (the default)
    Serve(ServeArguments),
    /// Check every invariant of a running or stopped deployment: exit 0 all hold, 1 one is broken, 2 could not check
    Verify(VerifyArguments),
    /// Place orders at a fixed rate and tell how it went
    Load(LoadArguments),
    /// Bring every database up to date and exit
    Migrate(MigrateArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// Which service, or all: order, inventory, payment, shipping [default: all]
    #[arg(long, env = "COMMERCE_SERVICE", value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "COMMERCE_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// Built-in customers: orders per second, or off [default: 5/s]
    #[arg(long, env = "COMMERCE_TRAFFIC", value_name = "N/s|off")]
    pub(crate) traffic: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct StorageArguments {
    /// Where the files lie [default: data]
    #[arg(long, env = "COMMERCE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// PostgreSQL server (builds with `--features distributed`); each service has a database of its own there
    // Its value holds a password: help must not show it.
    #[arg(
        long,
        env = "COMMERCE_POSTGRES",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) postgres: Option<PostgresUrl>,
    /// What the names of these databases begin with [default: commerce_]
    #[arg(long, env = "COMMERCE_POSTGRES_PREFIX", value_name = "PREFIX")]
    pub(crate) postgres_prefix: Option<String>,
    /// TOML file with the same names, `_` in place of `-`
    #[arg(long, env = "COMMERCE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// A URL that may hold a password.
#[derive(Clone)]
pub(crate) struct PostgresUrl(pub(crate) String);

impl From<String> for PostgresUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// How long to wait for a running deployment to come to rest
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) settle: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LoadArguments {
    /// Where the shop answers
    #[arg(
        long,
        env = "COMMERCE_TARGET",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) target: String,
    /// How many orders
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) orders: u32,
    /// Orders per second, whether or not earlier ones were answered
    #[arg(long, value_name = "R", default_value_t = 100)]
    pub(crate) rate: u32,
    /// Requests in flight at most
    #[arg(long, value_name = "C", default_value_t = 256)]
    pub(crate) concurrency: u32,
    /// Payment methods and their weights
    #[arg(
        long,
        value_name = "MIX",
        default_value = "pm_ok=90,pm_declined=3,pm_timeout=1,pm_late=2,pm_flaky=2,pm_3ds=2"
    )]
    pub(crate) mix: String,
    /// How long to wait for the last order to end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) settle: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MigrateArguments {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
}
