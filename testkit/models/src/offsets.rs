//! Sets of offsets.

use std::fmt;

/// A set of offsets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Offsets(u8);

impl Offsets {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn one(offset: u8) -> Self {
        Self(1 << offset)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn contains(self, offset: u8) -> bool {
        self.0 & (1 << offset) != 0
    }

    pub(crate) const fn insert(&mut self, offset: u8) {
        self.0 |= 1 << offset;
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn below(offset: u8) -> Self {
        Self((1 << offset) - 1)
    }

    /// Those before another one; none = all.
    pub(crate) fn up_to(self, end: Option<u8>) -> Self {
        end.map_or(self, |end| Self(self.0 & Self::below(end).0))
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = u8> {
        (0..8).filter(move |offset| self.contains(*offset))
    }

    pub(crate) fn len(self) -> usize {
        self.iter().count()
    }
}

impl fmt::Debug for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
