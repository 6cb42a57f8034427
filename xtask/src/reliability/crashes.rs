//! Crashes at every point.

use std::{fmt::Write as _, process::Command};

use super::said;

/// How the tests' lines about points go.
const STRUCK: &str = ": struck at ";

pub(super) fn section() -> Result<String, String> {
    let mut tests = Command::new(env!("CARGO"));
    tests
        .args(["test", "--quiet", "--all-features", "--test", "it"])
        .args(["-p", "mainstay-outbox", "-p", "mainstay-inbox"])
        .args(["--", "--nocapture", "crash"]);
    written(&said(tests)?)
}

fn written(output: &str) -> Result<String, String> {
    let mut rows: Vec<(&str, &str)> = output
        .lines()
        // A test that ended before has left its dot in front.
        .filter_map(|line| line.trim_start_matches('.').split_once(STRUCK))
        .collect();
    rows.sort_unstable();
    if rows.is_empty() {
        return Err("no test said at how many points it struck".to_owned());
    }
    let mut page = "## Crashes at every point

Enqueue, one round of a relay, admission with its handler, stop and restart of a key: dropped at each point at which they wait, or
struck before, in the midst of and after each call of a port; then started again on the same database, and judged. Processes are
struck at the same points by `abort`, and killed, stopped and cut off in `testkit/torture`.

| what | struck at |
|---|---|
"
    .to_owned();
    for (what, points) in rows {
        // Writing to text does not fail.
        let _: Result<(), _> = writeln!(page, "| {what} | {points} |");
    }
    page.push_str("\nAgain: `cargo test -p mainstay-outbox -p mainstay-inbox --all-features --test it -- crash`; those on PostgreSQL where `MAINSTAY_POSTGRES_URL` names one (`cargo xtask services up`).\n");
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn what_tests_say_of_their_points_is_a_table() {
        let page = written("running 2 tests\n..a relay: struck at 12 points\n.").unwrap();
        assert!(page.contains("| a relay | 12 points |"), "{page}");
        assert!(written("running 0 tests").is_err());
    }
}
