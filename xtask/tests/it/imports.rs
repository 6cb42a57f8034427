//! Who may import whom, asserted on cargo's own view of the workspace.

use cargo_metadata::{Dependency, DependencyKind, MetadataCommand, Package, PackageName};

/// What each library may import. A library that is not listed may not exist.
///
/// The lists are kept in full rather than derived, so that one line tells the whole truth about one crate.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("clock", &[]),
    // The in-memory database has a clock and ids of its own, injected like everybody's.
    ("database", &["clock"]),
    ("messaging", &["clock", "database"]),
    ("idempotency", &["clock", "database"]),
    ("dlock", &["clock", "database"]),
    ("resilience", &["clock", "database"]),
    ("history", &[]),
    ("outbox", &["clock", "database", "messaging"]),
    ("inbox", &["clock", "database", "messaging"]),
    ("eventstore", &["clock", "database", "messaging"]),
    (
        "dlq",
        &["clock", "database", "messaging", "inbox", "outbox"],
    ),
    (
        "saga",
        &["clock", "database", "messaging", "inbox", "outbox"],
    ),
    (
        "simulation",
        &[
            "clock",
            "database",
            "messaging",
            "history",
            "inbox",
            "outbox",
            "dlq",
            "saga",
        ],
    ),
    (
        "console",
        &[
            "clock",
            "database",
            "messaging",
            "inbox",
            "outbox",
            "dlq",
            "saga",
            "idempotency",
            "dlock",
            "eventstore",
            "resilience",
        ],
    ),
];

/// Whether `source` may use `target` outside its tests; both are package names of members.
fn allowed(source: &str, target: &str) -> bool {
    let library = |package: &str| {
        let folder = package.strip_prefix("mainstay-")?;
        LIBRARIES.iter().find(|(name, _)| *name == folder)
    };
    match (source, target) {
        // Starting a private server is one piece of code, for the chore and for the tests that kill theirs.
        ("xtask" | "mainstay-ports" | "mainstay-chaos", "mainstay-testkit")
        | ("mainstay-chaos", "mainstay-ports") => true,
        // Else chores import nothing; nobody imports the application, the test kit or the benches.
        ("xtask", _)
        | (
            _,
            "xtask" | "commerce" | "mainstay-benches" | "mainstay-examples" | "mainstay-models"
            | "mainstay-campaigns" | "mainstay-ports" | "mainstay-testkit" | "mainstay-chaos",
        ) => false,
        (
            "mainstay-benches" | "mainstay-campaigns" | "mainstay-examples" | "mainstay-models"
            | "mainstay-ports" | "mainstay-testkit" | "mainstay-chaos",
            _,
        ) => library(target).is_some(),
        // The binary wires everything together.
        ("commerce", _) => true,
        // What services say to each other knows nobody; what they stand on creates the topics, and knows no service.
        ("commerce-contracts", _) => {
            matches!(
                target,
                "mainstay-messaging" | "mainstay-clock" | "mainstay-saga"
            )
        }
        ("commerce-chassis", _) => library(target).is_some() || target == "commerce-contracts",
        // Pages know the services by HTTP only. A run's timeline is in the terms of the sagas' library.
        ("commerce-pages", _) => matches!(
            target,
            "commerce-contracts" | "mainstay-clock" | "mainstay-saga"
        ),
        // A service never imports another service: they talk through contracts.
        (service, _) if service.starts_with("commerce-") => {
            library(target).is_some() || matches!(target, "commerce-chassis" | "commerce-contracts")
        }
        _ => library(source).is_some_and(|(_, may)| {
            library(target).is_some_and(|(folder, _)| may.contains(folder))
        }),
    }
}

/// Every edge between members that breaks a rule, in words.
fn offences(packages: &[&Package]) -> Vec<String> {
    let is_member = |name: &str| packages.iter().any(|package| package.name == name);
    let mut offences = Vec::new();
    for source in packages {
        for dependency in source.dependencies.iter().filter(|d| is_member(&d.name)) {
            offences.extend(offence(source, dependency, packages));
        }
    }
    offences
}

fn offence(source: &Package, dependency: &Dependency, packages: &[&Package]) -> Option<String> {
    let (from, to) = (&source.name, &dependency.name);
    if dependency.kind == DependencyKind::Development {
        // A test may use any member, but a version would make cargo publish look for it in the registry,
        // where a cycle of crates that test each other can never arrive.
        let by_path_only = dependency.path.is_some() && dependency.req.to_string() == "*";
        let published = source.publish.is_none();
        return (published && !by_path_only).then(|| {
            format!("{from} must name its dev-dependency {to} by path only, without a version")
        });
    }
    if !allowed(from, to) {
        return Some(format!("{from} must not import {to}"));
    }
    // A library takes the traits of its siblings; backends are the application's choice.
    let has_defaults = packages.iter().any(|package| {
        package.name == *to
            && package
                .features
                .get("default")
                .is_some_and(|set| !set.is_empty())
    });
    (from.starts_with("mainstay-")
        && source.publish.is_none()
        && has_defaults
        && dependency.uses_default_features)
        .then(|| format!("{from} must import {to} with default-features = false"))
}

#[test]
fn members_import_only_whom_they_may() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let offences = offences(&metadata.workspace_packages());
    assert!(
        offences.is_empty(),
        "see \"Who may import whom\" in xtask/tests/it/imports.rs:\n{}",
        offences.join("\n")
    );
}

#[test]
fn every_library_has_a_rule() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    for package in metadata.workspace_packages() {
        if let Some(folder) = package.name.strip_prefix("mainstay-") {
            let known = [
                "benches",
                "campaigns",
                "chaos",
                "examples",
                "models",
                "ports",
                "testkit",
            ]
            .contains(&folder)
                || LIBRARIES.iter().any(|(name, _)| *name == folder);
            assert!(
                known,
                "{} has no rule in xtask/tests/it/imports.rs",
                package.name
            );
        }
    }
}

#[test]
fn the_rules_have_no_cycle() {
    for (position, (name, may)) in LIBRARIES.iter().enumerate() {
        for target in *may {
            let below = LIBRARIES
                .iter()
                .position(|(name, _)| name == target)
                .unwrap();
            assert!(
                below < position,
                "{name} imports {target}, which is listed after it"
            );
        }
    }
}

#[test]
fn a_forbidden_edge_is_reported_by_name() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let packages = metadata.workspace_packages();
    let dependency_on = |name: &str| {
        let mut all = packages.iter().flat_map(|package| &package.dependencies);
        let on_clock =
            |d: &&Dependency| d.name == "mainstay-clock" && d.kind == DependencyKind::Normal;
        let mut dependency = all.find(on_clock).unwrap().clone();
        dependency.name = name.to_owned();
        dependency
    };
    let package = |name: &str, imports: &str| {
        let mut copy = (*packages
            .iter()
            .find(|p| p.name == "mainstay-clock")
            .unwrap())
        .clone();
        copy.name = PackageName::new(name.to_owned());
        copy.dependencies = vec![dependency_on(imports)];
        copy
    };
    for (from, to) in [
        ("mainstay-clock", "mainstay-database"),
        ("mainstay-inbox", "mainstay-outbox"),
        ("mainstay-outbox", "mainstay-testkit"),
        ("mainstay-outbox", "mainstay-ports"),
        ("mainstay-outbox", "mainstay-chaos"),
        ("mainstay-testkit", "mainstay-chaos"),
        ("mainstay-outbox", "commerce-contracts"),
        ("commerce-order", "commerce-payment"),
        ("commerce-chassis", "commerce-order"),
        ("commerce-contracts", "commerce-chassis"),
        ("commerce-pages", "commerce-chassis"),
        ("commerce-pages", "commerce-order"),
        ("commerce-order", "commerce"),
        ("mainstay-database", "xtask"),
    ] {
        let (source, target) = (package(from, to), package(to, "serde"));
        assert_eq!(
            offences(&[&source, &target]),
            [format!("{from} must not import {to}")]
        );
    }
    for (from, to) in [
        ("mainstay-outbox", "mainstay-messaging"),
        ("commerce", "commerce-order"),
        ("commerce-order", "commerce-contracts"),
        ("commerce-order", "mainstay-outbox"),
        ("mainstay-benches", "mainstay-inbox"),
    ] {
        assert!(allowed(from, to), "{from} may import {to}");
    }
}
