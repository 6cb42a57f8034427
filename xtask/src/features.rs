//! Every feature of every library builds alone, none builds, and so do all together.

use cargo_metadata::MetadataCommand;

use crate::steps::cargo;

/// Checks each library with no feature and with each feature alone.
pub(crate) fn each_alone() -> Result<(), String> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    for package in metadata.workspace_packages() {
        if !package.name.starts_with("mainstay-") {
            continue;
        }
        let base = [
            "check",
            "--quiet",
            "--lib",
            "-p",
            package.name.as_str(),
            "--no-default-features",
        ];
        println!("{}: no features", package.name);
        cargo(&base)?;
        for feature in package.features.keys().filter(|name| *name != "default") {
            println!("{}: {feature}", package.name);
            let mut args = base.to_vec();
            args.extend(["--features", feature]);
            cargo(&args)?;
        }
    }
    Ok(())
}
