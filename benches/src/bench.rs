//! One bench program: its arguments, its comparisons, and criterion for the small ones.

use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::{Comparison, Side};

/// A running bench program.
#[derive(Debug)]
#[non_exhaustive]
pub struct Bench {
    /// A smoke run: everything once and small; its figures mean nothing.
    pub quick: bool,
    filter: Option<String>,
    /// What asynchronous sides run on: one thread, beside the ones that SQLite's driver starts.
    pub runtime: Runtime,
}

impl Bench {
    /// Reads the arguments; none if this is not `cargo bench`, where nothing shall run for long.
    #[must_use]
    pub fn start() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if !arguments.iter().any(|argument| argument == "--bench") {
            println!("benches run under `cargo bench` only");
            return None;
        }
        let quick = arguments.iter().any(|argument| argument == "--quick");
        println!(
            "{} build, {} cores{}",
            if cfg!(debug_assertions) {
                "DEBUG"
            } else {
                "release"
            },
            std::thread::available_parallelism().map_or(0, usize::from),
            if quick {
                ", quick: figures of a smoke run mean nothing"
            } else {
                ""
            },
        );
        Some(Self {
            quick,
            filter: arguments
                .into_iter()
                .find(|argument| !argument.starts_with('-')),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        })
    }

    /// `full`, or a fiftieth of it in a smoke run.
    #[must_use]
    pub const fn scaled(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(50) } else { full }
    }

    /// Whether a comparison was asked for on the command line; all are unless one says otherwise.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter))
    }

    /// Runs the sides in turn and prints medians, ratios and their spread.
    pub fn compare(&self, comparison: &Comparison, sides: &mut [Side<'_>]) {
        comparison.print(&comparison.run(self.quick, sides));
    }

    /// [`compare`](Self::compare), and criterion's statistics of each side: for rounds of at most a few hundred milliseconds.
    pub fn compare_closely(&self, comparison: &Comparison, sides: &mut [Side<'_>]) {
        self.compare(comparison, sides);
        let mut criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        // The size is part of the name: a smoke run is no baseline for a real one.
        let mut group = criterion.benchmark_group(format!(
            "{}, {} operations",
            comparison.name, comparison.operations
        ));
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Elements(comparison.operations));
        for side in sides {
            group.bench_function(side.name, |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| side.round().wall).sum());
            });
        }
        group.finish();
    }
}

/// How long `work` takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> Took {
    let stopwatch = Stopwatch::start();
    let result = work();
    let took = stopwatch.stop();
    drop(result);
    took
}

/// What a round took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Took {
    /// Real time.
    pub wall: Duration,
    /// Processor time of all threads of this process: what the rest of the machine does hardly shows in it.
    pub processor: Duration,
}

impl AddAssign for Took {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.processor += other.processor;
    }
}

/// Time that goes by.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stopwatch {
    started: Instant,
    processor: Duration,
}

impl Stopwatch {
    /// Begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    pub fn start() -> Self {
        Self {
            processor: processor_time(),
            started: Instant::now(),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn stop(self) -> Took {
        Took {
            wall: self.started.elapsed(),
            processor: processor_time().saturating_sub(self.processor),
        }
    }
}

fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or(0))
}
