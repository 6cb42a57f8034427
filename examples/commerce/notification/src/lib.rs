//! The notification service: tells customers what happened to their orders.
//!
//! A handler renders the text and inserts a row, in the transaction that handles the event. A round
//! sends the rows, in one process at a time, and retries as long as the mail server is away. So an
//! outage of the mail server delays mails, and stops no handler.
//!
//! | file | what |
//! |---|---|
//! | `news` | what of an event concerns the customer, pure |
//! | `texts` | templates by language, in `templates/` |
//! | `handlers` | the events: who is told, and how |
//! | `sender` | sends what is due |
//! | `sink`, `smtp` | where it goes: files, or a mail server |
//! | `http`, `store` | requests, tables |
//!
//! | what | guarantee |
//! |---|---|
//! | rows | at most one per event and channel: the inbox handles an event once, and the table has a unique key |
//! | files | one per delivery, whatever is killed: its name is made of the row's key, and it is written again under that name |
//! | SMTP | at least one mail: a kill between the server's answer and our record sends it again, with the same `Message-ID`, by which servers and mail programs drop the second copy |
//! | a customer without a contact | the event is tried for about a second, for `UserChanged` may be on its way; then it is a dead letter, and its replay sends the mail |
//! | news before its `OrderConfirmed` | they wait in the row of the order |

mod contact;
mod handlers;
mod http;
mod news;
mod sender;
mod sink;
#[cfg(feature = "smtp")]
mod smtp;
mod store;
#[cfg(test)]
mod tests;
mod texts;

use std::{fmt, time::Duration};

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

pub use news::is_news;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("notification", "0001_notification");

/// Rounds of the sender start at least this far apart; mails that fall due meanwhile share one
/// transaction.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// Settings of the service.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The mail server, such as `smtps://USER:PASSWORD@HOST`. None: mails are files under `mails`
    /// in the data directory, as text messages are in any case.
    pub smtp: Option<String>,
}

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
/// [`Error::Setting`](commerce_chassis::Error::Setting): the URL of the mail server is invalid, or
/// this build has no SMTP.
pub async fn open(deployment: &Deployment, settings: &Settings) -> Result<Service> {
    let sinks = sink::Sinks::open(deployment.storage().data(), settings)?;
    let builder = ServiceBuilder::open(deployment, "notification", &MIGRATIONS).await?;
    let router = http::router(&builder);
    let desk = handlers::Desk::new(&builder, texts::Texts::load()?);
    let sender = sender::Sender::new(&builder, sinks);
    let builder = builder.lead("sender", sender, MIN_INTERVAL).await?;
    builder
        .build(router, handlers::handlers(desk), Vec::new())
        .await
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        let smtp = self.smtp.as_ref().map(|_| "…");
        f.debug_struct("Settings").field("smtp", &smtp).finish()
    }
}
