//! The projection, its rebuild and its reports.

mod fixture;
mod stories;

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use commerce_chassis::Caller;
use mainstay_inbox::Received;
use mainstay_messaging::Message;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::{
    counts::Counts,
    fact::{Change, Fact},
    handler,
};
use fixture::{Fixture, received, rows};
use stories::{End, stories, story};

/// The facts after some messages, and the counts as they were kept up.
fn project<'a>(messages: impl Iterator<Item = &'a Message>) -> (BTreeMap<String, Fact>, Counts) {
    let (mut facts, mut counts) = (BTreeMap::<String, Fact>::new(), Counts::default());
    for message in messages {
        let Some(change) = Change::read(message).unwrap() else {
            continue;
        };
        let fact = facts.entry(change.order_id.clone()).or_default();
        counts.remove_order(fact);
        fact.take(change);
        counts.add_order(fact);
    }
    (facts, counts)
}

proptest! {
    /// Events of different topics come in any order, and, from another log, once more.
    #[test]
    fn any_order_of_the_events_gives_the_same_facts_and_counts(
        places in proptest::collection::vec(any::<Index>(), 0..200),
        again in proptest::collection::vec(any::<Index>(), 0..20),
    ) {
        let messages = stories();
        let expected = project(messages.iter());
        let mut shuffled: Vec<&Message> = messages.iter().collect();
        for (place, other) in places.iter().enumerate() {
            let place = place % shuffled.len();
            shuffled.swap(place, other.index(messages.len()));
        }
        shuffled.extend(again.iter().map(|index| index.get(&messages)));
        let (facts, counts) = project(shuffled.into_iter());
        prop_assert_eq!(counts.hash(), expected.1.hash());
        prop_assert_eq!(facts, expected.0);
    }

    #[test]
    fn counts_that_are_kept_up_are_those_of_the_facts(cut in any::<Index>()) {
        let messages = stories();
        let (facts, kept_up) = project(messages[..cut.index(messages.len())].iter());
        let mut counted = Counts::default();
        for fact in facts.values() {
            counted.add_order(fact);
        }
        prop_assert_eq!(kept_up, counted);
    }
}

#[tokio::test]
async fn batches_of_any_size_in_any_order_end_in_the_same_counts() {
    let messages = stories();
    let mut hashes = Vec::new();
    for batch in [1, 7, messages.len()] {
        let Some(shop) = Fixture::open().await else {
            return;
        };
        let mut messages = messages.clone();
        if batch > 1 {
            messages.reverse();
        }
        for batch in messages.chunks(batch) {
            shop.project(batch).await;
        }
        let comparison = shop.compare().await;
        assert_eq!(comparison.differences, [] as [&str; 0]);
        assert_eq!(comparison.facts, 12);
        hashes.push(comparison.live_hash);
    }
    hashes.dedup();
    assert_eq!(hashes, [project(messages.iter()).1.hash()]);
}

#[tokio::test]
async fn an_event_that_comes_again_changes_nothing() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let messages = stories();
    shop.project(&messages).await;
    let before = shop.compare().await;
    for message in &messages {
        shop.project(std::slice::from_ref(message)).await;
    }
    shop.project(&messages).await;
    assert_eq!(shop.compare().await, before);
}

#[tokio::test]
async fn reports_say_what_was_sold_and_where_orders_ended() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    // Order 3 is of day 1970-01-01, order 1 of the day after, order 2 of the next; 2 is in EUR.
    for (number, end) in [
        (1, End::Completed),
        (2, End::OutOfStock),
        (3, End::Returned),
    ] {
        shop.project(&story(number, end)).await;
    }
    let days = "from=1970-01-01&to=1970-01-03";
    let day = |day: u8| format!("1970-01-0{day}");
    let report = |by: &str| format!("/api/v1/reports/sales?{days}&by={by}");
    let usd = || "USD".to_owned();
    let by_day = shop.get(&report("day")).await;
    assert_eq!(
        rows(&by_day),
        [
            ((day(1), usd()), (1, 4, 1_000)),
            ((day(2), usd()), (1, 5, 1_000))
        ]
        .into()
    );
    let by_sku = shop.get(&report("sku")).await;
    assert_eq!(
        rows(&by_sku),
        [
            (("SKU-001".to_owned(), usd()), (2, 6, 600)),
            (("SKU-002".to_owned(), usd()), (2, 3, 300)),
        ]
        .into()
    );
    let by_status = shop.get(&report("status")).await;
    assert_eq!(
        rows(&by_status),
        [
            (("completed".to_owned(), usd()), (2, 9, 2_000)),
            (("cancelled".to_owned(), "EUR".to_owned()), (1, 6, 1_000)),
        ]
        .into()
    );
    let funnel = shop.get(&format!("/api/v1/reports/funnel?{days}")).await;
    let stages = funnel["stages"].as_array().unwrap();
    let reached = stages.iter().map(|stage| stage["orders"].as_i64().unwrap());
    let reached: Vec<i64> = reached.collect();
    assert_eq!(reached, [3, 2, 2, 2, 1, 2, 1, 0, 1, 1, 1], "{funnel}");
    let one_day = "/api/v1/reports/funnel?from=1970-01-02&to=1970-01-02";
    assert_eq!(shop.get(one_day).await["stages"][0]["orders"], 1);
}

#[tokio::test]
async fn an_export_has_a_line_for_each_order_of_the_days() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.project(&stories()).await;
    let export = "/api/v1/reports/export.csv?from=1970-01-01&to=1970-01-02";
    let (status, csv) = shop.ask(Caller::operator("op"), Method::GET, export).await;
    assert_eq!(status, StatusCode::OK);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    // Every third order is of the day after.
    let ids: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
    let expected = ["3", "6", "9", "12", "1", "4", "7", "10"].map(|id| format!("order-{id}"));
    assert_eq!(ids, expected);
    assert_eq!(
        rows[0].iter().collect::<Vec<_>>()[3..7],
        ["cancelled", "USD", "1000", "0"]
    );
    let returned = rows.iter().find(|row| &row[0] == "order-12").unwrap();
    assert_eq!(&returned[6], "1000");
}

#[tokio::test]
async fn a_rebuild_beside_new_events_ends_in_the_live_counts() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let messages = stories();
    let (early, late) = messages.split_at(messages.len() / 2);
    shop.project(early).await;
    let rebuild = "/api/v1/reports/rebuild";
    assert_eq!(shop.get(rebuild).await["state"], "never");
    let begin = || shop.ask(Caller::operator("op"), Method::POST, rebuild);
    assert_eq!(begin().await.0, StatusCode::ACCEPTED);
    let mut late = late.iter();
    // Orders on both sides of the cursor change between the pages, and new ones come.
    while shop.page(1).await {
        assert_eq!(
            begin().await.0,
            StatusCode::ACCEPTED,
            "that changes nothing"
        );
        let progress = shop.get(rebuild).await;
        assert_eq!(progress["state"], "running");
        assert!(progress["orders_done"].as_i64() > Some(0), "{progress}");
        let batch: Vec<Message> = late.by_ref().take(3).cloned().collect();
        shop.project(&batch).await;
    }
    let rest: Vec<Message> = late.cloned().collect();
    shop.project(&rest).await;
    let done = shop.get(rebuild).await;
    assert_eq!(
        (&done["state"], &done["equal"]),
        (&json!("finished"), &json!(true))
    );
    let comparison = shop.compare().await;
    assert_eq!(comparison.differences, [] as [&str; 0]);
    assert_eq!(comparison.live_hash, project(messages.iter()).1.hash());
}

#[tokio::test]
async fn wrong_counts_are_found_and_rebuilt() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.project(&stories()).await;
    let right = shop.compare().await;
    shop.execute("UPDATE daily_sales SET orders = orders + 1 WHERE member = 'completed' AND dimension = 'status' AND day = '1970-01-02'")
        .await;
    let wrong = shop.compare().await;
    assert_ne!(wrong.live_hash, wrong.rebuilt_hash);
    assert!(
        wrong.differences[0].starts_with("1970-01-02 status completed in"),
        "{wrong:?}"
    );
    let rebuild = "/api/v1/reports/rebuild";
    shop.ask(Caller::operator("op"), Method::POST, rebuild)
        .await;
    while shop.page(5).await {}
    let done = shop.get(rebuild).await;
    assert_eq!(done["equal"], false);
    assert_eq!(done["rebuilt_hash"], json!(right.live_hash));
    assert_eq!(shop.compare().await, right);
}

#[tokio::test]
async fn reports_are_for_operators_and_for_days_that_exist() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    for (method, path) in [
        (Method::GET, "sales"),
        (Method::GET, "funnel"),
        (Method::GET, "export.csv"),
        (Method::GET, "rebuild"),
        (Method::POST, "rebuild"),
    ] {
        let path = format!("/api/v1/reports/{path}");
        let (status, _) = shop.ask(Caller::customer("cust-001"), method, &path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    for (days, expected) in [
        ("from=1970-01-02&to=1970-01-01", 422),
        ("from=1970-02-30", 422),
        ("to=1970-01-01T00:00:00Z", 422),
        ("from=9999-12-31&to=9999-12-31", 200),
        ("from=0000-01-01&to=0000-01-01", 200),
        ("to=0000-01-01", 200),
        ("by=weather", 400),
    ] {
        let path = format!("/api/v1/reports/sales?{days}");
        let (status, answer) = shop.ask(Caller::anybody(), Method::GET, &path).await;
        assert_eq!(status, expected, "{days}: {answer}");
    }
    let usual = shop.get("/api/v1/reports/sales").await;
    assert_eq!(usual["by"], "day");
    assert_eq!(usual["rows"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_named_and_nothing_is_counted() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let mut messages = stories();
    messages[1].payload = Some("{}".into());
    let batch: Vec<Received<()>> = messages.iter().map(received).collect();
    let mut tx = mainstay_database::Transactions::begin(&shop.db)
        .await
        .unwrap();
    let failed = handler::project(&mut tx, batch).await.unwrap_err();
    assert!(failed.is_permanent());
    drop(tx);
    assert_eq!(shop.compare().await.facts, 0);
}
