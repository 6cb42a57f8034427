//! Every case that takes seconds.

use mainstay_models::{Size, cases};

/// Runs the cases of one model, and names all that did not come as expected.
fn run(model: &str, size: Size) {
    let mut chosen = cases();
    chosen.retain(|case| case.model == model && case.size == size);
    assert!(!chosen.is_empty(), "{model} has no such cases");
    let mut wrong = Vec::new();
    for case in chosen {
        let report = case.run();
        let whole = report.complete || size == Size::Removed;
        if !report.is_as_expected() || !whole {
            let traces: Vec<_> = report.broken.iter().map(ToString::to_string).collect();
            wrong.push(format!("{report}\n{}", traces.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn queue_table_holds() {
    run("queue-table", Size::Small);
}

#[test]
fn queue_table_needs_each_of_its_rules() {
    run("queue-table", Size::Removed);
}

#[test]
fn append_only_holds() {
    run("append-only", Size::Small);
}

#[test]
fn append_only_needs_each_of_its_rules() {
    run("append-only", Size::Removed);
}

#[test]
fn inbox_holds() {
    run("inbox", Size::Small);
}

#[test]
fn inbox_needs_each_of_its_rules() {
    run("inbox", Size::Removed);
}

#[test]
fn dead_letters_holds() {
    run("dead-letters", Size::Small);
}

#[test]
fn dead_letters_needs_each_of_its_rules() {
    run("dead-letters", Size::Removed);
}

#[test]
fn lock_holds() {
    run("lock", Size::Small);
}

#[test]
fn lock_needs_each_of_its_rules() {
    run("lock", Size::Removed);
}

#[test]
fn records_hold() {
    run("records", Size::Small);
}

#[test]
fn records_need_each_of_their_rules() {
    run("records", Size::Removed);
}

#[test]
fn leases_hold() {
    run("leases", Size::Small);
}

#[test]
fn leases_need_each_of_their_rules() {
    run("leases", Size::Removed);
}
