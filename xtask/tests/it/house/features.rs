//! Where a `cfg` on a feature may stand.

use super::File;

/// A `cfg(feature)` stands on a `mod` line or on the `pub use` of such a module: no public item, trait method or
/// derive depends on a feature, so enabling one never breaks anybody.
pub(super) fn only_whole_modules(files: &[File]) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files.iter().filter(|file| file.is_library_source()) {
        let code: Vec<(usize, &str)> = file.code().collect();
        for (position, (number, line)) in code.iter().enumerate() {
            if !names_a_feature(line) {
                continue;
            }
            let following = code.get(position + 1..).unwrap_or_default();
            let item = following
                .iter()
                .map(|(_, line)| line.trim())
                .find(|line| !is_attribute(line));
            if !item.is_some_and(is_module) {
                offences.push(format!(
                    "{}:{number}: a cfg on a feature may only stand on a `mod` or `pub use` line",
                    file.path
                ));
            }
        }
    }
    offences
}

fn names_a_feature(line: &str) -> bool {
    let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    line.contains("feature=\"")
}

/// The beginning of an attribute, or a line within one that was wrapped.
fn is_attribute(line: &str) -> bool {
    let parts = ["#[", ")", "feature", "not(", "any(", "all(", "test,"];
    parts.iter().any(|part| line.starts_with(part))
}

fn is_module(line: &str) -> bool {
    let visibility = ["", "pub ", "pub(crate) ", "pub(super) "];
    line.starts_with("pub use ")
        || visibility
            .iter()
            .any(|before| line.starts_with(&format!("{before}mod ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offences(text: &str) -> usize {
        only_whole_modules(&[File::new("outbox/src/lib.rs", text)]).len()
    }

    #[test]
    fn modules_and_their_names_may_depend_on_features() {
        assert_eq!(offences("#[cfg(feature = \"sqlite\")]\npub mod sqlite;"), 0);
        assert_eq!(
            offences("#[cfg(any(\n    feature = \"a\",\n    feature = \"b\",\n))]\nmod sql;"),
            0
        );
        assert_eq!(
            offences("#[cfg(feature = \"memory\")]\n#[doc(inline)]\npub use memory::Broker;"),
            0
        );
    }

    #[test]
    fn nothing_else_may() {
        assert_eq!(
            offences("#[cfg(feature = \"sqlite\")]\npub fn open() {}"),
            1
        );
        assert_eq!(
            offences("#[cfg_attr(feature = \"serde\", derive(Serialize))]\nstruct A;"),
            1
        );
        assert_eq!(offences("if cfg!(feature = \"sqlite\") {\n    f();\n}"), 1);
    }
}
