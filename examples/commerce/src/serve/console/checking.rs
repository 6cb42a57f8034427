//! `commerce verify` in this process, one at a time.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use commerce_chassis::{ON_A_SERVER, Problem};
use serde::Serialize;
use serde_json::Value;

use super::{Console, busy, work};
use crate::{output, serve::console::acts::now, verify};

/// Longest wait until nothing is in progress. The built-in customers never stop, so it is short.
const SETTLE: Duration = Duration::from_secs(5);
/// Files of more bytes are checked by a process of its own: a check holds all rows in memory.
const LARGEST: u64 = 1 << 30;

/// The check that is under way, or the latest one.
#[derive(Default)]
pub(super) struct Checking(Mutex<Shown>);

#[derive(Clone, Default, Serialize)]
struct Shown {
    running: bool,
    /// What it waits for.
    progress: Option<String>,
    ended_at: Option<String>,
    verdict: Option<Value>,
    failure: Option<String>,
}

pub(super) fn router() -> Router<Console> {
    if ON_A_SERVER {
        // The databases may hold more than a process can.
        return Router::new();
    }
    Router::new().route("/console/check", get(show).post(start))
}

impl Checking {
    fn change<T>(&self, change: impl FnOnce(&mut Shown) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a check, unless one is under way.
    fn begin(&self) -> bool {
        self.change(|shown| {
            let begins = !shown.running;
            if begins {
                *shown = Shown {
                    running: true,
                    ..Shown::default()
                };
            }
            begins
        })
    }
}

async fn show(State(console): State<Console>) -> Json<Shown> {
    Json(console.checking.change(|shown| shown.clone()))
}

async fn start(State(console): State<Console>) -> Result<StatusCode, Problem> {
    let bytes = bytes_below(console.storage.data());
    if bytes > LARGEST {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "too-large",
            "The databases are too large to be checked in this process",
            format!("they have {} MB: type commerce verify", bytes >> 20),
        ));
    }
    let checking = Arc::clone(&console.checking);
    if !checking.begin() {
        return Err(busy("a check takes seconds: wait for its result"));
    }
    let (storage, progress) = (console.storage, Arc::clone(&checking));
    let check = async move || {
        let report = |line: &str| progress.change(|shown| shown.progress = Some(line.to_owned()));
        verify::verify(&storage, SETTLE, &report).await
    };
    work::start(check, console.closing, move |checked| {
        let checked = checked.and_then(|verdict| output::value(&verdict.told()));
        checking.change(|shown| {
            *shown = Shown {
                ended_at: Some(now()),
                ..Shown::default()
            };
            match checked {
                Ok(verdict) => shown.verdict = Some(verdict),
                Err(failure) => shown.failure = Some(failure.to_string()),
            }
        });
    });
    Ok(StatusCode::ACCEPTED)
}

/// The bytes of the databases in a directory. What cannot be read is not counted: the check says why.
fn bytes_below(data: &Path) -> u64 {
    let files = std::fs::read_dir(data).into_iter().flatten().flatten();
    let databases = files.filter(|file| {
        let path = file.path();
        path.extension()
            .is_some_and(|it| it == "db" || it == "db-wal")
    });
    databases
        .filter_map(|file| file.metadata().ok())
        .map(|it| it.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_is_under_way_at_a_time() {
        let checking = Checking::default();
        assert!(checking.begin());
        assert!(!checking.begin());
        checking.change(|shown| shown.running = false);
        assert!(checking.begin());
    }

    #[test]
    fn only_databases_count() {
        let data = tempfile::tempdir().unwrap();
        for (name, bytes) in [("order.db", 3), ("order.db-wal", 4), ("notes.txt", 5)] {
            std::fs::write(data.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(bytes_below(data.path()), 7);
        assert_eq!(bytes_below(&data.path().join("nowhere")), 0);
    }
}
