//! Commands and flags. `config` reads the texts of `serve`, which may also come from the
//! environment or a file.

pub(crate) mod dead_letters;
pub(crate) mod deferred;
pub(crate) mod operator;
pub(crate) mod sagas;

use std::{fmt, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::RangedI64ValueParser};

/// A shop of eight services and a gateway, by default on SQLite files.
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
    /// Check every invariant of a running or stopped deployment. Exit code 0: all hold; 1: one is
    /// broken; 2: not checked
    Verify(VerifyArguments),
    /// Place orders at a fixed rate, and report latencies and outcomes
    Load(LoadArguments),
    /// Run a scenario on a running deployment. Exit code 0: every expectation held
    Demo(DemoArguments),
    Dlq(dead_letters::DlqArguments),
    Outbox(deferred::OutboxArguments),
    Saga(sagas::SagaArguments),
    /// Print the names of the services, one a line
    Services,
    /// Migrate every database and exit
    Migrate(MigrateArguments),
    /// Delete the shop in a data directory, to start over
    Reset(ResetArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// Service to run, gateway for the gateway alone, or all of them in one process [default: all]
    #[arg(long, env = "COMMERCE_SERVICE", value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "COMMERCE_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// Orders per second of the built-in customers, or off [default: 5/s]
    #[arg(long, env = "COMMERCE_TRAFFIC", value_name = "N/s|off")]
    pub(crate) traffic: Option<String>,
    /// Token that makes its sender an operator on every route, as `Authorization: Bearer TOKEN`. In an
    /// open shop only /api/v1/dlq asks for it [default: none; then operators log in]
    #[arg(
        long,
        env = "COMMERCE_OPERATOR_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) operator_token: Option<Secret>,
    /// Whether requests need a token: open or required. Open is allowed on a loopback address only,
    /// and is the default there
    #[arg(long, env = "COMMERCE_AUTH", value_name = "open|required")]
    pub(crate) auth: Option<String>,
    /// Where a service is that the gateway stands before, such as order=http://127.0.0.1:8081; once
    /// per process of a service. While one of them does not answer, the next one is asked
    #[arg(
        long,
        env = "COMMERCE_UPSTREAM",
        value_name = "NAME=URL",
        value_delimiter = ','
    )]
    pub(crate) upstream: Vec<String>,
    /// Key set of identity, for a process without it [default: at the gateway, that of its upstream
    /// identity]
    #[arg(long, env = "COMMERCE_JWKS", value_name = "URL")]
    pub(crate) jwks: Option<String>,
    /// Requests per second of one client at the gateway [default: off if open, 100/s if tokens are
    /// required]
    #[arg(long, env = "COMMERCE_RATE_LIMIT", value_name = "N/s|off")]
    pub(crate) rate_limit: Option<String>,
    /// Collector that spans are sent to, as OTLP over HTTP, in builds with `--features otel`, such as
    /// `http://127.0.0.1:4318` [default: none]
    #[arg(long, env = "COMMERCE_OTLP", value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Password of the seeded users [default: mainstay-demo in an open shop; if tokens are required,
    /// they cannot log in]
    #[arg(
        long,
        env = "COMMERCE_SEED_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub(crate) seed_password: Option<Secret>,
    /// Secret that the carrier signs webhooks with, as `whsec_BASE64` [default: a documented one if the
    /// shop is open, otherwise a random one]
    #[arg(
        long,
        env = "COMMERCE_CARRIER_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub(crate) carrier_secret: Option<Secret>,
    /// Secret that the payment provider signs webhooks with; the default is as the carrier's
    #[arg(
        long,
        env = "COMMERCE_PSP_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub(crate) psp_secret: Option<Secret>,
    /// Mail server, in builds with `--features distributed`, such as `smtps://USER:PASSWORD@HOST`
    /// [default: mails are files under mails in the data directory]
    // The value may hold a password, so help must not show it.
    #[arg(
        long,
        env = "COMMERCE_SMTP",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) smtp: Option<Secret>,
    /// Time for which stock is held for an order that is not confirmed, in seconds [default: 900]
    #[arg(long, env = "COMMERCE_HOLD", value_name = "SECONDS")]
    pub(crate) hold: Option<u64>,
    /// Deadline for the head of a request, and then for its body, in seconds [default: 10]
    #[arg(long, env = "COMMERCE_REQUEST_TIMEOUT", value_name = "SECONDS")]
    pub(crate) request_timeout: Option<u64>,
    /// Time in which a service begins its answer to the gateway, in seconds [default: 15]
    #[arg(long, env = "COMMERCE_ANSWER_TIMEOUT", value_name = "SECONDS")]
    pub(crate) answer_timeout: Option<u64>,
    /// Open connections at most; a new one replaces the one that has waited longest [default: 512]
    #[arg(long, env = "COMMERCE_MAX_CONNECTIONS", value_name = "N")]
    pub(crate) max_connections: Option<u64>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StorageArguments {
    /// Directory of the files [default: data]
    #[arg(long, env = "COMMERCE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// PostgreSQL server, in builds with `--features distributed`; each service has its own
    /// database there
    // The value holds a password, so help must not show it.
    #[arg(
        long,
        env = "COMMERCE_POSTGRES",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) postgres: Option<Secret>,
    /// Prefix of the names of these databases [default: commerce_]
    #[arg(long, env = "COMMERCE_POSTGRES_PREFIX", value_name = "PREFIX")]
    pub(crate) postgres_prefix: Option<String>,
    /// Redis server, in builds with `--features distributed`; processes share the leases of calls
    /// to the payment provider there
    // The value may hold a password, so help must not show it.
    #[arg(
        long,
        env = "COMMERCE_REDIS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) redis: Option<Secret>,
    /// Servers of a Kafka cluster, in builds with `--features distributed`: the log is there
    /// [default: none; then the log is a file]
    #[arg(long, env = "COMMERCE_KAFKA", value_name = "HOST:PORT,…")]
    pub(crate) kafka: Option<String>,
    /// Prefix of the names of topics and groups on it [default: commerce_]
    #[arg(long, env = "COMMERCE_KAFKA_PREFIX", value_name = "PREFIX")]
    pub(crate) kafka_prefix: Option<String>,
    /// Partitions of each topic that is created [default: 4]
    #[arg(long, env = "COMMERCE_PARTITIONS", value_name = "N")]
    pub(crate) partitions: Option<u16>,
    /// TOML file with the same names, with `_` instead of `-`
    #[arg(long, env = "COMMERCE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// A number from 1 to `most`.
fn at_most(most: i64) -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=most)
}

/// A token, or a URL that may hold a password.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// Longest wait until a running deployment has nothing in progress
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) settle: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LoadArguments {
    /// URL of the shop
    #[arg(
        long,
        env = "COMMERCE_TARGET",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) target: String,
    /// Number of orders
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = at_most(1_000_000))]
    pub(crate) orders: u32,
    /// Orders per second, even if earlier ones are not answered yet
    #[arg(long, value_name = "R", default_value_t = 100, value_parser = at_most(100_000))]
    pub(crate) rate: u32,
    /// Concurrent requests at most
    #[arg(long, value_name = "C", default_value_t = 256, value_parser = at_most(100_000))]
    pub(crate) concurrency: u32,
    /// Reads of the catalog per second beside the orders: lists, searches and products
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) reads: u32,
    /// Reads of accepted orders per second beside them
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) order_reads: u32,
    /// Payment methods and their weights
    #[arg(
        long,
        value_name = "MIX",
        default_value = "pm_ok=90,pm_declined=3,pm_timeout=1,pm_late=2,pm_flaky=2,pm_3ds=2"
    )]
    pub(crate) mix: String,
    /// Longest wait for the last order to end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) settle: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    #[arg(value_enum)]
    pub(crate) scenario: Scenario,
    /// URL of the shop
    #[arg(
        long,
        env = "COMMERCE_TARGET",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum Scenario {
    /// An order is paid, packed and delivered
    HappyPath,
    /// The card is declined: what was done is undone
    PaymentFailure,
    /// The stock is short: the order is refused, and nobody is asked for money
    InventoryUnavailable,
    /// Every message of an order comes a second time, and nothing happens twice
    DuplicateEvent,
    /// The payment provider stays silent: the saga gives up and undoes
    SagaTimeout,
    /// A thousand customers want one scarce product: exactly the stock is sold
    ConcurrentOrders,
    /// A message that no handler can read: from the alarm to fixed
    Poison,
    /// The same up to the alarm: the repair is left to you, with `commerce dlq` or the page /ops
    PoisonAlarm,
}

#[derive(Args, Debug)]
pub(crate) struct ResetArguments {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MigrateArguments {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
}
