//! What all of it has found.

use std::{fmt::Write as _, fs, path::Path};

use serde::Deserialize;

#[derive(Deserialize)]
struct Found {
    bug: Vec<Bug>,
}

/// What was wrong somewhere, until it was found.
#[derive(Deserialize)]
struct Bug {
    /// In which crate, or which design.
    place: String,
    /// What was wrong, and what came of it.
    what: String,
    /// What found it: a seed, a point, a model, a scenario.
    by: String,
}

pub(super) fn section(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    written(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn written(text: &str) -> Result<String, String> {
    let found: Found = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut page = format!(
        "## What was found

{} bugs: of the crates, each mended in a commit that names what found it, and of the design of what is not built yet.

| where | what was wrong | found by |
|---|---|---|
",
        found.bug.len()
    );
    for bug in &found.bug {
        // Writing to text does not fail.
        let _: Result<(), _> = writeln!(page, "| {} | {} | {} |", bug.place, bug.what, bug.by);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn the_list_in_the_repository_can_be_read() {
        let page = written(include_str!("../../../testkit/found.toml")).unwrap();
        assert!(page.contains("| found by |"));
    }
}
