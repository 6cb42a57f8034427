//! `/orders/{id}/live`: sends the parts of an order's page that have changed.
//!
//! The id of an event names what the browser has then seen: a fingerprint of each part. A browser
//! that comes back says it (`Last-Event-ID`), so it gets what it missed, and no process has to
//! remember it.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt as _, stream};
use maud::Markup;
use serde::Deserialize;

use super::{facts::Facts, sections};
use crate::{Pages, page::Refusal, time, visit::Visit};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(400);
/// Pause between two looks at an order that has ended: mails and refunds may follow.
const LOOK_AT_ENDED: Duration = Duration::from_secs(3);
/// Connections on which nothing moves are closed, so a comment is sent.
const ALIVE: Duration = Duration::from_secs(3);

#[derive(Deserialize)]
pub(super) struct Since {
    #[serde(default)]
    seen: String,
}

/// What a browser that has all of these parts has seen.
pub(super) fn seen(parts: &[Markup]) -> String {
    let texts: Vec<_> = parts.iter().map(fingerprint).collect();
    texts.join("-")
}

fn fingerprint(part: &Markup) -> String {
    let mut hasher = DefaultHasher::new();
    part.0.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A fingerprint that a browser names. An event's id cannot hold any text, and panics at a line's end.
fn known(print: &str) -> String {
    let is_print = print.len() == 16 && print.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_print {
        print.to_owned()
    } else {
        String::new()
    }
}

/// What a stream goes on with.
struct Watch {
    pages: Pages,
    visit: Visit,
    id: String,
    /// Fingerprints of the parts that the browser has.
    seen: Vec<String>,
    pause: Duration,
}

pub(super) async fn stream(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Query(Since { seen }): Query<Since>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response, Refusal> {
    if Facts::ask(&pages.api, &visit, &id).await?.is_none() {
        return Err(Refusal::nothing(format!("no order {id:?}")));
    }
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let seen = last.unwrap_or(&seen).split('-').map(known).collect();
    let closing = pages.closing.clone();
    let watch = Watch {
        pages,
        visit,
        id,
        seen,
        pause: Duration::ZERO,
    };
    let events = stream::unfold(watch, |mut watch| async {
        let changed = watch.look().await;
        Some((stream::iter(changed), watch))
    });
    let events = events.flatten().take_until(closing.cancelled_owned());
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE));
    Ok(events.into_response())
}

impl Watch {
    /// Waits, and says what has changed.
    async fn look(&mut self) -> Vec<Result<Event, Infallible>> {
        tokio::time::sleep(self.pause).await;
        self.pause = LOOK;
        // The services may be away for a while: the next look may find them.
        let Ok(Some(facts)) = Facts::ask(&self.pages.api, &self.visit, &self.id).await else {
            return Vec::new();
        };
        if facts.has_ended() {
            self.pause = LOOK_AT_ENDED;
        }
        let parts = sections::of(&facts, time::now());
        self.seen.resize(parts.len(), String::new());
        let mut changed = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let print = fingerprint(part);
            if self.seen[index] == print {
                continue;
            }
            self.seen[index] = print;
            let event = Event::default().id(self.seen.join("-")).data(&part.0);
            changed.push(Ok(event));
        }
        changed
    }
}
