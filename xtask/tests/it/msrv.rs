//! The stated `rust-version` is the one that the dependencies ask for: no lower, no higher.

use std::collections::HashSet;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package};

/// The newest `rust-version` among everything that `package` links or builds with.
fn asked_by_dependencies<'a>(metadata: &'a Metadata, package: &Package) -> Option<&'a Package> {
    let nodes = &metadata.resolve.as_ref()?.nodes;
    let mut seen = HashSet::new();
    let mut open = vec![&package.id];
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node.id == *id)?;
        let linked = node.deps.iter().filter(|dependency| {
            let kinds = &dependency.dep_kinds;
            kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
        });
        open.extend(linked.map(|dependency| &dependency.pkg));
    }
    let foreign = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && seen.contains(&package.id));
    foreign.max_by_key(|package| &package.rust_version)
}

#[test]
fn rust_version_is_what_the_dependencies_ask_for() {
    let metadata = MetadataCommand::new()
        .features(CargoOpt::AllFeatures)
        .exec()
        .unwrap();
    let members = metadata.workspace_packages();
    let published = || members.iter().filter(|package| package.publish.is_none());
    let stated: HashSet<_> = members
        .iter()
        .map(|package| &package.rust_version)
        .collect();
    assert_eq!(
        stated.len(),
        1,
        "all members take rust-version from the workspace: {stated:?}"
    );
    let newest = published()
        .filter_map(|package| asked_by_dependencies(&metadata, package))
        .max_by_key(|package| &package.rust_version)
        .unwrap();
    let stated = stated.into_iter().next().unwrap();
    assert_eq!(
        *stated, newest.rust_version,
        "rust-version in the root Cargo.toml is not what {} {} asks for",
        newest.name, newest.version
    );
}
