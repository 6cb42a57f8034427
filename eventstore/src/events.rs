//! The events of an aggregate as one enum.

use mainstay_messaging::event::{AnyEvent, DecodeError, EncodeError};

use crate::store::NewEvent;

/// All events of an aggregate, as one type; made by [`events!`](crate::events).
pub trait Events: Sized + Send + Sync + 'static {
    /// The event as it is stored.
    ///
    /// # Errors
    /// [`EncodeError`] when it does not serialise.
    fn encode(&self) -> Result<NewEvent, EncodeError>;

    /// Reads an event from its kind, the version of its schema and its payload; upcasts an older
    /// version to the current one.
    ///
    /// # Errors
    /// [`UnreadableEvent`] says what is wrong.
    fn decode(kind: &str, schema_version: u32, payload: &str) -> Result<Self, UnreadableEvent>;

    /// The event as what it is, for `outbox.emit`.
    fn as_event(&self) -> &dyn AnyEvent;
}

/// Why a stored event cannot be read.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum UnreadableEvent {
    /// None of the aggregate's events has this kind.
    #[error("{events} has no event of the kind {kind:?}")]
    UnknownKind {
        /// The enum.
        events: &'static str,
        /// The kind that was found.
        kind: String,
    },
    /// The payload is not what kind and version say.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
}

/// Makes an enum of event types, each of which is an [`Event`](crate::Event) and so brings its kind,
/// its versions and its upcasters.
///
/// A variant has the name of its type, or names a type in parentheses. The enum has a `From` for each
/// type, and implements [`Events`](trait@crate::Events).
///
/// ```
/// use mainstay_eventstore::{Event, events};
/// use serde::{Deserialize, Serialize};
///
/// # mod payments {
/// #     #[derive(serde::Serialize, serde::Deserialize, Debug)]
/// #     pub struct Paid {}
/// #     impl mainstay_eventstore::Event for Paid {
/// #         const TOPIC: &'static str = "payments";
/// #         const KIND: &'static str = "Paid";
/// #     }
/// # }
/// #[derive(Serialize, Deserialize, Debug)]
/// struct OrderPlaced { cents: i64 }
///
/// impl Event for OrderPlaced {
///     const TOPIC: &'static str = "orders";
///     const KIND: &'static str = "OrderPlaced";
/// }
///
/// events! {
///     #[derive(Debug)]
///     enum OrderEvent { OrderPlaced, OrderPaid(payments::Paid) }
/// }
///
/// let event = OrderEvent::from(OrderPlaced { cents: 1250 });
/// assert!(matches!(event, OrderEvent::OrderPlaced(OrderPlaced { cents: 1250 })));
/// ```
///
/// Two events of one kind do not compile: the later one would never be read.
///
/// ```compile_fail,E0080
/// # use mainstay_eventstore::{Event, events};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct One {}
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Two {}
/// impl Event for One {
///     const TOPIC: &'static str = "orders";
///     const KIND: &'static str = "Same";
/// }
/// impl Event for Two {
///     const TOPIC: &'static str = "orders";
///     const KIND: &'static str = "Same";
/// }
/// events! { enum OrderEvent { One, Two } } // error: two events of an enum have the same KIND
/// ```
#[macro_export]
macro_rules! events {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$of_variant:meta])* $variant:ident $(($type:ty))?),+ $(,)?
    }) => {
        $(#[$meta])*
        $vis enum $name {
            $($(#[$of_variant])* $variant($crate::events!(@type $variant $($type)?))),+
        }

        $(impl ::std::convert::From<$crate::events!(@type $variant $($type)?)> for $name {
            fn from(event: $crate::events!(@type $variant $($type)?)) -> Self {
                Self::$variant(event)
            }
        })+

        const _: () = $crate::store::check_kinds(&[
            $(<$crate::events!(@type $variant $($type)?) as $crate::Event>::KIND),+
        ]);

        impl $crate::Events for $name {
            fn encode(&self) -> ::std::result::Result<$crate::store::NewEvent, $crate::messaging::event::EncodeError> {
                match self {
                    $(Self::$variant(event) => $crate::store::NewEvent::of(event)),+
                }
            }

            fn decode(
                kind: &str,
                schema_version: u32,
                payload: &str,
            ) -> ::std::result::Result<Self, $crate::store::UnreadableEvent> {
                $(if kind == <$crate::events!(@type $variant $($type)?) as $crate::Event>::KIND {
                    let event = $crate::messaging::event::from_payload(schema_version, payload.as_bytes())?;
                    return ::std::result::Result::Ok(Self::$variant(event));
                })+
                ::std::result::Result::Err($crate::store::UnreadableEvent::UnknownKind {
                    events: ::std::stringify!($name),
                    kind: ::std::string::String::from(kind),
                })
            }

            fn as_event(&self) -> &dyn $crate::messaging::event::AnyEvent {
                match self {
                    $(Self::$variant(event) => event),+
                }
            }
        }
    };
    (@type $variant:ident) => { $variant };
    (@type $variant:ident $type:ty) => { $type };
}

/// Refuses two events of one kind in an enum, at compile time.
#[doc(hidden)]
pub const fn check_kinds(kinds: &[&str]) {
    let mut one = 0;
    while one < kinds.len() {
        let mut other = 0;
        while other < one {
            assert!(
                !are_same(kinds[one].as_bytes(), kinds[other].as_bytes()),
                "two events of an enum have the same KIND"
            );
            other += 1;
        }
        one += 1;
    }
}

const fn are_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
