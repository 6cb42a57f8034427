//! The cluster that librdkafka mocks. It can be made to fail at will, and needs no Java.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use mainstay_messaging::kafka::rdkafka::mocking::MockCluster;

use super::fixture::KafkaFixture;

/// A cluster of one node. librdkafka's handle stays on its thread.
pub(super) struct Mock {
    orders: mpsc::SyncSender<(Order, mpsc::Sender<()>)>,
    pub(super) servers: String,
}

enum Order {
    CreateTopic(String, u16),
    Down,
    Up,
}

impl Mock {
    pub(super) fn start() -> Self {
        let (orders, received) = mpsc::sync_channel::<(Order, mpsc::Sender<()>)>(0);
        let (started, servers) = mpsc::channel();
        thread::spawn(move || {
            let cluster = MockCluster::new(1).unwrap();
            started.send(cluster.bootstrap_servers()).unwrap();
            while let Ok((order, done)) = received.recv() {
                match order {
                    Order::CreateTopic(topic, partitions) => {
                        cluster.create_topic(&topic, partitions.into(), 1)
                    }
                    Order::Down => cluster.broker_down(1),
                    Order::Up => cluster.broker_up(1),
                }
                .unwrap();
                done.send(()).unwrap();
            }
        });
        Self {
            orders,
            servers: servers.recv().unwrap(),
        }
    }

    fn order(&self, order: Order) {
        let (done, waiting) = mpsc::channel();
        self.orders.send((order, done)).unwrap();
        waiting.recv().unwrap();
    }

    pub(super) fn create_topic(&self, topic: &str, partitions: u16) {
        self.order(Order::CreateTopic(topic.to_owned(), partitions));
    }

    pub(super) fn down(&self) {
        self.order(Order::Down);
    }

    pub(super) fn up(&self) {
        self.order(Order::Up);
    }
}

/// A mocked cluster, which gives up soon.
async fn fixture() -> KafkaFixture {
    let mock = Arc::new(Mock::start());
    let servers = mock.servers.clone();
    KafkaFixture::new(&servers, Some(mock), |builder| {
        builder
            .request_timeout(Duration::from_secs(2))
            // The mocked group waits for three seconds for more members.
            .session_timeout(Duration::from_secs(6))
            .max_message_size(1_000_000)
    })
    .await
}

mainstay_messaging::conformance!(outage: fixture());
