//! Records in the transaction of the effect: lost commits, transactions that outlive their clients.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_database::memory::{Database, Inserted, Record};
use mainstay_idempotency::{Begun, Error, MemoryRecords, Records as _, Settled};
use mainstay_simulation::{Process, simulate};

use super::{Given, HOSTS, KEYS, answer, request, text, topology};

/// The effect of a request.
#[derive(Clone, Debug)]
struct Order {
    number: i64,
    key: usize,
    answer: String,
}

impl Record for Order {
    const TABLE: &'static str = "orders";
    type Key = i64;

    fn key(&self) -> i64 {
        self.number
    }
}

/// One attempt; `None` if it is to be asked again.
async fn attempt(
    process: &Process,
    database: &Database,
    key: usize,
) -> Result<Option<String>, Error> {
    let records = MemoryRecords::builder(database).build();
    let mut tx = database.begin().await?;
    let claim = match records.begin(&mut tx, &request(key)).await? {
        Begun::Fresh(claim) => claim,
        Begun::Settled(Settled::Done(answer)) => return Ok(Some(text(&answer))),
        Begun::Settled(_) => return Ok(None),
    };
    let mut statement = tx.statement().await?;
    let number = statement.next_value("orders");
    let answered = format!(
        "order {number} of {} life {}",
        process.name(),
        process.life()
    );
    let order = Order {
        number,
        key,
        answer: answered.clone(),
    };
    assert_eq!(statement.insert(order).await?, Inserted::New);
    drop(statement);
    records.complete(&mut tx, claim, &answer(&answered)).await?;
    database.commit(tx).await?;
    Ok(Some(answered))
}

/// A client of every key, in an order of its host's own.
async fn serve(process: Process, given: Arc<Mutex<Given>>) -> Result<(), Error> {
    let database = process.database();
    for nth in 0..KEYS {
        let key = (nth + process.name().len() * usize::from(process.name().ends_with('2'))) % KEYS;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            match attempt(&process, &database, key).await {
                Ok(Some(answer)) => {
                    given.lock().unwrap().entry(key).or_default().push(answer);
                    break;
                }
                Ok(None) => {}
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
    }
    process.shutdown().cancelled().await;
    Ok(())
}

#[test]
fn each_request_is_one_effect_and_one_answer_under_every_fault() {
    simulate(0..40, &topology(), async |sim| {
        let given = Arc::<Mutex<Given>>::default();
        for name in HOSTS {
            let given = Arc::clone(&given);
            sim.host(name, move |process| serve(process, Arc::clone(&given)));
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        sim.heal();
        let patience = Duration::from_secs(600);
        // A host that was lost for good asks no more; what it would have got, another one gets.
        for host in sim.hosts() {
            host.start();
        }
        let done = sim.until(patience, async || {
            let given = given.lock().unwrap();
            (0..KEYS).all(|key| given.contains_key(&key))
        });
        let mut told = Vec::new();
        if !done.await {
            told.push("some request was never answered".to_owned());
        }
        let orders = sim.read(|tables| tables.scan::<Order>(..)).await.unwrap();
        for (key, answers) in &*given.lock().unwrap() {
            let made: Vec<_> = orders.iter().filter(|order| order.key == *key).collect();
            if made.len() != 1 {
                told.push(format!("{} orders of key {key}: {made:?}", made.len()));
            }
            if let Some(other) = answers.iter().find(|answer| **answer != made[0].answer) {
                told.push(format!("key {key} was answered {other}, and made {made:?}"));
            }
        }
        told
    });
}
