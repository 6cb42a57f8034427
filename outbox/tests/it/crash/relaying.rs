//! Rounds of a relay: what waits is published and recorded, a refusal blocks a key, which goes on later.

use std::{collections::HashSet, sync::Arc};

use mainstay_database::Transactions as _;
use mainstay_messaging::Message;
use mainstay_outbox::Outbox as _;
use mainstay_testkit::check;

use super::{Broker, Shop, judge, message, relay_what_is_left};

const PER_KEY: usize = 3;
/// How often the head of the key is refused.
const REFUSALS: usize = 2;

/// Two keys, of which the second one's head is refused at first.
pub(super) struct Backlog {
    committed: Vec<Message>,
    pub(super) broker: Arc<Broker>,
}

impl Backlog {
    pub(super) async fn committed<S: Shop>(shop: &S, name: &str) -> Self {
        let keys = ["a", "b"].map(|key| format!("{name}{key}"));
        let (database, outbox) = shop.open().await;
        let mut committed = Vec::new();
        for number in 0..PER_KEY {
            let mut tx = database.begin().await.unwrap();
            for key in &keys {
                let message = message(key, number);
                outbox.enqueue(&mut tx, &message).await.unwrap();
                committed.push(message);
            }
            database.commit(tx).await.unwrap();
        }
        Self {
            committed,
            broker: Arc::new(Broker::refusing(&format!("{}-0", keys[1]), REFUSALS)),
        }
    }

    /// What a run without any fault does.
    pub(super) fn check_clean(&self) {
        judge(&self.broker, &self.committed);
        let each_once = check::each_published_once(&self.broker.history(&self.committed));
        assert_eq!(each_once, [""; 0]);
        assert_eq!(self.broker.tape.refusals(), REFUSALS);
    }

    /// Another relay finishes it. It sends what is left, once, if what is left is certain.
    pub(super) async fn finish<S: Shop>(&self, shop: &S, certain: bool) {
        let (left, sent) = (shop.rows().await, self.broker.tape.ids().len());
        relay_what_is_left(shop, &self.broker).await;
        let again = self.broker.tape.ids().split_off(sent);
        let distinct: HashSet<&String> = again.iter().collect();
        assert_eq!(
            distinct.len(),
            again.len(),
            "sent twice without a fault: {again:?}"
        );
        assert!(
            !certain || again.len() == left,
            "sent what was not left: {again:?}"
        );
        judge(&self.broker, &self.committed);
    }
}
