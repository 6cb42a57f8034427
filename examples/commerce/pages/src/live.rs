//! Sends the parts of a page that have changed. Each part is an element with an id.
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
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt as _, stream};
use maud::Markup;
use serde::Deserialize;

use crate::Pages;

/// Pause between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(400);
/// Pause between two looks at what has ended: little may follow.
pub(crate) const LOOK_AT_ENDED: Duration = Duration::from_secs(3);
/// Connections on which nothing moves are closed, so a comment is sent.
const ALIVE: Duration = Duration::from_secs(3);

#[derive(Deserialize)]
pub(crate) struct Since {
    #[serde(default)]
    seen: String,
}

/// The parts of a page, and when to look again.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) parts: Vec<Markup>,
    pub(crate) pause: Duration,
}

/// What a browser that has all of these parts has seen.
pub(crate) fn seen(parts: &[Markup]) -> String {
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
struct Watch<L> {
    look: L,
    /// Fingerprints of the parts that the browser has.
    seen: Vec<String>,
    pause: Duration,
}

/// A stream of what changes, until the pages close. `look` says what there is now; nothing: the
/// services may be away for a while, and the next look may find them.
pub(crate) fn stream<L, F>(
    pages: &Pages,
    Since { seen }: &Since,
    headers: &HeaderMap,
    look: L,
) -> Response
where
    L: FnMut() -> F + Send + 'static,
    F: Future<Output = Option<Look>> + Send,
{
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let watch = Watch {
        look,
        seen: last.unwrap_or(seen).split('-').map(known).collect(),
        pause: Duration::ZERO,
    };
    let events = stream::unfold(watch, |mut watch| async {
        let changed = watch.next().await;
        Some((stream::iter(changed), watch))
    });
    let closing = pages.closing.clone();
    let events = events.flatten().take_until(closing.cancelled_owned());
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE));
    events.into_response()
}

impl<L, F> Watch<L>
where
    L: FnMut() -> F,
    F: Future<Output = Option<Look>>,
{
    /// Waits, and says what has changed.
    async fn next(&mut self) -> Vec<Result<Event, Infallible>> {
        tokio::time::sleep(self.pause).await;
        self.pause = LOOK;
        let Some(Look { parts, pause }) = (self.look)().await else {
            return Vec::new();
        };
        self.pause = pause;
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
