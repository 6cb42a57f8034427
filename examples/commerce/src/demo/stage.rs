//! The shop on which a scenario is played: places orders, follows them, and tells links.

use commerce_chassis::{Storage, from_rfc3339};
use mainstay_clock::{IdGenerator as _, SystemIds};
use serde_json::Value;

use super::story::{Story, look_for};
use crate::{
    cli::StorageArguments,
    client::{Client, Entered, Shown},
    demand::order_of,
    error::Failure,
    operator::storage,
    serve::is_running,
};

pub(crate) struct Stage {
    pub(super) story: Story,
    pub(super) client: Client,
    pub(super) beside: Beside,
}

/// Where the data of the shop is, for what a customer cannot see.
pub(crate) enum Beside {
    /// As a person says.
    Named(StorageArguments),
    /// The shop is this process.
    Here(Box<Storage>),
}

impl Beside {
    /// The storage of the running deployment.
    pub(super) fn running(&self) -> Result<Storage, Failure> {
        let storage = match self {
            Self::Named(arguments) => storage(arguments.clone())?,
            Self::Here(storage) => Storage::clone(storage),
        };
        if is_running(storage.data()) {
            return Ok(storage);
        }
        let line = format!("no process serves {storage}: run `commerce serve` first");
        Err(Failure::plain(line).unanswered())
    }
}

impl Stage {
    /// Goes to a shop, which must answer.
    pub(crate) async fn open(
        client: Client,
        beside: Beside,
        story: Story,
    ) -> Result<Self, Failure> {
        client.check().await?;
        Ok(Self {
            story,
            client,
            beside,
        })
    }

    /// Places an order that must be accepted; its id.
    pub(super) async fn place(
        &mut self,
        lines: &[(&str, u64)],
        payment_method: &str,
    ) -> Result<Option<String>, Failure> {
        let key = SystemIds::new().uuid().to_string();
        let body = order_of(lines, payment_method);
        let reply = self.client.place(key, body).await?;
        if let Some(order) = &reply.order_id {
            self.link(&format!("/orders/{order}"))?;
        } else {
            let what = format!("the order is accepted: {}", reply.status);
            self.story.expect(&what, false)?;
        }
        Ok(reply.order_id)
    }

    /// Prints each status of the order when it comes, until the order has ended, which must be in
    /// these statuses.
    pub(super) async fn follow(
        &mut self,
        order: &str,
        statuses: &[&str],
    ) -> Result<Option<Shown>, Failure> {
        let mut printed = 0;
        let Self { story, client, .. } = self;
        let story = &*story;
        let ended = async || {
            let shown = client.show(order).await?;
            for entry in shown.history.iter().skip(printed) {
                story.note(&line(entry, &shown.history))?;
            }
            printed = shown.history.len();
            Ok(shown.has_ended().then_some(shown))
        };
        let Some(shown) = look_for(ended).await? else {
            self.story.expect("the order has ended", false)?;
            return Ok(None);
        };
        let seen: Vec<&str> = (shown.history.iter()).map(|entry| &*entry.status).collect();
        self.story.expect(
            &format!("its way is {}", statuses.join(" → ")),
            seen == statuses,
        )?;
        Ok(Some(shown))
    }

    /// Prints the address of a page.
    pub(super) fn link(&self, path: &str) -> Result<(), Failure> {
        self.story.note(&self.client.url(path))
    }

    /// Prints the address of a page, and reads it; null if there is no such page.
    pub(super) async fn see(&self, path: &str) -> Result<Value, Failure> {
        self.link(path)?;
        Ok(self.client.get(path).await?.unwrap_or_default())
    }

    /// The amount on an account of the order's ledger; 0 if the order has none.
    pub(super) async fn balance(&self, order: &str, account: &str) -> Result<i64, Failure> {
        let ledger = self
            .see(&format!("/api/v1/payments/{order}/ledger"))
            .await?;
        let entries = ledger["entries"].as_array().into_iter().flatten();
        let on_account = entries.filter(|entry| entry["account"] == account);
        Ok(on_account
            .filter_map(|entry| entry["amount_minor"].as_i64())
            .sum())
    }
}

/// A status, and how long after the first one it came.
fn line(entry: &Entered, history: &[Entered]) -> String {
    let at = |entry: &Entered| from_rfc3339(&entry.at);
    let after = history.first().and_then(at).zip(at(entry));
    let micros = after.map_or(0, |(first, at)| at.saturating_sub(first));
    let (seconds, millis) = (micros / 1_000_000, micros / 1_000 % 1_000);
    let reason = entry.reason.as_deref();
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{seconds:>4}.{millis:03} s  {}{reason}", entry.status)
}
