//! What every published package brings.

use cargo_metadata::MetadataCommand;

#[test]
fn every_published_package_is_complete() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let mut offences = Vec::new();
    for package in metadata.workspace_packages() {
        let description = package.description.as_deref().unwrap_or_default();
        if description.is_empty() {
            offences.push(format!(
                "{}: its Cargo.toml has no description",
                package.name
            ));
        }
        if package.publish.is_some() {
            continue;
        }
        let folder = package.manifest_path.parent().unwrap();
        for file in ["README.md", "CHANGELOG.md"] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            if text.trim().is_empty() {
                offences.push(format!("{}: {file} is missing or empty", package.name));
            }
        }
        if package.license.is_none() || package.license_file.is_some() {
            offences.push(format!("{}: its licence is the workspace's", package.name));
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}
