//! What a step asks of a participant, and how that may end.

use std::{borrow::Cow, fmt, time::Duration};

use mainstay_messaging::{
    Event, Message,
    event::{DecodeError, decode},
};
use serde::{Deserialize, Serialize};

/// A command to a participant, and how it may end. Command and replies are events like all others,
/// so they have versions and upcasters.
///
/// ```
/// # use std::{borrow::Cow, fmt, time::Duration};
/// # use mainstay_saga::{Command, messages};
/// messages! {
///     "payment-commands" { Charge { order: String, cents: i64 } }
///     "payments" { Charged { receipt: String }, Declined { code: String, is_retryable: bool } }
/// }
///
/// impl Command for Charge {
///     type Done = Charged;
///     type Refused = Declined;
///     const TIMEOUT: Duration = Duration::from_secs(20);
///
///     fn retry(refused: &Declined, attempt: u32) -> Option<Duration> {
///         (refused.is_retryable && attempt < 3).then_some(Duration::from_secs(5))
///     }
/// }
/// ```
pub trait Command: Event {
    /// The reply of success. Its content is the step's result.
    type Done: Event;

    /// The reply that says that nothing happened, and nothing will; [`Never`] if there is none.
    type Refused: Event;

    /// How long to wait for a reply; default 60 s.
    ///
    /// Before the pivot a step that takes longer is undone, with all before it. From the sending
    /// of the pivot on, and while it is undone, it is reported as overdue.
    const TIMEOUT: Duration = Duration::from_secs(60);

    /// Whether another attempt is worth it after this refusal of attempt number `attempt` (from 1),
    /// and when; default: none. It must end: answer `None` from some attempt on.
    #[must_use]
    fn retry(_refused: &Self::Refused, _attempt: u32) -> Option<Duration> {
        None
    }

    /// Reads a reply; default: by its kind. Override it if one kind of event is both.
    ///
    /// # Errors
    /// [`DecodeError`] if it is a reply and cannot be read. The instance is then broken, and keeps
    /// the message.
    fn answer(message: &Message) -> Result<Answer<Self>, DecodeError> {
        let kind = message.kind.as_str();
        if kind == Self::Done::KIND {
            decode(message).map(Answer::Done)
        } else if kind == Self::Refused::KIND {
            decode(message).map(Answer::Refused)
        } else {
            Ok(Answer::Neither)
        }
    }
}

/// The header of a command without an undo: nothing can overtake it, so its participant need not
/// record that it has begun.
pub(crate) const WITHOUT_UNDO: &str = "saga-without-undo";

/// A command that can be undone: needed of each step before the pivot.
#[diagnostic::on_unimplemented(
    message = "the step `{Self}` has no undo, which every step before the pivot needs",
    label = "this step could not be undone",
    note = "implement `Compensable` for `{Self}`, or make it the pivot (`.pivot`) or a step behind it (`.then`)"
)]
pub trait Compensable: Command {
    /// The command that undoes it (compensation). It goes to the topic and key of the command.
    type Undo: Event;

    /// The reply that says that it is undone. There is no refusal: an undo never gives up.
    type Undone: Event;

    /// Makes the undo. The outcome is unknown if no reply has come: the participant then undoes
    /// what it may have done, and answers that it is undone even if it had done nothing.
    fn undo(&self, outcome: Outcome<'_, Self::Done>) -> Self::Undo;

    /// Reads a reply to the undo; default: by its kind. `None` if it is none.
    ///
    /// # Errors
    /// As [`answer`](Command::answer).
    fn undone(message: &Message) -> Result<Option<Self::Undone>, DecodeError> {
        if message.kind.as_str() == Self::Undone::KIND {
            decode(message).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// What a reply says.
#[expect(clippy::exhaustive_enums, reason = "a reply is one of these")]
pub enum Answer<C: Command> {
    /// The step is done.
    Done(C::Done),
    /// The step is refused: nothing happened, and nothing will.
    Refused(C::Refused),
    /// It is no reply to this command, such as a report of progress.
    Neither,
}

impl<C> fmt::Debug for Answer<C>
where
    C: Command<Done: fmt::Debug, Refused: fmt::Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(done) => f.debug_tuple("Done").field(done).finish(),
            Self::Refused(refused) => f.debug_tuple("Refused").field(refused).finish(),
            Self::Neither => f.write_str("Neither"),
        }
    }
}

/// What is known of a step that is to be undone.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a result is known or it is not")]
pub enum Outcome<'a, T> {
    /// It was done, with this result.
    Known(&'a T),
    /// It was sent, and no reply has come.
    Unknown,
}

impl<T> Clone for Outcome<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Outcome<'_, T> {}

impl<'a, T> Outcome<'a, T> {
    /// The result, if it is known.
    #[must_use]
    pub const fn known(self) -> Option<&'a T> {
        match self {
            Self::Known(result) => Some(result),
            Self::Unknown => None,
        }
    }
}

/// A refusal that cannot happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "it has no values")]
pub enum Never {}

impl Event for Never {
    const TOPIC: &'static str = "never";
    const KIND: &'static str = "Never";

    fn key(&self) -> Option<Cow<'_, str>> {
        match *self {}
    }
}

/// A command that is never refused: needed of each step behind the pivot, which can only go
/// forward. Every command whose `Refused` is [`Never`] is one.
pub trait Unrefusable: Command {}

impl<C: Command<Refused: IsNever>> Unrefusable for C {}

/// A refusal that cannot happen: [`Never`], and nothing else.
#[diagnostic::on_unimplemented(
    message = "a step behind the pivot must not be refusable, but it can be refused with `{Self}`",
    label = "nothing can be undone behind the pivot, so nothing may be refused",
    note = "set `type Refused = Never` in its `impl Command`, or put it before the pivot with `.step`"
)]
pub trait IsNever {}

impl IsNever for Never {}

/// Defines the messages of a topic: structs, and their [`Event`] implementations.
///
/// The kind is the struct's name, the version is 1. Commands take the key of their instance, and
/// replies that of their command. Write `impl Event` yourself for keys, versions and upcasters.
///
/// ```
/// mainstay_saga::messages! {
///     "payment-commands" {
///         /// Charges an order.
///         Charge { order: String, cents: i64 },
///         Refund { order: String }
///     }
///     "payments" { Charged { receipt: String }, Declined {}, Refunded {} }
/// }
/// # let _ = Declined {};
/// ```
///
/// The crate that calls it depends on `serde` with its feature `derive`.
#[macro_export]
macro_rules! messages {
    ($($topic:literal { $($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }),* $(,)? })*) => { $($(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Debug, ::serde::Serialize, ::serde::Deserialize)]
        #[allow(missing_docs, unreachable_pub, reason = "the caller decides who sees and describes it")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type),*
        }

        impl $crate::messaging::Event for $name {
            const TOPIC: &'static str = $topic;
            const KIND: &'static str = ::std::stringify!($name);
        }
    )*)* };
}
