//! Seeds that fail with bugs that were found.

/// Seeds that fail with bugs that were found, and pass without: they are run first. A seed means the same run only as long as
/// nobody changes what is drawn from it; such a bug becomes a mutant, so that another seed can be found, and has a test of its own.
#[must_use]
pub fn corpus() -> Vec<u64> {
    let lines = include_str!("../corpus.txt").lines();
    let seeds = lines.filter_map(|line| line.split('#').next()?.trim().parse().ok());
    seeds.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_is_a_seed_and_says_why() {
        for line in include_str!("../corpus.txt").lines() {
            if let Some((seed, why)) = line.split_once('#') {
                let seed = seed.trim();
                assert!(seed.is_empty() || seed.parse::<u64>().is_ok(), "{line}");
                assert!(!why.trim().is_empty(), "{line}");
            } else {
                assert!(line.is_empty(), "{line:?} does not say why");
            }
        }
    }
}
