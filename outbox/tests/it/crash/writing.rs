//! One transaction of a writer: a row of its own, and messages about it.

use std::sync::Arc;

use mainstay_database::Transactions as _;
use mainstay_messaging::Message;
use mainstay_outbox::{EnqueueKey, Entry, Error, Outbox as _};
use mainstay_ports::Ports;
use mainstay_testkit::crash::Points;

use super::{Broker, Shop, judge, message, relay_what_is_left};

/// How messages are enqueued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Single,
    Batch,
    /// Under an enqueue key: tried again without looking, under new ids.
    Once,
}

/// What somebody wants to be done, whoever does it.
pub(super) struct Order {
    way: Way,
    name: String,
}

impl Order {
    pub(super) fn new(way: Way, name: &str) -> Self {
        Self {
            way,
            name: name.to_owned(),
        }
    }

    fn keys(&self) -> [String; 2] {
        ["x", "y"].map(|key| format!("{}{key}", self.name))
    }

    fn messages(&self, attempt: usize) -> Vec<Message> {
        let [x, y] = self.keys();
        match self.way {
            Way::Single => vec![message(&x, 0)],
            Way::Batch => [(&x, 0), (&y, 0), (&x, 1), (&y, 1), (&x, 2)]
                .map(|(key, number)| message(key, number))
                .into(),
            Way::Once => vec![message(&x, attempt)],
        }
    }

    /// What a process does that may die at any moment.
    pub(super) async fn write<S: Shop>(
        &self,
        shop: &S,
        points: &Arc<Points>,
        attempt: usize,
    ) -> Result<(), Error> {
        let (database, outbox) = shop.open().await;
        let (database, outbox) = (Ports::new(database, points), Ports::new(outbox, points));
        let messages = self.messages(attempt);
        let once = EnqueueKey::new(self.name.clone()).unwrap();
        let mut tx = database.begin().await?;
        let is_new = points.call("enter", S::enter(&mut tx, &self.name)).await?;
        match self.way {
            // Somebody did it whose commit this one waited for.
            Way::Single | Way::Batch if !is_new => return Ok(()),
            Way::Single => outbox.enqueue(&mut tx, &messages[0]).await?,
            Way::Batch => {
                let entries: Vec<_> = messages.iter().map(Entry::new).collect();
                outbox.enqueue_batch(&mut tx, &entries).await?;
            }
            Way::Once => {
                let entries = [Entry::new(&messages[0]).once(&once)];
                outbox.enqueue_batch(&mut tx, &entries).await?;
            }
        }
        database.commit(tx).await?;
        outbox.ring();
        Ok(())
    }

    /// What must be there whenever all transactions have ended: the messages if and only if the row is.
    pub(super) async fn check<S: Shop>(&self, shop: &S, broker: &Arc<Broker>) {
        relay_what_is_left(shop, broker).await;
        let there = shop.has(&self.name).await;
        let of_this = |attempt| {
            if there {
                self.messages(attempt)
            } else {
                Vec::new()
            }
        };
        let stored = broker.tape.stored();
        // An enqueue key is good for one message, whichever attempt it was of.
        let first_was_there = self.way != Way::Once || stored == self.messages(0);
        let expected = of_this(usize::from(!first_was_there));
        judge(broker, &expected);
        assert_eq!(stored.len(), expected.len(), "published twice: {stored:?}");
    }

    /// Another process does it, unless it sees that it is done.
    pub(super) async fn finish<S: Shop>(&self, shop: &S, broker: &Arc<Broker>) {
        if self.way == Way::Once || !shop.has(&self.name).await {
            self.write(shop, &Points::none(), 1).await.unwrap();
        }
        assert!(shop.has(&self.name).await);
        self.check(shop, broker).await;
    }
}
