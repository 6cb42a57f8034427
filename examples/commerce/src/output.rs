//! What a command prints: a table for people, or one JSON value.

use std::{io::Write as _, time::SystemTime};

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::{cli::dead_letters::Reference, error::Failure};

/// Prints a line, a table or a JSON value.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::new("the answer cannot be written", &error))
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::new("the answer cannot be written", &error))
}

/// A value as JSON.
pub(crate) fn value(value: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::new("the answer cannot be written", &error))
}

pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    print(&text.map_err(|error| Failure::new("the answer cannot be written", &error))?)
}

/// Prints what an act on `object` came to.
pub(crate) fn done(object: Reference, act: &str, then: &str, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(&json!({"id": object.to_string(), "act": act, "outcome": then}));
    }
    print(&format!("{object} {then}"))
}

/// Prints rows under their headings; without rows, `nothing`.
pub(crate) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    nothing: &str,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings);
    table.add_rows(rows);
    if table.is_empty() {
        return print(nothing);
    }
    print(&table.trim_fmt())
}

/// To the second.
pub(crate) fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |time| format!("{time:.0}"))
}

/// The beginning of a text, on one line.
pub(crate) fn short(text: &str, longest: usize) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    match line.char_indices().nth(longest) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
