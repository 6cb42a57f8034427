//! The standard scenario, seed by seed.

use mainstay_simulation::standard::{Settings, campaign, run};

fn no_faults() -> Settings {
    Settings {
        keep: Some(Vec::new()),
        ..Settings::default()
    }
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in 0..40 {
        let (first, again) = (
            run(seed, &Settings::default()),
            run(seed, &Settings::default()),
        );
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
        .map(|seed| run(seed, &Settings::default()).hash)
        .collect();
    let reading_along = Settings {
        trace: true,
        ..Settings::default()
    };
    let traced = (0..20).map(|seed| run(seed, &reading_along).hash);
    assert_eq!(alone, traced.collect::<Vec<_>>());
    let among = std::sync::Mutex::new(vec![0; 20]);
    campaign(0..20, 3, &Settings::default(), &|_, report| {
        among.lock().unwrap()[usize::try_from(report.seed).unwrap()] = report.hash;
        true
    });
    assert_eq!(alone, among.into_inner().unwrap());
}

#[test]
fn other_seeds_and_other_plans_are_other_runs() {
    let mut hashes: Vec<u64> = (0..40)
        .map(|seed| run(seed, &Settings::default()).hash)
        .collect();
    hashes.push(run(0, &no_faults()).hash);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 41);
}

#[test]
fn no_seed_fails_and_each_has_thirty_messages_and_three_faults_that_struck() {
    let tally = campaign(0..200, 1, &Settings::default(), &|_, _| true);
    for report in &tally.failures {
        println!("{report}");
    }
    assert!(tally.failures.is_empty(), "{} failed", tally.failures.len());
    assert!(tally.fewest_messages >= Some(30), "{tally:?}");
    assert!(tally.fewest_faults >= Some(3), "{tally:?}");
}

#[test]
fn without_faults_all_work_ends() {
    for seed in 0..20 {
        let report = run(seed, &no_faults());
        assert!(!report.has_failed(), "{report}");
        assert_eq!(report.faults(), 0);
    }
}
