//! What one writes without the library: a task a partition.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use mainstay_benches::Took;
use mainstay_messaging::{
    Event as _, Headers, Key, Message, Topic, cloudevents,
    kafka::rdkafka::{
        ClientConfig, Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer as _},
        message::{BorrowedMessage, Headers as _, Message as _},
    },
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{PARTITIONS, Placed, Run, Service, Setting};

struct Record {
    offset: i64,
    message: Message,
}

/// Reads everything, and makes each effect with its processed record.
pub(crate) async fn work(service: &Service, setting: &Setting, run: &Run) -> Took {
    let group = service.new_group();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &service.server)
        .set("group.id", format!("{}-by-hand", service.full))
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "50")
        .set("enable.auto.offset.store", "false")
        .set("queued.min.messages", "10000000")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for number in 0..i32::from(PARTITIONS) {
        all.add_partition_offset(&service.full, number, Offset::Beginning)
            .unwrap();
        let (sender, receiver) = unbounded_channel();
        senders.push(sender);
        receivers.push(receiver);
    }
    consumer.assign(&all).unwrap();
    let (consumer, done) = (Arc::new(consumer), Arc::new(AtomicBool::new(false)));
    let polling = {
        let (consumer, done) = (Arc::clone(&consumer), Arc::clone(&done));
        thread::spawn(move || poll(&consumer, &done, &senders))
    };
    let handled = AtomicUsize::new(0);
    let partitions = (0..).zip(receivers).map(|(number, receiver)| {
        let partition = Partition {
            service,
            setting,
            run,
            group: &group,
            number,
            consumer: &consumer,
            handled: &handled,
        };
        async move { partition.handle(receiver).await }
    });
    let all = join_all(partitions);
    let finished = async {
        while handled.load(Relaxed) < service.count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = all => {}
        () = finished => {}
    }
    // As for the worker: leaving does not count.
    let took = run.took();
    done.store(true, Relaxed);
    polling.join().unwrap();
    took
}

fn poll(consumer: &BaseConsumer, done: &AtomicBool, senders: &[UnboundedSender<Record>]) {
    while !done.load(Relaxed) {
        let Some(polled) = consumer.poll(Duration::from_millis(10)) else {
            continue;
        };
        let record = polled.unwrap();
        let to = usize::try_from(record.partition()).unwrap();
        // The bench may have ended.
        let _ended = senders[to].send(Record {
            offset: record.offset(),
            message: message(&record),
        });
    }
}

fn message(record: &BorrowedMessage<'_>) -> Message {
    let headers: Headers = (record.headers().unwrap().iter())
        .map(|header| {
            let value = Bytes::copy_from_slice(header.value.unwrap_or_default());
            (header.key, value)
        })
        .collect();
    let key = record.key().map(|key| str::from_utf8(key).unwrap());
    let key = key.map(|key| Key::new(key).unwrap());
    let payload = record.payload().map(Bytes::copy_from_slice);
    let topic = Topic::from_static(Placed::TOPIC);
    cloudevents::read(topic, key, &headers, payload).unwrap()
}

struct Partition<'a> {
    service: &'a Service,
    setting: &'a Setting,
    run: &'a Run,
    group: &'a str,
    number: i32,
    consumer: &'a BaseConsumer,
    handled: &'a AtomicUsize,
}

impl Partition<'_> {
    async fn handle(&self, mut receiver: UnboundedReceiver<Record>) {
        let mut records = Vec::new();
        while receiver
            .recv_many(&mut records, self.setting.batch_size)
            .await
            > 0
        {
            self.transaction(&records).await;
            let offset = records.last().unwrap().offset;
            self.consumer
                .store_offset(&self.service.full, self.number, offset)
                .unwrap();
            self.handled.fetch_add(records.len(), Relaxed);
            records.clear();
        }
    }

    async fn transaction(&self, records: &[Record]) {
        let mut tx = self.service.database.pool().begin().await.unwrap();
        let source: Vec<_> = records.iter().map(|r| r.message.source.as_str()).collect();
        let id: Vec<_> = records.iter().map(|r| r.message.id.as_str()).collect();
        let offset: Vec<_> = records.iter().map(|r| r.offset).collect();
        let fresh: Vec<(String, String)> = sqlx::query_as(
            "INSERT INTO inbox_processed (consumer, source, id, topic, partition, \"offset\")
             SELECT $1, source, id, $2, $3, \"offset\" FROM UNNEST($4::text[], $5::text[], $6::int8[]) r(source, id, \"offset\")
             ON CONFLICT DO NOTHING RETURNING source, id",
        )
        .bind(self.group)
        .bind(Placed::TOPIC)
        .bind(self.number)
        .bind(source)
        .bind(id)
        .bind(offset)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        assert_eq!(fresh.len(), records.len());
        let mut bodies = Vec::with_capacity(records.len());
        for record in records {
            let payload = record.message.payload.as_deref().unwrap();
            let placed: Placed = serde_json::from_slice(payload).unwrap();
            self.run.handles(&placed).await;
            bodies.push(placed.body);
        }
        sqlx::query("INSERT INTO effects (body) SELECT unnest($1::text[])")
            .bind(bodies)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}
