//! What operators do with one message.

use mainstay_inbox::Admission;
use mainstay_messaging::{Message, MessageId};

use super::{
    Fixture,
    harness::{
        Act, Counted, Script, admit, by, dead_letter, delivery, effects, group, halt, id_of, key,
        letters, message, names, replay, replayer, states, until_free, until_states,
    },
};
use crate::{
    DeadLetterId, Error, Signature,
    State::{Dead, Discarded, Replayed},
    store::ReplayStore as _,
};

pub async fn a_held_message_is_not_replayed_before_its_dead_letter<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    assert_eq!(
        admit::<F>(&queue, &delivery(message("a", 1), 1)).await,
        Admission::Held
    );
    let (first, held) = (
        id_of::<F>(&queue, "a-0").await,
        id_of::<F>(&queue, "a-1").await,
    );
    let refused = queue.desk().replay(held, &by()).await;
    let expected = matches!(refused, Err(Error::NotFirst { id, first: before }) if id == held && before == first);
    assert!(expected, "{refused:?}");
    assert!(queue.store().due(&group(), 10).await.unwrap().is_empty());
    let missing = queue.desk().replay(DeadLetterId(999), &by()).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
}

pub async fn a_discarded_message_has_no_effect_and_the_others_go_on<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    let dead = delivery(message("a", 0), 0);
    dead_letter::<F>(&queue, &dead).await;
    for number in 1..4 {
        let next = delivery(message("a", number), i64::try_from(number).unwrap());
        assert_eq!(admit::<F>(&queue, &next).await, Admission::Held);
    }
    let desk = queue.desk();
    // One from the middle: the key stays blocked.
    desk.discard(id_of::<F>(&queue, "a-2").await, &by())
        .await
        .unwrap();
    assert!(queue.store().due(&group(), 10).await.unwrap().is_empty());
    let id = id_of::<F>(&queue, "a-0").await;
    desk.discard(id, &by()).await.unwrap();
    let again = desk.discard(id, &by()).await;
    assert!(
        matches!(
            again,
            Err(Error::WrongState {
                state: Discarded,
                ..
            })
        ),
        "{again:?}"
    );
    let replayer = replay::<F>(&queue, &script);
    assert_eq!(effects(f, 2).await, ["a-1", "a-3"]);
    until_free::<F>(&queue).await;
    halt(replayer).await;
    // It comes again: its processed record is still there.
    assert_eq!(admit::<F>(&queue, &dead).await, Admission::Duplicate);
    let expected = [
        ("a-0", Discarded),
        ("a-1", Replayed),
        ("a-2", Discarded),
        ("a-3", Replayed),
    ];
    until_states::<F>(&queue, &expected).await;
}

pub async fn a_discarded_message_can_be_restored_and_replayed<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    let (id, desk) = (id_of::<F>(&queue, "a-0").await, queue.desk());
    let early = desk.restore(id, &by()).await;
    assert!(
        matches!(early, Err(Error::WrongState { state: Dead, .. })),
        "{early:?}"
    );
    desk.discard(id, &by()).await.unwrap();
    let replayer = replay::<F>(&queue, &script);
    until_free::<F>(&queue).await;
    desk.restore(id, &by()).await.unwrap();
    assert_eq!(
        admit::<F>(&queue, &delivery(message("a", 1), 1)).await,
        Admission::Held
    );
    assert_eq!(states::<F>(&queue).await[0].1, Dead);
    desk.replay(id, &by()).await.unwrap();
    assert_eq!(effects(f, 2).await, names("a", 0..2));
    until_free::<F>(&queue).await;
    halt(replayer).await;
}

/// The message with another name in its body.
fn renamed(message: &Message, name: &str) -> Message {
    let mut edited = message.clone();
    let event = Counted {
        name: name.to_owned(),
    };
    edited.payload = Some(serde_json::to_vec(&event).unwrap().into());
    edited
}

pub async fn an_edit_is_a_new_revision_and_the_original_is_kept<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-0", Act::FailForGood)]));
    let original = message("a", 0);
    dead_letter::<F>(&queue, &delivery(original.clone(), 0)).await;
    assert_eq!(
        admit::<F>(&queue, &delivery(message("a", 1), 1)).await,
        Admission::Held
    );
    let (id, desk) = (id_of::<F>(&queue, "a-0").await, queue.desk());
    let edited = renamed(&original, "a-0-mended");
    assert_eq!(desk.edit(id, 0, edited.clone(), &by()).await.unwrap(), 1);
    let details = desk.show(id).await.unwrap();
    assert_eq!(details.letter.revision, 1);
    assert_eq!(details.content.message(), Some(&edited));
    assert_eq!(
        desk.revision(id, 0).await.unwrap().message(),
        Some(&original)
    );
    desk.replay(id, &by()).await.unwrap();
    let replayer = replay::<F>(&queue, &script);
    assert_eq!(effects(f, 2).await, ["a-0-mended", "a-1"]);
    until_free::<F>(&queue).await;
    halt(replayer).await;
    // It keeps the original's identity: both are done.
    assert_eq!(
        admit::<F>(&queue, &delivery(original, 9)).await,
        Admission::Duplicate
    );
    let late = desk.edit(id, 1, edited, &by()).await;
    assert!(
        matches!(
            late,
            Err(Error::WrongState {
                state: Replayed,
                ..
            })
        ),
        "{late:?}"
    );
}

pub async fn of_two_edits_of_one_revision_one_wins<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let original = message("a", 0);
    dead_letter::<F>(&queue, &delivery(original.clone(), 0)).await;
    let (id, desk, by) = (id_of::<F>(&queue, "a-0").await, queue.desk(), by());
    let edits = tokio::join!(
        desk.edit(id, 0, renamed(&original, "one"), &by),
        desk.edit(id, 0, renamed(&original, "other"), &by),
    );
    let won = [edits.0.is_ok(), edits.1.is_ok()];
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
    let lost = if won[0] { edits.1 } else { edits.0 };
    assert!(
        matches!(
            lost,
            Err(Error::Revised {
                expected: 0,
                found: 1,
                ..
            })
        ),
        "{lost:?}"
    );
    assert_eq!(desk.show(id).await.unwrap().letter.revision, 1);
}

pub async fn an_edit_keeps_identity_and_key_and_decodes<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let original = message("a", 0);
    dead_letter::<F>(&queue, &delivery(original.clone(), 0)).await;
    let id = id_of::<F>(&queue, "a-0").await;
    let desk = queue.desk().check::<Counted>();
    let mut other_id = original.clone();
    other_id.id = MessageId::from_static("another");
    let mut no_key = original.clone();
    no_key.key = None;
    let mut damaged = original.clone();
    damaged.payload = Some("{".into());
    for edit in [other_id, no_key, damaged] {
        let refused = desk.edit(id, 0, edit, &by()).await;
        assert!(
            matches!(refused, Err(Error::InvalidEdit { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(desk.show(id).await.unwrap().letter.revision, 0);
    let renamed = renamed(&original, "fine");
    assert_eq!(desk.edit(id, 0, renamed, &by()).await.unwrap(), 1);
}

pub async fn a_dry_run_leaves_no_trace_of_its_effect<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-0", Act::FailForGood)]));
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    let id = id_of::<F>(&queue, "a-0").await;
    let replayer = replayer::<F>(&queue, &script);
    let ran = replayer.dry_run(id, &by()).await.unwrap();
    assert_eq!(ran.error.as_deref(), Some("a-0 is poison"));
    script.plan("a-0", None);
    let ran = replayer.dry_run(id, &by()).await.unwrap();
    assert_eq!((ran.error, script.starts_of("a-0")), (None, 2));
    assert_eq!(f.effects().await, Vec::<String>::new());
    let letter = queue.desk().show(id).await.unwrap().letter;
    assert_eq!((letter.state, letter.attempts), (Dead, 1));
    // A handler may have called others, so the audit log has both runs.
    let log = queue.desk().audit(Some(id), None, 10).await.unwrap().items;
    let acts: Vec<_> = log
        .iter()
        .map(|entry| (&*entry.act, &*entry.detail))
        .collect();
    assert_eq!(acts, [("dry_run", "revision 0"); 2]);
}

pub async fn every_act_is_recorded_with_who_and_why<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let original = message("a", 0);
    dead_letter::<F>(&queue, &delivery(original.clone(), 0)).await;
    let (id, desk) = (id_of::<F>(&queue, "a-0").await, queue.desk());
    let why = |reason: &str| Signature::new("ada", reason);
    let edited = renamed(&original, "x");
    desk.edit(id, 0, edited, &why("a typo")).await.unwrap();
    desk.discard(id, &why("a test order")).await.unwrap();
    desk.restore(id, &why("no, a real one")).await.unwrap();
    desk.replay_key(&key("a"), &why("fixed")).await.unwrap();
    let page = desk.audit(Some(id), None, 10).await.unwrap();
    let acts: Vec<_> = page
        .items
        .iter()
        .rev()
        .map(|entry| (&*entry.act, &*entry.reason))
        .collect();
    let expected = [
        ("edit", "a typo"),
        ("discard", "a test order"),
        ("restore", "no, a real one"),
        ("replay", "fixed"),
    ];
    assert_eq!(acts, expected);
    assert!(page.items.iter().all(|entry| entry.operator == "ada"));
    assert_eq!(page.items.last().unwrap().detail, "revision 1");
    // Page by page.
    let first = desk.audit(None, None, 3).await.unwrap();
    let rest = desk.audit(None, first.next, 3).await.unwrap();
    assert_eq!(
        (first.items.len(), rest.items.len(), rest.next),
        (3, 1, None)
    );
    assert!(rest.items[0].id < first.items[2].id);
}

pub async fn an_act_without_who_or_why_is_refused<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    let replayer = replayer::<F>(&queue, &script);
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    let (id, desk) = (id_of::<F>(&queue, "a-0").await, queue.desk());
    for by in [Signature::new(" ", "fixed"), Signature::new("ada", "")] {
        let refused = [
            desk.replay(id, &by).await,
            desk.discard(id, &by).await,
            desk.restore(id, &by).await,
            desk.edit(id, 0, message("a", 0), &by).await.map(drop),
            desk.replay_all(crate::Query::dead(), None, &by)
                .await
                .map(drop),
            desk.cancel_job(1, &by).await,
            replayer.dry_run(id, &by).await.map(drop),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(Error::Unsigned(_))), "{refused:?}");
        }
    }
    assert!(desk.audit(None, None, 10).await.unwrap().items.is_empty());
    assert_eq!(letters::<F>(&queue).await[0].state, Dead);
}
