//! Every case that takes seconds.

use mainstay_models::{Size, cases};

/// Runs the cases of one model, and names all that did not come as expected.
fn run(model: &str, size: Size) {
    let mut chosen = cases();
    chosen.retain(|case| case.model() == model && case.size() == size);
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
fn first_form_holds() {
    run("first-form", Size::Small);
}

#[test]
fn first_form_needs_each_of_its_rules() {
    run("first-form", Size::Removed);
}

#[test]
fn second_form_holds() {
    run("second-form", Size::Small);
}

#[test]
fn second_form_needs_each_of_its_rules() {
    run("second-form", Size::Removed);
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
fn parked_holds() {
    run("parked", Size::Small);
}

#[test]
fn parked_needs_each_of_its_rules() {
    run("parked", Size::Removed);
}
