//! Who did what, why and when: the acts on sagas, dead letters and refused messages, as each service
//! records them, and those of the console, which are lines of a file.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use commerce_chassis::{Problem, Result, Snapshot, Storage, from_rfc3339, rfc3339};
use mainstay_clock::{Clock as _, SystemClock};
use mainstay_messaging::envelope::micros_since_epoch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Console, unsigned};
use crate::config::SERVICES;

/// The file in the data directory: one JSON object a line.
pub(crate) const FILE: &str = "acts.jsonl";
/// Acts that are shown.
const SHOWN: usize = 200;
/// The end of the file that is read, in bytes.
const TAIL: u64 = 128 * 1024;

/// Acts on the newest runs: their journals are read, not all of them.
const ON_SAGAS: &str = r#"SELECT at, run, entry FROM saga_journal
    WHERE run >= (SELECT min(run) FROM (SELECT run FROM saga_runs ORDER BY run DESC LIMIT 5000) newest)
      AND entry LIKE '%"by":{%'
    ORDER BY at DESC LIMIT 200"#;
const ON_DEAD_LETTERS: &str =
    "SELECT at, operator, act, message, reason FROM dlq_audit ORDER BY id DESC LIMIT 200";
const ON_REFUSED: &str =
    "SELECT at, operator, act, message_id, reason FROM outbox_acts ORDER BY id DESC LIMIT 200";

pub(super) fn router() -> Router<Console> {
    Router::new().route("/console/acts", get(list))
}

/// An act.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    at: String,
    operator: String,
    act: String,
    /// What it was done to.
    object: String,
    reason: String,
    /// The page of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

impl Entry {
    /// An act of now, which needs a name and a reason.
    pub(super) fn new(
        operator: String,
        act: &str,
        object: String,
        reason: String,
    ) -> std::result::Result<Self, Problem> {
        if reason.trim().is_empty() {
            return Err(unsigned("an act needs a reason"));
        }
        Ok(Self {
            at: now(),
            operator,
            act: act.to_owned(),
            object,
            reason,
            page: None,
        })
    }
}

pub(super) fn now() -> String {
    rfc3339(micros_since_epoch(SystemClock::new().now()))
}

/// The acts of the console, in a file beside the data. Clones write to the same one.
#[derive(Clone)]
pub(super) struct Acts {
    path: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl Acts {
    pub(super) fn beside(storage: &Storage) -> Self {
        Self {
            path: storage.data().join(FILE),
            writing: Arc::default(),
        }
    }

    /// Records an act that is about to be done. An act that cannot be recorded is not done.
    pub(super) fn record(&self, act: &Entry) -> std::result::Result<(), Problem> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.append(act).map_err(|error| {
            let title = "The act cannot be recorded, so it is not done";
            let detail = format!("{}: {error}", self.path.display());
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unrecorded", title, detail)
        })
    }

    fn append(&self, act: &Entry) -> std::io::Result<()> {
        // A line that a crash has cut short ends here.
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, act)?;
        line.push(b'\n');
        let mut file = File::options().create(true).append(true).open(&self.path)?;
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The newest ones. A line that was cut short by a crash is passed over.
    fn read(&self) -> std::io::Result<Vec<Entry>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let lines = bytes.split(|byte| *byte == b'\n');
        Ok(lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }
}

async fn list(State(console): State<Console>) -> std::result::Result<Json<Vec<Entry>>, Problem> {
    let mut acts = console.acts.read().map_err(|error| {
        tracing::error!(%error, "the acts of the console cannot be read");
        Problem::unavailable()
    })?;
    for service in SERVICES {
        acts.extend(of(&console.storage, service).await?);
    }
    acts.sort_by_cached_key(|act| std::cmp::Reverse(from_rfc3339(&act.at)));
    acts.truncate(SHOWN);
    Ok(Json(acts))
}

/// When, who, the act, on what, and why.
type Row<T> = (i64, String, String, Option<T>, String);

/// The acts that a service has recorded.
async fn of(storage: &Storage, service: &'static str) -> Result<Vec<Entry>> {
    let Some(mut snapshot) = storage.find_snapshot(service).await? else {
        return Ok(Vec::new());
    };
    let mut acts = Vec::new();
    if service == "order" {
        acts.extend(on_sagas(&mut snapshot).await?);
    }
    let letters: Vec<Row<i64>> = snapshot.all(ON_DEAD_LETTERS).await?;
    for (at, operator, act, letter, reason) in letters {
        let page = letter.map(|id| format!("/ops/dead-letters/{service}/{id}"));
        let object = letter.map_or_else(
            || format!("many dead letters of {service}"),
            |id| format!("dead letter {service}/{id}"),
        );
        acts.push(Entry {
            at: rfc3339(at),
            operator,
            act,
            object,
            reason,
            page,
        });
    }
    let refused: Vec<Row<String>> = snapshot.all(ON_REFUSED).await?;
    for (at, operator, act, message, reason) in refused {
        let message = message.unwrap_or_else(|| "unreadable".to_owned());
        acts.push(Entry {
            at: rfc3339(at),
            operator,
            act,
            object: format!("refused message {message} of {service}"),
            reason,
            page: None,
        });
    }
    snapshot.close().await?;
    Ok(acts)
}

async fn on_sagas(snapshot: &mut Snapshot) -> Result<Vec<Entry>> {
    let entries: Vec<(i64, String, String)> = snapshot.all(ON_SAGAS).await?;
    Ok(entries.into_iter().filter_map(on_saga).collect())
}

/// An entry of a journal that says who acted.
fn on_saga((at, run, entry): (i64, String, String)) -> Option<Entry> {
    let entry: Value = serde_json::from_str(&entry).ok()?;
    let (kind, told) = entry.as_object()?.iter().next()?;
    let text = |of: &Value, name: &str| of.get(name)?.as_str().map(str::to_owned);
    let by = told.get("by")?;
    let act = match (kind.as_str(), text(told, "step")) {
        ("cancel_requested", _) => "cancel".to_owned(),
        ("retried", Some(step)) => format!("retry {step}"),
        ("skipped", Some(step)) => format!("skip {step}"),
        ("mended", _) => "retry".to_owned(),
        (other, _) => other.to_owned(),
    };
    Some(Entry {
        at: rfc3339(at),
        operator: text(by, "operator")?,
        act,
        page: Some(format!("/ops/sagas/{run}")),
        object: format!("saga {run}"),
        reason: text(by, "reason")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_on_a_saga_is_read_from_its_journal() {
        let by = r#"{"operator":"ada","reason":"stuck"}"#;
        let of = |entry: String| on_saga((0, "r-1".to_owned(), entry));
        let retried = of(format!(r#"{{"retried":{{"step":"Pay","by":{by}}}}}"#)).unwrap();
        assert_eq!(
            (&*retried.act, &*retried.operator, &*retried.reason),
            ("retry Pay", "ada", "stuck")
        );
        let cancelled = of(format!(r#"{{"cancel_requested":{{"by":{by}}}}}"#)).unwrap();
        assert_eq!(cancelled.page.as_deref(), Some("/ops/sagas/r-1"));
        assert!(of(r#"{"done":{"step":"Pay","result":{"by":{}}}}"#.to_owned()).is_none());
        assert!(of("\"started\"".to_owned()).is_none());
    }

    #[test]
    fn an_act_is_kept_beside_a_line_that_was_cut_short() {
        let data = tempfile::tempdir().unwrap();
        let acts = Acts {
            path: data.path().join(FILE),
            writing: Arc::default(),
        };
        assert!(acts.read().unwrap().is_empty());
        std::fs::write(&acts.path, "{\"at\":\"20").unwrap();
        let act = Entry::new(
            "ada".to_owned(),
            "play",
            "poison".to_owned(),
            "to see".to_owned(),
        );
        acts.record(&act.unwrap()).unwrap();
        let kept = acts.read().unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!((&*kept[0].operator, &*kept[0].reason), ("ada", "to see"));
        assert!(Entry::new("ada".to_owned(), "play", String::new(), " ".to_owned()).is_err());
    }
}
