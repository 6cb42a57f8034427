//! What operators see.

use commerce_chassis::Desk;
use mainstay_dlq::{
    DeadLetter, State,
    desk::{AuditEntry, Details, FailureGroup, Job, Page},
};
use mainstay_messaging::{broker::Content, envelope};
use serde::Serialize;
use serde_json::{Value, json};

use super::{desk, query, refused, services};
use crate::{
    cli::dead_letters::{AuditArguments, ListArguments, Listing, Reference, ShowArguments},
    error::Failure,
    operator::storage,
    output::{self, short, time},
};

/// Something with the service that it belongs to.
#[derive(Serialize)]
pub(super) struct Of<T> {
    pub(super) service: &'static str,
    #[serde(flatten)]
    pub(super) item: T,
}

impl<T> Of<T> {
    fn each(service: &'static str, items: Vec<T>) -> impl Iterator<Item = Self> {
        items.into_iter().map(move |item| Self { service, item })
    }
}

pub(super) async fn groups(arguments: Listing) -> Result<(), Failure> {
    let storage = storage(arguments.target.storage)?;
    let mut groups: Vec<Of<FailureGroup>> = Vec::new();
    for service in services(&storage, arguments.service.as_deref()).await? {
        let desk = desk(&storage, service).await?;
        let found = desk.groups(None, arguments.limit).await.map_err(refused)?;
        groups.extend(Of::each(service, found));
    }
    if arguments.target.json {
        return output::json(&groups);
    }
    let rows = groups.iter().map(|Of { service, item }| {
        [
            (*service).to_owned(),
            item.fingerprint.clone(),
            format!("{}{}", item.count, if item.more { "+" } else { "" }),
            time(item.first_seen),
            time(item.last_seen),
            item.example.kind.clone().unwrap_or_default(),
            short(item.example.error.as_deref().unwrap_or_default(), 80),
        ]
    });
    let headings = [
        "SERVICE",
        "FINGERPRINT",
        "COUNT",
        "FIRST",
        "LAST",
        "KIND",
        "ERROR OF THE NEWEST",
    ];
    output::table(headings, rows, "no dead letters")
}

pub(super) async fn list(arguments: ListArguments) -> Result<(), Failure> {
    let storage = storage(arguments.target.storage)?;
    let mut letters: Vec<Of<DeadLetter>> = Vec::new();
    for service in services(&storage, arguments.filter.service.as_deref()).await? {
        let desk = desk(&storage, service).await?;
        let mut found = Vec::new();
        let states = match arguments.state {
            Some(state) => vec![state],
            None => vec![State::Dead, State::Held],
        };
        for state in states {
            let query = query(&arguments.filter).state(state);
            let page: Page<_> = desk
                .list(&query, arguments.before, arguments.limit)
                .await
                .map_err(refused)?;
            found.extend(page.items);
        }
        found.sort_by_key(|letter| std::cmp::Reverse(letter.id));
        found.truncate(usize::try_from(arguments.limit).unwrap_or(usize::MAX));
        letters.extend(Of::each(service, found));
    }
    if arguments.target.json {
        return output::json(&letters);
    }
    let rows = letters.iter().map(|Of { service, item }| {
        [
            format!("{service}/{}", item.id),
            item.state.to_string(),
            item.kind
                .clone()
                .unwrap_or_else(|| "not a message".to_owned()),
            short(item.key.as_deref().unwrap_or_default(), 40),
            time(item.kept_at),
            item.attempts.to_string(),
            short(item.error.as_deref().unwrap_or_default(), 80),
        ]
    });
    let headings = [
        "MESSAGE", "STATE", "KIND", "KEY", "SINCE", "ATTEMPTS", "ERROR",
    ];
    output::table(headings, rows, "no message matches")
}

pub(super) async fn show(arguments: ShowArguments) -> Result<(), Failure> {
    let storage = storage(arguments.target.storage)?;
    let Reference { service, .. } = arguments.message;
    let desk = desk(&storage, service).await?;
    let id = arguments.message.letter();
    let mut details = desk.show(id).await.map_err(refused)?;
    if let Some(revision) = arguments.revision {
        details.content = desk.revision(id, revision).await.map_err(refused)?;
        details.letter.revision = revision;
    }
    if arguments.body {
        return body(&details);
    }
    let head = desk.head_of(&details.letter).await.map_err(refused)?;
    let head = head.map(|head| format!("{service}/{}", head.id));
    if arguments.target.json {
        let mut value = of_details(service, &details)?;
        value["held_behind"] = json!(head);
        return output::json(&value);
    }
    output::print(&text(arguments.message, &details, head))
}

/// The bytes alone, for a file.
fn body(details: &Details) -> Result<(), Failure> {
    let payload = match &details.content {
        Content::Message(message) => &message.payload,
        Content::Raw(raw) => &raw.payload,
    };
    let bytes = payload.as_deref();
    let bytes = bytes.ok_or_else(|| Failure::plain("the message has no body"))?;
    output::bytes(bytes)
}

/// With the envelope, which an edit may change.
fn of_details(service: &str, details: &Details) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(details)
        .map_err(|error| Failure::new("the message cannot be written", &error))?;
    value["service"] = json!(service);
    value["envelope"] = match &details.content {
        Content::Message(message) => json!(envelope::write(message)),
        Content::Raw(_) => Value::Null,
    };
    Ok(value)
}

fn text(reference: Reference, details: &Details, head: Option<String>) -> String {
    let letter = &details.letter;
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<12} {value}"));
    line(
        "message",
        format!(
            "{reference}, {}, {} held behind it",
            letter.state, details.held
        ),
    );
    if let Some(head) = head {
        line("held behind", head);
    }
    line(
        "kind",
        letter
            .kind
            .clone()
            .unwrap_or_else(|| "not a message".to_owned()),
    );
    line(
        "key",
        letter.key.clone().unwrap_or_else(|| "none".to_owned()),
    );
    line("id", format!("{} of {}", letter.message_id, letter.source));
    line("read at", letter.position.to_string());
    line("since", time(letter.kept_at));
    line("attempts", letter.attempts.to_string());
    line("revision", letter.revision.to_string());
    if let Some(fingerprint) = &letter.fingerprint {
        line("fingerprint", fingerprint.clone());
    }
    if let Some(due) = letter.due_at {
        line("tried next", time(due));
    }
    for failure in &details.failures {
        let FailureShown { at, what } = failure.into();
        line("failed", format!("{at} {what}"));
    }
    let (headers, payload) = match &details.content {
        Content::Message(message) => {
            line("envelope", envelope::write(message));
            (&message.headers, &message.payload)
        }
        Content::Raw(raw) => {
            line("unreadable", raw.reason.clone());
            (&raw.headers, &raw.payload)
        }
    };
    for (name, value) in headers.iter() {
        line("header", format!("{name}: {}", value.escape_ascii()));
    }
    match payload.as_deref().map(std::str::from_utf8) {
        None => line("body", "none".to_owned()),
        Some(Ok(body)) => line("body", body.to_owned()),
        Some(Err(_)) => {
            let bytes = payload.as_deref().unwrap_or_default();
            line("body", bytes.escape_ascii().to_string());
        }
    }
    lines.join("\n")
}

struct FailureShown {
    at: String,
    what: String,
}

impl From<&mainstay_dlq::desk::FailureRecord> for FailureShown {
    fn from(failure: &mainstay_dlq::desk::FailureRecord) -> Self {
        Self {
            at: time(failure.at),
            what: format!(
                "{} (revision {}, {} attempts): {}",
                failure.kind, failure.revision, failure.attempts, failure.error
            ),
        }
    }
}

pub(super) async fn audit(arguments: AuditArguments) -> Result<(), Failure> {
    let AuditArguments { message, listing } = arguments;
    let storage = storage(listing.target.storage)?;
    let wanted = message.map(|message| message.service.to_owned());
    let wanted = wanted.or(listing.service);
    let mut entries: Vec<Of<AuditEntry>> = Vec::new();
    for service in services(&storage, wanted.as_deref()).await? {
        let desk: Desk = desk(&storage, service).await?;
        let letter = message.map(Reference::letter);
        let page = desk.audit(letter, None, listing.limit).await;
        entries.extend(Of::each(service, page.map_err(refused)?.items));
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.item.at));
    if listing.target.json {
        return output::json(&entries);
    }
    let rows = entries.iter().map(|Of { service, item }| {
        let object = match (item.letter, item.job) {
            (Some(letter), _) => format!("{service}/{letter}"),
            (None, Some(job)) => format!("job {service}/{job}"),
            (None, None) => (*service).to_owned(),
        };
        [
            time(item.at),
            item.operator.clone(),
            item.act.clone(),
            object,
            short(&item.reason, 60),
            short(&item.detail, 60),
        ]
    });
    let headings = ["TIME", "OPERATOR", "ACT", "OBJECT", "REASON", "DETAIL"];
    output::table(headings, rows, "no operator has done anything")
}

pub(super) async fn jobs(arguments: Listing) -> Result<(), Failure> {
    let storage = storage(arguments.target.storage)?;
    let mut jobs: Vec<Of<Job>> = Vec::new();
    for service in services(&storage, arguments.service.as_deref()).await? {
        let desk = desk(&storage, service).await?;
        let found = desk.jobs(arguments.limit).await.map_err(refused)?;
        jobs.extend(Of::each(service, found));
    }
    if arguments.target.json {
        return output::json(&jobs);
    }
    let rows = jobs.iter().map(|Of { service, item }| {
        [
            format!("{service}/{}", item.id),
            format!("{:?}", item.act).to_lowercase(),
            format!("{:?}", item.state).to_lowercase(),
            item.done.to_string(),
            item.replayed.to_string(),
            item.failed.to_string(),
            item.waiting.to_string(),
            item.operator.clone(),
            short(&item.reason, 60),
        ]
    });
    let headings = [
        "JOB", "ACT", "STATE", "ASKED", "REPLAYED", "FAILED", "WAITING", "OPERATOR", "REASON",
    ];
    output::table(headings, rows, "no jobs")
}
