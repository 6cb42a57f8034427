//! Why a record cannot be handed to a handler.

use std::any::Any;

/// A record that is not a message.
#[derive(thiserror::Error, Debug)]
#[error("the record is not a message: {0}")]
pub(crate) struct NotAMessage(pub(crate) String);

/// A worker that does not [block](crate::Worker::block_unknown_kinds) such messages acknowledges them
/// before it starts a transaction.
#[derive(thiserror::Error, Debug)]
#[error("no handler is registered for messages of kind {0}; register one with `on`")]
pub(crate) struct NoHandler(pub(crate) String);

/// An upcaster or a `Deserialize` that panicked.
#[derive(thiserror::Error, Debug)]
#[error("decoding panicked: {0}")]
pub(crate) struct DecodingPanicked(pub(crate) String);

/// A handler that panicked.
#[derive(thiserror::Error, Debug)]
#[error("the handler panicked: {0}")]
pub(crate) struct Panicked(pub(crate) String);

/// The message of a panic.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the payload is not a text".to_owned())
}
