//! The list.

use std::{fmt, str::FromStr};

macro_rules! bugs {
    ($($name:ident: $what:literal,)+) => {
        /// A fault of the kind that people commit.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[expect(clippy::exhaustive_enums, reason = "a table lists each of them")]
        pub enum Bug {
            $(#[doc = $what] $name,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What is wrong.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)+
                }
            }
        }
    };
}

bugs! {
    PublishBeforeCommit: "enqueue writes in a transaction of its own, not in the caller's",
    IdCursorSkipsSlow: "the relay reads behind the last position it published, so slower transactions are skipped",
    MissingFence: "what became of a round is written down without a look at the fence",
    FenceReadWithoutLock: "the fence is read and not locked, so a takeover may come in between",
    LeaseByNodeClock: "whether a lease has ended is decided by the clock of the node that asks",
    FenceNotRaised: "a takeover leaves the fence as it was",
    FollowersBeforeRefused: "a refused message is moved aside behind those that follow it",
    StoppedOnlyWhileDue: "a key counts as stopped only once its head is due again",
    StoppedKeyStopsShards: "while a key is stopped, nothing of its relay's log is sent",
    RelayNeverEnds: "a relay that is asked to end waits for ever",
    MovedAsideTwice: "a refused message is moved aside as it was seen, whoever has moved it meanwhile",
    EnqueueKeyIgnored: "an enqueue key that was used does not hinder a second message",
    SequenceCached: "positions are drawn in blocks of two, and the second is handed out first",
    LimitSkipsLargeRow: "the row that exceeds a round's bytes is skipped, and smaller ones behind it are sent",
    AcknowledgeBeforePublish: "rows are removed before their messages are sent",
    UnknownTakenForDone: "a message with an unknown answer counts as published",
    TimeoutTakenForDone: "a send that was not answered in time counts as published",
    RefusedTakenForDone: "a refused message is dropped, and its key goes on",
    MarkBeforeEffect: "the mark is committed before the effect is made",
    EffectBeforeMark: "the effect is committed before the mark is made",
    OffsetBeforeEffect: "a message counts as finished when it is received",
    SpanPastGap: "offsets are committed up to the last finished message, over unfinished ones",
    CommitOneTooFar: "the committed offset is one too high",
    UnknownCommitTakenForDone: "a transaction with an unknown outcome counts as committed",
    OverlappingRounds: "a key with messages in flight starts more of them",
    RetryBehindFollowers: "a message that failed is tried again behind those that follow it",
    PoisonSkipped: "a message that cannot be handled counts as finished",
    StoppedKeyStopsWorker: "when a key is stopped, its worker starts nothing for a minute",
    WorkerNeverEnds: "a worker that is asked to end waits for ever",
    StoppedKeyForgottenOnRevocation: "when a partition is asked back, its stopped messages count as finished",
    ShutdownCommitsReceived: "at shutdown everything received counts as finished",
    PauseNeverResumed: "a partition that was paused stays so",
    PauseMeetsNextAssignment: "a pause that was under way when a partition went stays when it comes back",
    HeldBackNeverWoken: "a key that waits for another attempt is never woken",
    LostWakeUp: "what was finished while offsets were being committed is forgotten",
    BatchTailLost: "of a batch that failed, only the first message of each key is tried again",
    LateTakenForDone: "a handler that did not end in time counts as successful",
    DuplicateTakenForFresh: "marks are looked for before they are inserted, and the insert's answer is not read",
    IdentityByPosition: "a message is known by its offset and not by its id",
    WindowForgetsRedeliverable: "marks are forgotten by their age, whatever was committed",
    CopiesForgotten: "marks are forgotten although a copy of their message may come again",
    WindowByWorkerClock: "how old a mark is, a worker tells by its own wall clock",
    CommitOfLostPartition: "the broker takes a commit of a partition's former owner",
    RefusedPassed: "the broker stores what follows a message that it did not store",
    StartsAtEnd: "a partition that changes hands is read from its end",
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|bug| bug.name() == name);
        found
            .copied()
            .ok_or_else(|| format!("no planted bug is called {name}"))
    }
}
