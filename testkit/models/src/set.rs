//! Small sets.

use std::{fmt, marker::PhantomData};

use enum_map::Enum;

/// A set of at most eight things, iterated in their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Set<T>(u8, PhantomData<T>);

/// A set of offsets.
pub(crate) type Offsets = Set<u8>;

impl<T> Set<T> {
    pub(crate) const NONE: Self = Self(0, PhantomData);
}

impl<T: Enum + Copy> Set<T> {
    pub(crate) fn all() -> Self {
        (0..T::LENGTH).map(T::from_usize).collect()
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0, PhantomData)
    }

    pub(crate) fn contains(self, member: T) -> bool {
        self.0 & (1 << member.into_usize()) != 0
    }

    pub(crate) fn insert(&mut self, member: T) {
        self.0 |= 1 << member.into_usize();
    }

    pub(crate) fn remove(&mut self, member: T) {
        self.0 &= !(1 << member.into_usize());
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = T> {
        let indexes = (0..8).filter(move |index| self.0 & (1 << index) != 0);
        indexes.map(T::from_usize)
    }
}

impl Offsets {
    pub(crate) const fn below(offset: u8) -> Self {
        Self((1 << offset) - 1, PhantomData)
    }

    pub(crate) fn lowest_unfinished(self, end: u8) -> u8 {
        (0..end).find(|o| !self.contains(*o)).unwrap_or(end)
    }

    /// The offset that is committed when these are finished. Wrongly: behind the highest of them.
    pub(crate) fn committable(self, is_lowest: bool, end: u8) -> u8 {
        let highest = self.iter().next_back().map_or(0, |offset| offset + 1);
        let lowest = self.lowest_unfinished(end);
        if is_lowest { lowest } else { highest }
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<T: Enum> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let bits = members.into_iter().map(|member| 1 << member.into_usize());
        Self(bits.fold(0, |set, bit: u8| set | bit), PhantomData)
    }
}

impl<T: Enum + Copy + fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
