//! What operators see and do.

use super::{
    Fixture,
    harness::{OutOfStock, Released, Scene, ada, held, place_order},
};
use crate::{Error, Query, RunId, Signature, Status, journal::Entry};

pub async fn lists_find_by_what_is_set_and_page_by_run<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let mut runs = Vec::new();
    for key in 0..5 {
        runs.push(scene.start(&format!("o-{key}")).await);
    }
    let commands = scene.sent();
    scene.reply(&commands[0], &held()).await;
    scene.reply(&commands[1], &OutOfStock {}).await;
    runs.sort();
    runs.reverse();
    let desk = scene.desk();
    let first = desk.list(&Query::all(), None, 2).await.unwrap();
    let ids = |page: &crate::operator::Page| -> Vec<RunId> {
        page.items.iter().map(|item| item.run.clone()).collect()
    };
    assert_eq!(ids(&first), runs[..2]);
    let second = desk
        .list(&Query::all(), first.next.as_ref(), 3)
        .await
        .unwrap();
    assert_eq!(ids(&second), runs[2..]);
    let third = desk
        .list(&Query::all(), second.next.as_ref(), 3)
        .await
        .unwrap();
    assert_eq!((third.items.len(), third.next), (0, None));
    for (query, count) in [
        (Query::all(), 5),
        (Query::all().key("o-3"), 1),
        (Query::all().status(Status::Undone), 1),
        (Query::all().status(Status::Running), 4),
        (Query::all().step("Authorize"), 1),
        (Query::all().step("Reserve").status(Status::Running), 3),
        (Query::overdue(), 0),
        (Query::broken(), 0),
    ] {
        assert_eq!(desk.count(&query).await.unwrap(), count, "{query:?}");
        let listed = desk.list(&query, None, 10).await.unwrap().items;
        assert_eq!(listed.len() as u64, count, "{query:?}");
    }
}

pub async fn an_act_is_recorded_with_who_and_why<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    let desk = scene.desk();
    desk.retry(&run, &Signature::new("ada", "one"))
        .await
        .unwrap();
    let by = Signature::new("bob", "two");
    let result = r#"{"hold":"h"}"#;
    desk.skip(&run, "Reserve", result, &by).await.unwrap();
    let by = Signature::new("cyd", "three");
    let _accepted = desk.cancel(&run, &by).await.unwrap();
    let acts: Vec<String> = (scene.show(&run).await.journal.into_iter())
        .filter_map(|entry| match entry.entry {
            Entry::Retried { by, step } => {
                Some(format!("retry {step} {} {}", by.operator, by.reason))
            }
            Entry::Skipped { by, step } => {
                Some(format!("skip {step} {} {}", by.operator, by.reason))
            }
            Entry::CancelRequested { by } => Some(format!("cancel {} {}", by.operator, by.reason)),
            _ => None,
        })
        .collect();
    let expected = [
        "retry Reserve ada one",
        "skip Reserve bob two",
        "cancel cyd three",
    ];
    assert_eq!(acts, expected);
}

pub async fn an_act_without_who_or_why_is_refused<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    let desk = scene.desk();
    for by in [Signature::new("", "why"), Signature::new("ada", " ")] {
        let retried = desk.retry(&run, &by).await;
        assert!(matches!(retried, Err(Error::Unsigned(_))));
        let skipped = desk.skip(&run, "Reserve", "{}", &by).await;
        assert!(matches!(skipped, Err(Error::Unsigned(_))));
        let cancelled = desk.cancel(&run, &by).await;
        assert!(matches!(cancelled, Err(Error::Unsigned(_))));
    }
    let unknown = RunId::new("unknown");
    let missing = desk.retry(&unknown, &ada()).await;
    assert!(matches!(missing, Err(Error::NotFound(run)) if run == unknown));
}

pub async fn a_retry_sends_the_command_in_flight_under_the_same_id<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    let first = scene.sent_one();
    scene.desk().retry(&run, &ada()).await.unwrap();
    let again = scene.sent_one();
    assert_eq!((&again.id, &again.payload), (&first.id, &first.payload));
    scene.reply(&again, &OutOfStock {}).await;
    let ended = scene.desk().retry(&run, &ada()).await;
    let status = Status::Undone;
    assert!(matches!(ended, Err(Error::WrongState { status: found, .. }) if found == status));
}

pub async fn a_skip_takes_the_result_of_the_operator<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    scene.sent_one();
    let desk = scene.desk();
    let wrong = desk.skip(&run, "Reserve", r#"{"hold":7}"#, &ada()).await;
    assert!(matches!(wrong, Err(Error::Decode(_))), "{wrong:?}");
    let wrong = desk.skip(&run, "Reserve", "{", &ada()).await;
    assert!(matches!(wrong, Err(Error::Json(_))), "{wrong:?}");
    let wrong = desk.skip(&run, "Pay", "{}", &ada()).await;
    assert!(matches!(wrong, Err(Error::NotInFlight { .. })), "{wrong:?}");
    let result = r#"{"hold":"h-9"}"#;
    desk.skip(&run, "Reserve", result, &ada()).await.unwrap();
    let authorize: super::harness::Authorize =
        mainstay_messaging::event::decode(&scene.sent_one()).unwrap();
    assert_eq!(authorize.hold, "h-9");
}

pub async fn a_skip_of_an_undo_goes_on_undoing<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &held()).await;
    scene.sent_one();
    let desk = scene.desk();
    let _accepted = desk.cancel(&run, &ada()).await.unwrap();
    assert_eq!(scene.kinds(), ["Void"]);
    desk.skip(&run, "Authorize", "", &ada()).await.unwrap();
    scene.reply(&scene.sent_one(), &Released {}).await;
    assert_eq!(scene.status(&run).await, Status::Undone);
}

pub async fn a_timeline_is_text_and_json<F: Fixture>(fixture: F) {
    let scene = Scene::new(fixture, place_order(1));
    let run = scene.start("o-1").await;
    scene.reply(&scene.sent_one(), &OutOfStock {}).await;
    let timeline = scene.desk().timeline(&run).await.unwrap();
    let text = timeline.to_string();
    let lines: Vec<&str> = (text.lines().skip(1))
        .map(|line| line.split_once("s  ").unwrap().1)
        .collect();
    let expected = [
        "started",
        "Reserve sent",
        "Reserve refused: {}",
        "undoing: Reserve was refused",
        "undone",
    ];
    assert_eq!(lines, expected, "{text}");
    assert!(
        text.starts_with("place-order v1  o-1  undone  run "),
        "{text}"
    );
    let json = serde_json::to_value(&timeline).unwrap();
    assert_eq!(json["run"]["status"], "undone");
    assert_eq!(json["journal"][1]["entry"]["sent"]["step"], "Reserve");
    assert!(json["journal"][1]["at"].as_str().unwrap().ends_with('Z'));
}
