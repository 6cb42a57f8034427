//! Acts on many messages.

use std::time::Duration;

use mainstay_inbox::Admission;

use super::{
    Fixture, QueueOf,
    harness::{
        Act, Script, admit, begin, by, commit, dead_letter, delivery, effects, group, halt, id_of,
        letters, message, replay, replayer, until, until_free, until_states,
    },
};
use crate::{
    Error, Query,
    State::{Dead, Discarded, Held},
    desk::{Job, JobState},
    store::ReplayStore as _,
};

async fn dead_letters<F: Fixture>(queue: &QueueOf<F>, count: i64) {
    for number in 0..count {
        let key = format!("k{number}");
        dead_letter::<F>(queue, &delivery(message(&key, 0), number)).await;
    }
}

/// Waits until a job has come to all of its messages, and none of them is to be tried.
async fn finished<F: Fixture>(queue: &QueueOf<F>, id: i64) -> Job {
    until("the job to finish", async || {
        let job = queue.desk().job(id).await.unwrap();
        (job.state == JobState::Finished && job.waiting == 0).then_some(job)
    })
    .await
}

pub async fn a_bulk_replay_goes_on_past_a_message_that_fails<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("k3-0", Act::FailForGood)]));
    dead_letters::<F>(&queue, 8).await;
    let query = Query::dead().consumer(&group());
    let id = queue
        .desk()
        .replay_all(query, Some(200.0), &by())
        .await
        .unwrap();
    let replayer = replay::<F>(&queue, &script);
    let job = finished::<F>(&queue, id).await;
    halt(replayer).await;
    assert_eq!((job.done, job.replayed, job.failed), (8, 7, 1));
    assert_eq!((&*job.operator, job.rate), ("ada", Some(200.0)));
    assert!(job.finished_at.is_some());
    assert_eq!(f.effects().await.len(), 7);
    assert_eq!(queue.desk().jobs(10).await.unwrap(), [job]);
    let log = queue.desk().audit(None, None, 10).await.unwrap().items;
    assert_eq!((&*log[0].act, log[0].job), ("start_job", Some(id)));
}

pub async fn a_bulk_replay_covers_what_was_there_when_it_began<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    dead_letters::<F>(&queue, 3).await;
    let query = Query::dead().message_id("k1-0");
    let one = queue.desk().replay_all(query, None, &by()).await.unwrap();
    let all = queue
        .desk()
        .replay_all(Query::dead(), None, &by())
        .await
        .unwrap();
    dead_letter::<F>(&queue, &delivery(message("later", 0), 9)).await;
    let replayer = replay::<F>(&queue, &script);
    finished::<F>(&queue, one).await;
    finished::<F>(&queue, all).await;
    effects(f, 3).await;
    until("the last key to be handed back", async || {
        let totals = queue.desk().totals(&group()).await.unwrap();
        (totals.blocked_keys == 1).then_some(())
    })
    .await;
    halt(replayer).await;
    let later = queue
        .desk()
        .show(id_of::<F>(&queue, "later-0").await)
        .await
        .unwrap();
    assert_eq!(later.letter.state, Dead);
}

pub async fn a_bulk_replay_goes_on_after_a_restart<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    dead_letters::<F>(&queue, 12).await;
    let id = queue
        .desk()
        .replay_all(Query::dead(), Some(50.0), &by())
        .await
        .unwrap();
    let first = replay::<F>(&queue, &script);
    until("some effects", async || {
        (f.effects().await.len() > 2).then_some(())
    })
    .await;
    halt(first).await;
    let second = replay::<F>(&queue, &script);
    let job = finished::<F>(&queue, id).await;
    effects(f, 12).await;
    until_free::<F>(&queue).await;
    halt(second).await;
    assert_eq!((job.done, job.replayed), (12, 12));
}

pub async fn a_bulk_replay_can_be_cancelled<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    dead_letters::<F>(&queue, 5).await;
    // One in a thousand seconds: the first comes at once.
    let id = queue
        .desk()
        .replay_all(Query::dead(), Some(0.001), &by())
        .await
        .unwrap();
    let replayer = replay::<F>(&queue, &script);
    effects(f, 1).await;
    queue.desk().cancel_job(id, &by()).await.unwrap();
    let again = queue.desk().cancel_job(id, &by()).await;
    assert!(matches!(again, Err(Error::NoJob(_))), "{again:?}");
    let none = queue.desk().job(999).await;
    assert!(matches!(none, Err(Error::NoJob(999))), "{none:?}");
    until("the key to be handed back", async || {
        let totals = queue.desk().totals(&group()).await.unwrap();
        (totals.blocked_keys == 4).then_some(())
    })
    .await;
    halt(replayer).await;
    let job = queue.desk().job(id).await.unwrap();
    assert_eq!((job.state, job.done), (JobState::Cancelled, 1));
    assert_eq!(f.effects().await.len(), 1);
}

pub async fn a_bulk_discard_discards_dead_and_held_messages<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    assert_eq!(
        admit::<F>(&queue, &delivery(message("a", 1), 1)).await,
        Admission::Held
    );
    dead_letter::<F>(&queue, &delivery(message("b", 0), 2)).await;
    assert_eq!(
        admit::<F>(&queue, &delivery(message("b", 1), 3)).await,
        Admission::Held
    );
    let query = Query::all().key("a");
    let id = queue.desk().discard_all(query, None, &by()).await.unwrap();
    let replayer = replay::<F>(&queue, &script);
    let job = finished::<F>(&queue, id).await;
    assert_eq!(job.done, 2);
    let expected = [
        ("a-0", Discarded),
        ("a-1", Discarded),
        ("b-0", Dead),
        ("b-1", Held),
    ];
    until_states::<F>(&queue, &expected).await;
    halt(replayer).await;
    assert_eq!(f.effects().await, Vec::<String>::new());
    let log = queue
        .desk()
        .audit(Some(id_of::<F>(&queue, "a-1").await), None, 10)
        .await
        .unwrap();
    assert_eq!(
        (&*log.items[0].act, log.items[0].job),
        ("discard", Some(id))
    );
}

pub async fn resolved_messages_are_pruned_after_their_retention_and_kept_ones_never<F: Fixture>(
    f: &F,
) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    dead_letters::<F>(&queue, 3).await;
    let desk = queue.desk();
    let (first, second) = (
        id_of::<F>(&queue, "k0-0").await,
        id_of::<F>(&queue, "k1-0").await,
    );
    desk.discard(first, &by()).await.unwrap();
    desk.replay(second, &by()).await.unwrap();
    let keeping = replay::<F>(&queue, &script);
    effects(f, 1).await;
    until("both keys to be handed back", async || {
        (desk.totals(&group()).await.unwrap().blocked_keys == 1).then_some(())
    })
    .await;
    halt(keeping).await;
    let mut tx = begin::<F>(&queue).await;
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(
        queue
            .store()
            .prune(&mut tx, &group(), day, 10)
            .await
            .unwrap(),
        0
    );
    commit::<F>(&queue, tx).await;
    assert_eq!(
        letters::<F>(&queue).await.len(),
        3,
        "within their retention"
    );
    let pruning = replayer::<F>(&queue, &script)
        .retention(Duration::ZERO)
        .spawn();
    until_states::<F>(&queue, &[("k2-0", Dead)]).await;
    halt(pruning).await;
    let gone = desk.show(first).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
    let body = desk.revision(first, 0).await;
    assert!(matches!(body, Err(Error::NotFound(_))), "{body:?}");
    // What was done with them stays known.
    assert_eq!(
        desk.audit(Some(first), None, 10).await.unwrap().items.len(),
        1
    );
}

/// A job shows what became of its messages, so it stays as long as they do.
pub async fn ended_jobs_are_pruned_with_their_messages<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    let desk = queue.desk();
    dead_letters::<F>(&queue, 2).await;
    let replays = Query::dead().message_id("k0-0");
    let over = desk.replay_all(replays, None, &by()).await.unwrap();
    let replayer_of_job = replay::<F>(&queue, &script);
    finished::<F>(&queue, over).await;
    effects(f, 1).await;
    halt(replayer_of_job).await;
    let runs = desk.replay_all(Query::dead(), Some(0.001), &by()).await;
    let runs = runs.unwrap();
    let prune = async |retention| {
        let mut tx = begin::<F>(&queue).await;
        let store = queue.store();
        let pruned = store.prune(&mut tx, &group(), retention, 10).await.unwrap();
        commit::<F>(&queue, tx).await;
        pruned
    };
    assert_eq!(prune(Duration::from_secs(24 * 60 * 60)).await, 0);
    desk.job(over).await.unwrap();
    // The message, and then its job.
    assert_eq!(prune(Duration::ZERO).await, 2);
    let gone = desk.job(over).await;
    assert!(matches!(gone, Err(Error::NoJob(_))), "{gone:?}");
    assert_eq!(desk.job(runs).await.unwrap().state, JobState::Running);
    assert_eq!(prune(Duration::ZERO).await, 0);
}
