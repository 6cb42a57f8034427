//! One transaction of a writer: a row of its own, and messages about it.

use std::sync::Arc;

use mainstay_database::Transactions as _;
use mainstay_messaging::Message;
use mainstay_outbox::{EnqueueKey, Entry, Error, Outbox as _};
use mainstay_testkit::crash::Points;

use super::{Broker, Ports, Shop, firsts, ids, message, relay_what_is_left};

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
        let published: Vec<String> = self
            .keys()
            .iter()
            .flat_map(|key| broker.tape.ids_of(key))
            .collect();
        if !shop.has(&self.name).await {
            assert_eq!(published, [""; 0], "published, and never committed");
        } else if self.way == Way::Once {
            assert_eq!(
                published.len(),
                1,
                "an enqueue key is good for one message: {published:?}"
            );
        } else {
            for key in self.keys() {
                let of_key =
                    |message: &Message| message.key.as_ref().is_some_and(|k| k.as_str() == key);
                let expected: Vec<_> = self.messages(0).into_iter().filter(of_key).collect();
                assert_eq!(
                    broker.tape.ids_of(&key),
                    ids(&expected),
                    "lost, twice or out of order"
                );
                assert_eq!(firsts(&broker.tape, &key), ids(&expected));
            }
        }
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
