//! Hosts that are killed, paused and cut off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mainstay_messaging::{
    Kind, Message, MessageId, Publisher as _, Source, Topic, broker::PublishOutcome,
};
use mainstay_simulation::{Act, CallFault, Fault, Plan, Port, Process, Reach, Sim};

const SECOND: Duration = Duration::from_secs(1);

fn sleep(time: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(time)
}

/// Counts transactions of a host.
async fn count(process: Process, rounds: Arc<AtomicU64>) -> Result<(), String> {
    let database = process.database();
    loop {
        sleep(SECOND).await;
        if database.begin().await.is_ok() {
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn counting(sim: &Sim) -> (mainstay_simulation::Host, Arc<AtomicU64>) {
    let rounds = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&rounds);
    let host = sim.host("counter", move |process| {
        count(process, Arc::clone(&counted))
    });
    (host, rounds)
}

#[test]
fn a_host_that_was_killed_does_nothing_until_it_is_started() {
    let sim = Sim::new(1).unwrap();
    let (host, rounds) = counting(&sim);
    sim.run(async {
        sleep(SECOND * 10 + SECOND / 2).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 10);
        host.kill();
        assert!(!host.is_running());
        sleep(SECOND * 10).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 10);
        host.start();
        sleep(SECOND * 10 + SECOND / 2).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 20);
    });
}

#[test]
fn what_a_killed_host_had_spawned_reaches_nothing_any_more() {
    let sim = Sim::new(1).unwrap();
    let rounds = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&rounds);
    let host = sim.host("parent", move |process| {
        let counted = Arc::clone(&counted);
        async move {
            tokio::spawn(count(process, counted));
            std::future::pending::<Result<(), String>>().await
        }
    });
    sim.run(async {
        sleep(SECOND * 5 + SECOND / 2).await;
        host.kill();
        sleep(SECOND * 10).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 5);
    });
}

#[test]
fn a_paused_host_stands_still_while_time_goes_on_and_wakes_late() {
    let sim = Sim::new(1).unwrap();
    let (host, rounds) = counting(&sim);
    sim.run(async {
        sleep(SECOND * 5 + SECOND / 2).await;
        host.pause(SECOND * 10);
        sleep(SECOND * 9).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 5);
        // Its timer has long ended when it wakes.
        sleep(SECOND * 2).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 6);
    });
}

#[test]
fn what_a_paused_host_had_spawned_reaches_nothing_while_it_is_paused() {
    let sim = Sim::new(1).unwrap();
    let rounds = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&rounds);
    let host = sim.host("parent", move |process| {
        let counted = Arc::clone(&counted);
        async move {
            tokio::spawn(count(process, counted));
            std::future::pending::<Result<(), String>>().await
        }
    });
    sim.run(async {
        sleep(SECOND * 5 + SECOND / 2).await;
        host.pause(SECOND * 10);
        sleep(SECOND * 9).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 5);
        sleep(SECOND * 2).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 6);
    });
}

#[test]
fn a_host_that_is_cut_off_reaches_nothing_and_others_do() {
    let sim = Sim::new(1).unwrap();
    let (host, rounds) = counting(&sim);
    sim.run(async {
        host.cut_off(Reach::Database, SECOND * 5 + SECOND / 2);
        sleep(SECOND * 3).await;
        assert!(sim.database().begin().await.is_ok());
        sleep(SECOND * 2 + SECOND / 4).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 0);
        sleep(SECOND * 5).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 5);
    });
}

#[test]
fn a_host_that_ends_with_an_error_or_a_panic_is_told_of() {
    let sim = Sim::new(1).unwrap();
    sim.host("one", |_| async { Err::<(), _>("out of paper") });
    sim.host("two", |_| async {
        std::panic::resume_unwind(Box::new("quietly"));
        #[expect(unreachable_code, reason = "says the type")]
        Ok::<(), String>(())
    });
    // Made within the simulation: a timer belongs to its runtime.
    sim.run(async { sleep(SECOND).await });
    assert_eq!(
        sim.broken(),
        ["one ended: out of paper", "two ended: it panicked"]
    );
}

#[test]
fn a_call_is_struck_where_the_plan_says_and_nowhere_else() {
    let hit = |call, fault| Fault::Call {
        host: "client".into(),
        port: Port::Publish,
        call,
        fault,
    };
    let faults = vec![
        hit(2, CallFault::Lost),
        hit(3, CallFault::AnswerLost),
        hit(4, CallFault::Twice),
        hit(9, CallFault::Lost),
        Fault::At(SECOND, Act::Kill("nobody".into(), SECOND)),
    ];
    let sim = Sim::planned(1, Plan { faults }).unwrap();
    let published = Arc::new(std::sync::Mutex::new(Vec::new()));
    sim.run(async {
        sim.broker().create_topic("t", 1).await.unwrap();
        let told = Arc::clone(&published);
        sim.host("client", move |process| {
            let (told, client) = (Arc::clone(&told), process.publisher());
            async move {
                for nth in 1..=4 {
                    let id = MessageId::new(nth.to_string()).unwrap();
                    let (source, topic) = (Source::from_static("s"), Topic::from_static("t"));
                    let message = Message::with_id(id, source, topic, Kind::from_static("K"));
                    let answers = client.publish(&[message]).await;
                    let acknowledged = answers.iter().all(PublishOutcome::is_acknowledged);
                    told.lock().unwrap().push(acknowledged);
                }
                Ok::<_, String>(())
            }
        });
        sleep(SECOND * 2).await;
        let log = sim.broker().records(&sim.broker().partitions()[0], 0);
        assert_eq!(log.len(), 4, "1, 3, 4 and 4 again");
    });
    assert_eq!(*published.lock().unwrap(), [true, false, false, true]);
    assert_eq!(sim.struck(), [1, 1, 1, 0, 0]);
}
