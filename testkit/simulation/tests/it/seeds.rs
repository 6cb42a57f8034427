//! The standard scenario, seed by seed.

use mainstay_simulation::{Campaign, Settings, campaign, run};

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in 0..40 {
        let (first, again) = (run(seed, &Settings::new()), run(seed, &Settings::new()));
        assert_eq!(
            (first.hash, first.events, first.struck, first.simulated),
            (again.hash, again.events, again.struck, again.simulated),
            "seed {seed}"
        );
    }
}

#[test]
fn it_is_the_same_run_on_another_thread_among_others_and_when_somebody_reads_along() {
    let alone: Vec<u64> = (0..20)
        .map(|seed| run(seed, &Settings::new()).hash)
        .collect();
    let traced = (0..20).map(|seed| run(seed, &Settings::new().trace()).hash);
    assert_eq!(alone, traced.collect::<Vec<_>>());
    let among = std::sync::Mutex::new(vec![0; 20]);
    let seeds = Campaign {
        from: 0,
        count: 20,
        threads: 3,
    };
    campaign(&seeds, &Settings::new(), &|report| {
        among.lock().unwrap()[usize::try_from(report.seed).unwrap()] = report.hash;
        true
    });
    assert_eq!(alone, among.into_inner().unwrap());
}

#[test]
fn other_seeds_and_other_plans_are_other_runs() {
    let mut hashes: Vec<u64> = (0..40)
        .map(|seed| run(seed, &Settings::new()).hash)
        .collect();
    hashes.push(run(0, &Settings::new().keep(Vec::new())).hash);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 41);
}

#[test]
fn no_seed_fails_and_each_has_thirty_messages_and_three_faults_that_struck() {
    let seeds = Campaign {
        from: 0,
        count: 200,
        threads: 1,
    };
    let tally = campaign(&seeds, &Settings::new(), &|_| true);
    for report in &tally.failures {
        println!("{report}");
    }
    assert!(tally.failures.is_empty(), "{} failed", tally.failures.len());
    assert!(tally.fewest_messages >= 30, "{}", tally.fewest_messages);
    assert!(tally.fewest_faults >= 3, "{}", tally.fewest_faults);
}

#[test]
fn without_faults_nothing_strikes_and_all_comes_to_its_end() {
    for seed in 0..20 {
        let report = run(seed, &Settings::new().keep(Vec::new()));
        assert!(!report.has_failed(), "{report}");
        assert_eq!(report.faults(), 0);
    }
}
