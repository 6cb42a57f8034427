//! The unmodified relay on in-memory stores under paused time and seeded faults.
//!
//! `MAINSTAY_SEED=17 cargo test -p mainstay-outbox --all-features sim` runs one seed again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use mainstay_clock::{Backoff, Clock, IdGenerator, SeededIds, TokioClock};
use mainstay_database::{
    Transactions as _,
    memory::{CommitFault, Database, Fault, Outcome as CommitOutcome},
};
use mainstay_messaging::{
    Consumer as _, Content, Group, Incoming, Key, Kind, Message, MessageId, Source, StartAt, Topic,
    memory::{Broker, Chances, LogPublisher, Options as BrokerOptions},
};
use mainstay_outbox::{
    Doorbell, EnqueueKey, Enqueued, Entry, Error, Fetched, Hold, Limit, Outbox as _, Outcome,
    Relay, RelayStore,
    memory::{MemoryOutbox, Options},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(3);
const KEYS: usize = 6;
const PER_KEY: usize = 15;
const RELAYS: usize = 3;

/// A store whose process stands still now and then, past its lease.
struct Stalling {
    store: MemoryOutbox,
    ids: Arc<SeededIds>,
}

impl Stalling {
    async fn stall(&self) {
        if self.ids.random().is_multiple_of(20) {
            tokio::time::sleep(LEASE * 2).await;
        }
    }
}

#[async_trait]
impl RelayStore for Stalling {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, Error> {
        self.store.lease(owner, lease).await
    }
    async fn fetch(&self, holds: &[Hold], limit: Limit) -> Result<Fetched, Error> {
        let fetched = self.store.fetch(holds, limit).await;
        self.stall().await;
        fetched
    }
    async fn record(&self, holds: &[Hold], outcome: &Outcome) -> Result<(), Error> {
        self.stall().await;
        self.store.record(holds, outcome).await
    }
    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.store.release(owner).await
    }
    fn doorbell(&self) -> Option<&Doorbell> {
        self.store.doorbell()
    }
}

struct World {
    ids: Arc<SeededIds>,
    clock: Arc<dyn Clock>,
    database: Database,
    outbox: MemoryOutbox,
    broker: Broker,
}

type Running = JoinHandle<Result<(), Error>>;

impl World {
    async fn new(seed: u64) -> Self {
        let ids = Arc::new(SeededIds::new(seed));
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(
            std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        ));
        let database = Database::with(Arc::clone(&clock), Arc::clone(&ids) as _);
        let mut options = Options::default();
        options.shards = 4;
        let outbox = MemoryOutbox::open(database.clone(), options).await.unwrap();
        let mut options = BrokerOptions::default();
        (options.clock, options.ids) = (Arc::clone(&clock), Arc::clone(&ids) as _);
        let broker = Broker::new(options);
        broker.create_topic(&topic(), 3).await.unwrap();
        Self {
            ids,
            clock,
            database,
            outbox,
            broker,
        }
    }

    fn roll(&self, one_in: u64) -> bool {
        self.ids.random().is_multiple_of(one_in)
    }

    fn start_faults(&self) {
        let faults = self.database.faults();
        faults.sometimes(60, Fault::Serialization);
        faults.sometimes(60, Fault::Unavailable);
        faults.commits_sometimes(15, CommitFault::Serialization);
        for outcome in [
            CommitOutcome::Applied,
            CommitOutcome::NotApplied,
            CommitOutcome::AppliedLater,
        ] {
            faults.commits_sometimes(15, CommitFault::Unknown(outcome));
        }
        let mut chances = Chances::default();
        (chances.refuse, chances.lose_answer, chances.lose_message) = (20, 30, 30);
        chances.unavailable = 50;
        self.broker.faults().at_random(chances);
    }

    fn heal(&self) {
        self.database.faults().clear();
        self.broker.faults().heal();
    }

    fn relay(&self) -> Running {
        let store = Arc::new(Stalling {
            store: self.outbox.clone(),
            ids: Arc::clone(&self.ids),
        });
        let relay: Relay<Stalling, LogPublisher> =
            Relay::new(store, Arc::new(self.broker.publisher()))
                .lease(LEASE)
                .batch(8, 1_000_000)
                .refusal_backoff(Backoff::new(
                    Duration::from_millis(100),
                    Duration::from_secs(2),
                ))
                .clock(Arc::clone(&self.clock))
                .ids(Arc::clone(&self.ids) as _);
        tokio::spawn(async move { relay.run(CancellationToken::new()).await })
    }

    /// Commits the messages of one key one after the other, each until it is known to be committed.
    async fn write(&self, key: usize) {
        for number in 0..PER_KEY {
            if self.roll(4) {
                tokio::time::sleep(Duration::from_millis(self.ids.random() % 400)).await;
            }
            while self.write_once(key, number).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn write_once(&self, key: usize, number: usize) -> Result<(), Error> {
        let once = EnqueueKey::new(format!("{key}/{number}")).unwrap();
        let mut tx = self.database.begin().await?;
        let message = message(key, format!("{key}/{number}"));
        let answer = self
            .outbox
            .enqueue_batch(&mut tx, &[Entry::new(&message).once(&once)])
            .await?;
        if answer == [Enqueued::AlreadyThere] {
            return Ok(());
        }
        if self.roll(5) {
            // A business transaction that changes its mind after it has enqueued something.
            let mut other = self.database.begin().await?;
            let rolled_back = self::message(key, format!("never {key}/{number}"));
            self.outbox.enqueue(&mut other, &rolled_back).await?;
        }
        self.database.commit(tx).await?;
        Ok(())
    }

    /// Kills and starts relays, settles commits that are under way.
    async fn torment(&self, relays: &mut [Running]) {
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_millis(50 + self.ids.random() % 100)).await;
            if self.roll(8) {
                let index = usize::try_from(self.ids.random()).unwrap() % relays.len();
                relays[index].abort();
                relays[index] = self.relay();
            }
            self.settle();
        }
    }

    fn settle(&self) {
        for pending in self.database.faults().pending() {
            if self.roll(2) {
                pending.apply();
            } else {
                pending.discard();
            }
        }
    }

    /// Everything in the log, in the order of each partition.
    async fn log(&self) -> Vec<Message> {
        let group = Group::from_static("checker");
        let mut consumer = self
            .broker
            .consumer(group.clone(), &[topic()], StartAt::Earliest);
        let (mut read, mut total) = (Vec::new(), None);
        while total != Some(read.len()) {
            if let Incoming::Deliveries(deliveries) = consumer.next().await.unwrap() {
                read.extend(deliveries);
            }
            let progress = self.broker.progress(&group).await.unwrap();
            let ends = progress.iter().map(|(_, _, end)| *end);
            total = usize::try_from(ends.sum::<i64>()).ok();
        }
        read.into_iter()
            .map(|delivery| match delivery.content {
                Content::Message(message) => message,
                Content::Raw(raw) => panic!("{raw:?}"),
            })
            .collect()
    }
}

fn topic() -> Topic {
    Topic::from_static("orders")
}

fn message(key: usize, id: String) -> Message {
    Message::with_id(
        MessageId::new(id).unwrap(),
        Source::from_static("/sim"),
        topic(),
        Kind::from_static("Counted"),
    )
    .with_key(Key::new(key.to_string()).unwrap())
}

async fn run(seed: u64) {
    let world = World::new(seed).await;
    world.start_faults();
    let mut relays: Vec<Running> = (0..RELAYS).map(|_| world.relay()).collect();
    let writers = async {
        let writers: Vec<_> = (0..KEYS).map(|key| world.write(key)).collect();
        futures_util::future::join_all(writers).await;
    };
    let tormented = async {
        world.torment(&mut relays).await;
        world.heal();
        world.settle();
    };
    // A writer may wait for a commit that is settled only after the faults have ended.
    let settling = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.settle();
        }
    };
    tokio::select! {
        _ = async { tokio::join!(writers, tormented) } => {}
        () = settling => {}
    }
    let drained = async {
        while world.outbox.rows().await.unwrap() != (0, 0) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let drained = tokio::time::timeout(Duration::from_secs(600), drained).await;
    assert!(
        drained.is_ok(),
        "rows are stuck: {:?}",
        world.outbox.rows().await
    );
    for relay in relays {
        relay.abort();
    }

    let mut firsts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut known = HashSet::new();
    for message in world.log().await {
        let id = message.id.to_string();
        if known.insert(id.clone()) {
            let key = message.key.unwrap().to_string();
            firsts.entry(key).or_default().push(id);
        }
    }
    for key in 0..KEYS {
        let expected: Vec<_> = (0..PER_KEY).map(|n| format!("{key}/{n}")).collect();
        assert_eq!(
            firsts[&key.to_string()],
            expected,
            "lost, invented or out of order"
        );
    }
}

#[test]
fn nothing_is_lost_invented_or_reordered_under_any_faults() {
    let numbers = match std::env::var("MAINSTAY_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..60).collect::<Vec<u64>>(),
    };
    for seed in numbers {
        println!("seed {seed}");
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(seed));
    }
}
