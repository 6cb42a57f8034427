//! `commerce demo poison`: from the alarm to fixed, as an operator goes. `poison-alarm` ends at the
//! alarm.

use commerce_chassis::{Desk, Storage};
use commerce_contracts::{SUBSCRIPTIONS, ShipmentStatusChanged, Subscription};
use mainstay_dlq::{DeadLetter, Error, Query, Signature, State};
use mainstay_messaging::{Event as _, Message, broker::Content};

use super::{
    scans::{self, RIGHT, WRONG},
    scenarios::WHOLE_WAY,
    stage::Stage,
    story::Story,
};
use crate::{
    dlq::{desk, refused},
    error::Failure,
};

/// The services that handle scans. Each keeps its own copy of what it cannot handle.
fn services() -> impl Iterator<Item = &'static str> {
    let handles =
        |it: &&Subscription| it.handles(ShipmentStatusChanged::TOPIC, ShipmentStatusChanged::KIND);
    SUBSCRIPTIONS.iter().filter(handles).map(|it| it.service)
}

/// What a service keeps of the order, in the order in which it came.
struct Kept {
    service: &'static str,
    desk: Desk,
    letters: Vec<DeadLetter>,
}

pub(super) async fn run(stage: &mut Stage) -> Result<(), Failure> {
    let storage = stage.beside.running()?;
    let was_ok = stage.client.status().await? == "ok";
    let Some((order, kept)) = raise_the_alarm(stage, &storage).await? else {
        return Ok(());
    };

    stage.story.step("Other orders go on meanwhile")?;
    deliver(stage).await?;

    let story = &mut stage.story;
    story.step("The cause: commerce dlq groups, then commerce dlq show")?;
    for kept in &kept {
        cause(story, kept).await?;
    }

    story.step("The fix: commerce dlq edit, as a new revision; a wrong one is refused")?;
    let by = Signature::new("demo", "shipping misspelt the status");
    for kept in &kept {
        fix(story, kept, &by).await?;
    }

    story.step("commerce dlq replay: the dead letter, then what was held behind it")?;
    for kept in &kept {
        if let Some(dead) = kept.letters.first() {
            story.note(&format!(
                "commerce dlq replay {}/{} --reason …",
                kept.service, dead.id
            ))?;
            kept.desk.replay(dead.id, &by).await.map_err(refused)?;
        }
    }
    for kept in &kept {
        replayed(story, kept, &order).await?;
    }

    story.step("Fixed: commerce dlq audit says who did what; commerce verify checks the rest")?;
    for kept in &kept {
        audited(story, kept).await?;
    }
    if was_ok {
        says(stage, "ok").await?;
    }
    Ok(())
}

/// Leaves the dead letters, for people who want to try the repair.
pub(super) async fn run_up_to_the_alarm(stage: &mut Stage) -> Result<(), Failure> {
    let storage = stage.beside.running()?;
    let Some((_, kept)) = raise_the_alarm(stage, &storage).await? else {
        return Ok(());
    };
    let story = &mut stage.story;
    story.step("The repair is yours: commerce dlq --help, or the page /ops")?;
    story.note("commerce dlq groups")?;
    for Kept {
        service, letters, ..
    } in &kept
    {
        if let Some(dead) = letters.first() {
            story.note(&format!("commerce dlq show {service}/{}", dead.id))?;
        }
    }
    story.note(&format!("The status that shipping meant is {RIGHT}."))?;
    story.note("GET /readyz says ok again when all is repaired.")
}

/// An order whose scans cannot be handled, and what the services keep of it.
async fn raise_the_alarm(
    stage: &mut Stage,
    storage: &Storage,
) -> Result<Option<(String, Vec<Kept>)>, Failure> {
    stage.story.step("An order is placed and delivered")?;
    let Some(order) = deliver(stage).await? else {
        return Ok(None);
    };

    stage.story.step(&format!(
        "A faulty release of shipping reports a scan of a second parcel as {WRONG}, and then a sound scan"
    ))?;
    scans::emit(storage, &order).await?;

    stage
        .story
        .step("The alarm: a service cannot handle the scan, and holds the next one behind it")?;
    let mut kept = Vec::new();
    for service in services() {
        let what = format!("{service} keeps one dead letter and one held message of the order");
        let desk = desk(storage, service).await?;
        let found = stage
            .story
            .wait_for(&what, async || two_of(&desk, &order).await);
        let Some(letters) = found.await? else {
            return Ok(None);
        };
        let kept_here = Kept {
            service,
            desk,
            letters,
        };
        kept.push(kept_here);
    }
    says(stage, "attention").await?;
    Ok(Some((order, kept)))
}

/// Waits until the shop says so about its readiness.
async fn says(stage: &mut Stage, status: &str) -> Result<(), Failure> {
    let Stage { story, client, .. } = stage;
    let says_so = async || Ok((client.status().await? == status).then_some(()));
    let what = format!("GET /readyz says {status}");
    story.wait_for(&what, says_so).await?;
    Ok(())
}

/// Places an order that will be paid, and waits until it is completed.
async fn deliver(stage: &mut Stage) -> Result<Option<String>, Failure> {
    let Some(order) = stage.place(&[("SKU-005", 1)], "pm_ok").await? else {
        return Ok(None);
    };
    let ended = stage.follow(&order, &WHOLE_WAY).await?;
    Ok(ended.map(|_| order))
}

/// Once one dead letter of the order is kept, and one message behind it.
async fn two_of(desk: &Desk, order: &str) -> Result<Option<Vec<DeadLetter>>, Failure> {
    let query = Query::all().key(order);
    let mut letters = desk.list(&query, None, 10).await.map_err(refused)?.items;
    letters.reverse();
    let states: Vec<State> = letters.iter().map(|letter| letter.state).collect();
    Ok((states == [State::Dead, State::Held]).then_some(letters))
}

async fn cause(story: &mut Story, kept: &Kept) -> Result<(), Failure> {
    let Kept {
        service,
        desk,
        letters,
    } = kept;
    let Some(dead) = letters.first() else {
        return Ok(());
    };
    let groups = desk.groups(None, 100).await.map_err(refused)?;
    let group = groups
        .iter()
        .find(|group| Some(&group.fingerprint) == dead.fingerprint.as_ref());
    let names_it = dead
        .error
        .as_deref()
        .is_some_and(|error| error.contains("IN TRANSIT"));
    story.note(&format!("commerce dlq show {service}/{}", dead.id))?;
    story.note(&format!(
        "{service}: {}",
        dead.error.as_deref().unwrap_or_default()
    ))?;
    story.expect(
        &format!("{service}: the failure has a group, and its error names the wrong value"),
        group.is_some() && names_it,
    )
}

async fn fix(story: &mut Story, kept: &Kept, by: &Signature) -> Result<(), Failure> {
    let Kept { service, desk, .. } = kept;
    let Some(dead) = kept.letters.first() else {
        return Ok(());
    };
    let details = desk.show(dead.id).await.map_err(refused)?;
    let Content::Message(mut message) = details.content else {
        return story.expect(&format!("{service}: the record is a message"), false);
    };
    let payload = |message: &Message| {
        let bytes = message.payload.as_deref().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let body = payload(&message);
    message.payload = Some(body.replace(WRONG, "\"on its way\"").into());
    let wrong = desk.edit(dead.id, 0, message.clone(), by).await;
    story.expect(
        &format!("{service}: an edit with another status that is none is refused"),
        matches!(wrong, Err(Error::InvalidEdit { .. })),
    )?;
    message.payload = Some(body.replace(WRONG, RIGHT).into());
    let edited = desk.edit(dead.id, 0, message, by).await;
    story.expect(
        &format!(
            "{service}: the right status is revision 1 of {service}/{}",
            dead.id
        ),
        matches!(edited, Ok(1)),
    )?;
    let original = desk.revision(dead.id, 0).await.map_err(refused)?;
    let is_kept = original
        .message()
        .is_some_and(|message| payload(message) == body);
    story.expect(&format!("{service}: the original is kept"), is_kept)
}

async fn replayed(story: &mut Story, kept: &Kept, order: &str) -> Result<(), Failure> {
    let Kept { service, desk, .. } = kept;
    let query = Query::all().key(order);
    let both = async || {
        let mut letters = desk.list(&query, None, 10).await.map_err(refused)?.items;
        letters.reverse();
        let done = letters.iter().all(|letter| letter.state == State::Replayed);
        Ok(done.then_some(letters))
    };
    let what = format!("{service}: both are replayed");
    let Some(letters) = story.wait_for(&what, both).await? else {
        return Ok(());
    };
    let in_order = letters.is_sorted_by_key(|letter| letter.resolved_at);
    story.expect(&format!("{service}: in their order"), in_order)
}

async fn audited(story: &mut Story, kept: &Kept) -> Result<(), Failure> {
    let Some(dead) = kept.letters.first() else {
        return Ok(());
    };
    let page = kept
        .desk
        .audit(Some(dead.id), None, 10)
        .await
        .map_err(refused)?;
    let acts: Vec<(&str, &str)> = page
        .items
        .iter()
        .map(|entry| (&*entry.operator, &*entry.act))
        .collect();
    story.expect(
        &format!(
            "{}: the audit log has the edit and the replay",
            kept.service
        ),
        acts == [("demo", "replay"), ("demo", "edit")],
    )
}
