//! What may go wrong.

/// Faults that are explored, and how many of them one history has at most.
///
/// Refusals are no faults: a participant may always refuse what can be refused. Timers fire by
/// themselves once nothing else happens; a timer that fires earlier is a fault.
///
/// | fault | what happens |
/// |---|---|
/// | `timeouts` | a reply or the saga's end is overdue while messages are under way |
/// | `duplicates` | a reply or a command is delivered twice |
/// | `reordered` | a command overtakes an earlier one of its key, its undo included |
/// | `silent` | a participant does not answer any more, such as after a dead letter |
/// | `cancels` | somebody cancels the run |
/// | `retries` | an operator has what is in flight sent again |
/// | `forgetful` | participants break the law: they forget which steps they have undone |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "faults are given to a check"]
#[expect(clippy::struct_excessive_bools, reason = "each is explored or not")]
#[non_exhaustive]
pub struct Faults {
    /// How many faults one history has at most.
    pub at_most: u32,
    pub(super) timeouts: bool,
    pub(super) duplicates: bool,
    pub(super) reordered: bool,
    pub(super) silent: bool,
    pub(super) cancels: bool,
    pub(super) retries: bool,
    pub(super) forgetful: bool,
}

impl Faults {
    /// None.
    pub const fn none() -> Self {
        Self {
            at_most: 2,
            timeouts: false,
            duplicates: false,
            reordered: false,
            silent: false,
            cancels: false,
            retries: false,
            forgetful: false,
        }
    }

    /// Everything that lawful participants, brokers and operators may do; each history has two of
    /// them at most.
    pub const fn all() -> Self {
        Self::none()
            .timeouts()
            .duplicates()
            .reordered()
            .silent()
            .cancels()
            .retries()
    }

    /// How many faults one history has at most; default 2.
    pub const fn at_most(mut self, faults: u32) -> Self {
        self.at_most = faults;
        self
    }

    /// Also timeouts while messages are under way.
    pub const fn timeouts(mut self) -> Self {
        self.timeouts = true;
        self
    }

    /// Also duplicate replies and commands.
    pub const fn duplicates(mut self) -> Self {
        self.duplicates = true;
        self
    }

    /// Also commands that overtake earlier ones of their key.
    pub const fn reordered(mut self) -> Self {
        self.reordered = true;
        self
    }

    /// Also participants that do not answer any more.
    pub const fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Also a cancel at any time.
    pub const fn cancels(mut self) -> Self {
        self.cancels = true;
        self
    }

    /// Also an operator's retry at any time.
    pub const fn retries(mut self) -> Self {
        self.retries = true;
        self
    }

    /// Also participants without tombstones. That breaks their law: it shows what the law is for.
    pub const fn forgetful(mut self) -> Self {
        self.forgetful = true;
        self
    }
}
