//! A topic of one run, and what came of the messages that were sent to it.

use std::collections::{BTreeMap, HashMap, HashSet};

use mainstay_benches::{Bench, Workload};
use mainstay_messaging::{
    Key, Message, Publisher as _,
    kafka::{Broker, LogPublisher},
};
use mainstay_testkit::kafka;

/// A topic of six partitions that only one run uses.
pub(crate) struct NewTopic {
    pub(crate) broker: Broker,
    /// Its name in the cluster.
    pub(crate) full: String,
}

impl NewTopic {
    pub(crate) fn create(bench: &Bench, kafka: &kafka::Server) -> Self {
        let namespace = format!("{}.", kafka.prefix());
        let opening = Broker::builder(kafka.url()).namespace(&namespace).open();
        let broker = bench.runtime.block_on(opening).unwrap();
        let topic = Workload::topic();
        bench
            .runtime
            .block_on(broker.create_topic(&topic, 6))
            .unwrap();
        Self {
            broker,
            full: format!("{namespace}{topic}"),
        }
    }

    /// The first calls of a client look the topic up. A key for each partition.
    pub(crate) fn warm_up(bench: &Bench, publisher: &LogPublisher) {
        let messages: Vec<Message> = (0..100)
            .map(|number| {
                let message = Message::builder()
                    .source("/warm-up")
                    .topic(Workload::topic())
                    .kind("Nothing")
                    .key(format!("warm-up-{number}"));
                message.build().unwrap()
            })
            .collect();
        for outcome in bench.runtime.block_on(publisher.publish(&messages)) {
            assert!(outcome.is_acknowledged(), "{outcome:?}");
        }
    }

    /// Reads everything back.
    pub(crate) fn check(&self, bench: &Bench, side: &str, sent: &[Message]) {
        let read = bench.runtime.block_on(async {
            let mut reader = self.broker.read([Workload::topic()]).await.unwrap();
            let mut read = Vec::new();
            while let Some(deliveries) = reader.next().await.unwrap() {
                read.extend(deliveries);
            }
            read
        });
        let read = read
            .iter()
            .filter_map(|delivery| delivery.content.message())
            .map(|message| message.id.as_str());
        Seen::of(sent, read).print(side);
    }
}

/// What came of the messages that were sent.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    lost: usize,
    twice: usize,
    disorder: usize,
}

impl Seen {
    /// Compares ids in the order in which they came. A repeated message has no order of its own.
    pub(crate) fn of<'a>(sent: &'a [Message], came: impl Iterator<Item = &'a str>) -> Self {
        let place: HashMap<&str, usize> = sent
            .iter()
            .enumerate()
            .map(|(place, message)| (message.id.as_str(), place))
            .collect();
        let (mut seen, mut twice, mut disorder) = (HashSet::new(), 0, 0);
        let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
        for place in came.filter_map(|id| place.get(id)) {
            if !seen.insert(*place) {
                twice += 1;
                continue;
            }
            let key = sent[*place].key.as_ref().map_or("", Key::as_str);
            if newest.insert(key, *place).is_some_and(|last| last > *place) {
                disorder += 1;
            }
        }
        Self {
            lost: sent.len() - seen.len(),
            twice,
            disorder,
        }
    }

    /// Nothing may be lost or out of order.
    pub(crate) fn print(&self, side: &str) {
        let Self {
            lost,
            twice,
            disorder,
        } = self;
        println!("    {side}: {lost} lost, {twice} twice, {disorder} out of order");
        assert_eq!((*lost, *disorder), (0, 0), "{side}");
    }
}
