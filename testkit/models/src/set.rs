//! Small sets and tables.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Index, IndexMut},
};

/// What a set may contain: at most eight things.
pub(crate) trait Member: Copy + fmt::Debug + 'static {
    const ALL: &'static [Self];

    fn index(self) -> u8;
}

/// A set of at most eight things, iterated in the order of their indexes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Set<T>(u8, PhantomData<T>);

/// A set of offsets.
pub(crate) type Offsets = Set<u8>;

impl<T> Set<T> {
    pub(crate) const NONE: Self = Self(0, PhantomData);
}

impl<T: Member> Set<T> {
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
        self.0 & (1 << member.index()) != 0
    }

    pub(crate) fn insert(&mut self, member: T) {
        self.0 |= 1 << member.index();
    }

    pub(crate) fn remove(&mut self, member: T) {
        self.0 &= !(1 << member.index());
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = T> {
        let all = T::ALL.iter().copied();
        all.filter(move |member| self.contains(*member))
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

impl Member for u8 {
    const ALL: &'static [Self] = &[0, 1, 2, 3, 4, 5, 6, 7];

    fn index(self) -> u8 {
        self
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<T: Member> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let members = members.into_iter();
        Self(members.fold(0, |set, m| set | 1 << m.index()), PhantomData)
    }
}

impl<T: Member> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Something about each of `N` things.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Table<K, T, const N: usize>([T; N], PhantomData<K>);

impl<K, T: Copy + Default, const N: usize> Default for Table<K, T, N> {
    fn default() -> Self {
        Self([T::default(); N], PhantomData)
    }
}

impl<K, T, const N: usize> Table<K, T, N> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<K: Member, T, const N: usize> Index<K> for Table<K, T, N> {
    type Output = T;

    fn index(&self, of: K) -> &T {
        &self.0[usize::from(of.index())]
    }
}

impl<K: Member, T, const N: usize> IndexMut<K> for Table<K, T, N> {
    fn index_mut(&mut self, of: K) -> &mut T {
        &mut self.0[usize::from(of.index())]
    }
}
