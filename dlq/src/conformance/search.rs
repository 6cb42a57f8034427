//! Finding messages.

use mainstay_inbox::{
    Admission,
    failure::{Failure, FailureKind, FailureOutcome, FailurePolicy as _},
};
use mainstay_messaging::{Group, Topic};

use super::{
    Fixture,
    harness::{admit, dead_letter, delivery, group, message, unkeyed},
};
use crate::{Query, State};

pub async fn failures_with_one_cause_are_one_group<F: Fixture>(f: &F) {
    let (queue, shipping) = (f.queue(&[]), Group::from_static("shipping"));
    let fail = async |consumer: &Group, key: &str, offset, text: String| {
        let failure = Failure::new(FailureKind::Permanent, 1, text);
        let delivery = delivery(message(key, 0), offset);
        let kept = queue.on_failure(consumer, &delivery, &failure).await;
        assert_eq!(kept.unwrap(), FailureOutcome::DeadLettered);
    };
    for number in 0..5 {
        let text = format!("order {number} has no line \"{number}-x\"");
        fail(&group(), &format!("a{number}"), number, text).await;
    }
    for number in 5..8 {
        let text = format!("card {number} is declined");
        fail(&group(), &format!("a{number}"), number, text).await;
    }
    fail(&shipping, "a0", 0, "order 1 has no line \"1-x\"".to_owned()).await;
    let groups = queue.desk().groups(Some(&group()), 10).await.unwrap();
    let counts: Vec<_> = groups
        .iter()
        .map(|group| (group.count, group.more))
        .collect();
    assert_eq!(
        counts,
        [(3, false), (5, false)],
        "the last failure comes first"
    );
    for found in &groups {
        assert!(found.first_seen <= found.last_seen);
        assert_eq!(found.example.fingerprint.as_ref(), Some(&found.fingerprint));
        let members = Query::dead().fingerprint(&found.fingerprint);
        assert_eq!(queue.desk().count(&members).await.unwrap(), found.count);
    }
    assert_eq!(
        groups[0].example.error.as_deref(),
        Some("card 7 is declined")
    );
    assert_eq!(queue.desk().groups(None, 10).await.unwrap().len(), 3);
    assert_eq!(queue.desk().groups(None, 1).await.unwrap().len(), 1);
    // Counts end somewhere.
    let store = queue.store();
    let capped = crate::store::DeskStore::groups(store, Some(&group()), 10, 3)
        .await
        .unwrap();
    let counts: Vec<_> = capped
        .iter()
        .map(|group| (group.count, group.more))
        .collect();
    assert_eq!(counts, [(3, false), (3, true)]);
}

pub async fn lists_find_by_what_is_set_and_page_by_number<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    for number in 0..7 {
        let key = format!("k{number}");
        dead_letter::<F>(&queue, &delivery(message(&key, 0), number)).await;
    }
    assert_eq!(
        admit::<F>(&queue, &delivery(message("k0", 1), 7)).await,
        Admission::Held
    );
    dead_letter::<F>(&queue, &delivery(unkeyed("n"), 8)).await;
    let desk = queue.desk();
    let (mut before, mut found, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = desk.list(&Query::all(), before, 4).await.unwrap();
        found.extend(page.items.into_iter().map(|letter| letter.message_id));
        pages += 1;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let expected = [
        "n", "k0-1", "k6-0", "k5-0", "k4-0", "k3-0", "k2-0", "k1-0", "k0-0",
    ];
    assert_eq!((found, pages), (expected.map(String::from).to_vec(), 3));
    let of = async |query: Query| {
        let page = desk.list(&query, None, 100).await.unwrap();
        let count = desk.count(&query).await.unwrap();
        assert_eq!(page.items.len() as u64, count, "{query:?}");
        assert!(page.items.iter().all(|letter| query.matches(letter)));
        count
    };
    assert_eq!(of(Query::dead()).await, 8);
    assert_eq!(of(Query::all().key("k0")).await, 2);
    assert_eq!(of(Query::all().key("k0").state(State::Held)).await, 1);
    assert_eq!(of(Query::all().message_id("n")).await, 1);
    assert_eq!(of(Query::all().kind("Counted")).await, 9);
    assert_eq!(of(Query::all().kind("Other")).await, 0);
    assert_eq!(of(Query::all().consumer(&group())).await, 9);
    assert_eq!(
        of(Query::all().consumer(&Group::from_static("other"))).await,
        0
    );
    assert_eq!(
        of(Query::all().topic(&Topic::from_static("other"))).await,
        0
    );
    let kept_at = desk
        .list(&Query::all().key("k3"), None, 1)
        .await
        .unwrap()
        .items[0]
        .kept_at;
    let since = of(Query::all().since(kept_at)).await;
    let until = of(Query::all().until(kept_at)).await;
    assert_eq!(since + until, 9);
    assert!(since >= 1);
}
