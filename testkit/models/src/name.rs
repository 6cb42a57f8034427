//! Two of a kind: relays, or workers, of which one may be a former owner.

use std::ops::{Index, IndexMut};

/// One of two.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Name {
    A,
    B,
}

impl Name {
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Something of both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Pair<T>([T; 2]);

impl<T> Index<Name> for Pair<T> {
    type Output = T;

    fn index(&self, name: Name) -> &T {
        &self.0[name as usize]
    }
}

impl<T> IndexMut<Name> for Pair<T> {
    fn index_mut(&mut self, name: Name) -> &mut T {
        &mut self.0[name as usize]
    }
}
