//! Names of types and modules.

use super::File;

/// Words that say nothing about what a type is for.
const EMPTY_WORDS: &[&str] = &[
    "Manager", "Helper", "Helpers", "Util", "Utils", "Impl", "Common", "Abstract", "Base", "Misc",
];

/// Modules that gather what belongs nowhere.
const DUMPS: &[&str] = &[
    "core", "common", "shared", "util", "utils", "helper", "helpers", "misc", "traits", "types",
];

pub(super) fn of_the_field(files: &[File]) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let stem = file
            .path
            .rsplit('/')
            .next()
            .and_then(|name| name.strip_suffix(".rs"));
        if let Some(stem) = stem.filter(|stem| DUMPS.contains(stem)) {
            offences.push(format!(
                "{}: a module {stem} gathers anything; name it after what it holds",
                file.path
            ));
        }
        for (number, code) in file.code() {
            let Some(name) = declared_type(code) else {
                continue;
            };
            if let Some(word) = words(name)
                .into_iter()
                .find(|word| EMPTY_WORDS.contains(&&**word))
            {
                offences.push(format!(
                    "{}:{number}: {name}: {word} says nothing; use the field's noun",
                    file.path
                ));
            }
        }
    }
    offences
}

/// The name that a line declares: `pub(crate) struct RelayStore<T> {` → `RelayStore`.
fn declared_type(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().peekable();
    while words
        .next_if(|word| word.starts_with("pub") || *word == "unsafe")
        .is_some()
    {}
    matches!(
        words.next()?,
        "struct" | "enum" | "trait" | "union" | "type"
    )
    .then_some(())?;
    let rest = words.next()?;
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    rest.get(..end)
        .filter(|name| name.starts_with(char::is_uppercase))
}

/// `RelayStore` → `Relay`, `Store`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_uppercase() => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words
}

#[test]
fn empty_words_are_found_as_whole_words_in_declarations() {
    let offences = |text: &str| of_the_field(&[File::new("a/src/b.rs", text)]).len();
    for bad in [
        "pub struct OutboxManager;",
        "trait RelayHelper<T> {",
        "pub(crate) enum ImplKind {",
        "type DbUtils = ();",
    ] {
        assert_eq!(offences(bad), 1, "{bad}");
    }
    for good in [
        "pub struct Baseline;",
        "struct Simple;",
        "impl Relay {",
        "// struct OutboxManager",
        "let x = Manager;",
    ] {
        assert_eq!(offences(good), 0, "{good}");
    }
}

#[test]
fn modules_that_gather_anything_are_found() {
    assert_eq!(
        of_the_field(&[File::new("outbox/src/utils.rs", "")]).len(),
        1
    );
    assert_eq!(
        of_the_field(&[File::new("outbox/src/relay.rs", "")]).len(),
        0
    );
}
