//! How mishaps are counted.

/// Declares `Mishaps`: how often each kind may happen in a case; in a state, how often it has.
macro_rules! mishaps {
    ($($(#[$doc:meta])* $kind:ident,)+) => {
        /// How often each kind of mishap may happen; in a state, how often it has.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
        pub(crate) struct Mishaps {
            $($(#[$doc])* pub(crate) $kind: u8,)+
        }

        impl Mishaps {
            pub(crate) const NONE: Self = Self { $($kind: 0,)+ };

            $(pub(crate) const fn $kind(mut self, times: u8) -> Self {
                self.$kind = times;
                self
            })+
        }
    };
}

pub(crate) use mishaps;
