//! The result of checking one invariant.

use std::collections::BTreeSet;

/// An invariant, the number of rows that were checked, and the offenders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// The unit of `checked`, such as `orders`.
    pub(crate) unit: &'static str,
    pub(crate) checked: usize,
    /// Each text names a row.
    pub(crate) offenders: BTreeSet<String>,
}

impl Finding {
    pub(crate) const fn new(id: &'static str, name: &'static str, unit: &'static str) -> Self {
        Self {
            id,
            name,
            unit,
            checked: 0,
            offenders: BTreeSet::new(),
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.offenders.is_empty()
    }

    pub(crate) fn offends(&mut self, offender: String) {
        self.offenders.insert(offender);
    }

    /// Keeps the offenders that were there earlier, too.
    pub(crate) fn confirmed_by(mut self, earlier: &Self) -> Self {
        self.offenders
            .retain(|offender| earlier.offenders.contains(offender));
        self
    }
}
