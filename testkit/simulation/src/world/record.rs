//! What happened, as a number and in words.

/// More events than any run needs: whoever gets here turns in a circle.
const MOST: u64 = 2_000_000;

/// The events of a run.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) hash: u64,
    pub(crate) events: u64,
    pub(crate) trace: Option<Vec<String>>,
    /// How often each fault of the plan struck.
    pub(crate) struck: Vec<u32>,
    pub(crate) broken: Vec<String>,
}

impl Record {
    pub(crate) fn new(faults: usize, traced: bool) -> Self {
        Self {
            hash: 0x9E37_79B9_7F4A_7C15,
            events: 0,
            trace: traced.then(Vec::new),
            struck: vec![0; faults],
            broken: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, micros: i64, number: u64, words: impl FnOnce() -> String) {
        self.events += 1;
        for value in [micros.cast_unsigned(), number] {
            // One round of a multiply-and-rotate hash: enough to tell two runs apart.
            self.hash = (self.hash ^ value)
                .wrapping_mul(0xFF51_AFD7_ED55_8CCD)
                .rotate_left(29);
        }
        if let Some(trace) = &mut self.trace {
            let millis = micros / 1_000;
            trace.push(format!("{millis:>7} {}", words()));
        }
    }

    pub(crate) fn struck(&mut self, place: usize) {
        if let Some(times) = self.struck.get_mut(place) {
            *times += 1;
        }
    }

    pub(crate) const fn is_exhausted(&self) -> bool {
        self.events > MOST
    }
}
