//! Messages as records of Kafka: `CloudEvents` in binary mode.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::{
    message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders},
    producer::BaseRecord,
};

use super::names::Names;
use crate::{
    Headers, Key, Message, Topic,
    broker::{Content, Raw},
    cloudevents,
};

/// A message that is ready to be sent.
pub(super) struct Outgoing<'m> {
    message: &'m Message,
    headers: Headers,
}

impl<'m> Outgoing<'m> {
    pub(super) fn new(message: &'m Message) -> Self {
        Self {
            message,
            headers: cloudevents::write(message),
        }
    }

    /// What the cluster compares with the limit of the topic, in bytes: a batch of this record
    /// alone, before compression.
    pub(super) fn size(&self) -> usize {
        const BATCH: usize = 61;
        // Attributes, differences of time and offset.
        const FIXED: usize = 3;
        let key = self
            .message
            .key
            .as_ref()
            .map_or(0, |key| key.as_str().len());
        let payload = self.message.payload.as_ref().map_or(0, Bytes::len);
        let record = FIXED
            + with_length(key)
            + with_length(payload)
            + varint(self.headers.len())
            + self
                .headers
                .iter()
                .map(|(name, value)| with_length(name.len()) + with_length(value.len()))
                .sum::<usize>();
        BATCH + with_length(record)
    }

    pub(super) fn record<'r>(
        &'r self,
        topic: &'r str,
        partition: i32,
        number: usize,
    ) -> BaseRecord<'r, str, [u8], usize> {
        let mut headers = OwnedHeaders::new_with_capacity(self.headers.len());
        for (name, value) in self.headers.iter() {
            headers = headers.insert(Header {
                key: name,
                value: Some(&**value),
            });
        }
        let mut record = BaseRecord::with_opaque_to(topic, number)
            .partition(partition)
            .headers(headers);
        record.key = self.message.key.as_ref().map(Key::as_str);
        record.payload = self.message.payload.as_deref();
        record
    }
}

/// Bytes of something with its length before it.
fn with_length(bytes: usize) -> usize {
    varint(bytes) + bytes
}

/// Bytes of a number in zigzag encoding, seven bits a byte.
fn varint(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros() + 1;
    usize::try_from(bits.div_ceil(7)).unwrap_or(10)
}

/// What a record holds, and how many bytes it has.
pub(super) fn read(
    topic: Topic,
    record: &BorrowedMessage<'_>,
    names: &mut Names,
) -> (Content, usize) {
    // rdkafka panics if the name of a header is not UTF-8. That must not end the thread.
    let fields = catch_unwind(AssertUnwindSafe(|| fields(record)));
    let (fields, unreadable) = match fields {
        Ok(fields) => (fields, None),
        Err(_) => (Vec::new(), Some("the name of a header is not UTF-8")),
    };
    let (key, payload) = (record.key(), record.payload());
    let of_fields = fields.iter().map(|(name, value)| name.len() + value.len());
    let size =
        key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len) + of_fields.sum::<usize>();
    let read = match unreadable {
        Some(reason) => Err(reason.into()),
        None => message(topic, key, &fields, payload, names),
    };
    let content = match read {
        Ok(message) => Content::Message(message),
        Err(reason) => Content::Raw(Raw {
            key: key.map(Bytes::copy_from_slice),
            headers: fields
                .into_iter()
                .map(|(name, value)| (name, Bytes::copy_from_slice(value)))
                .collect(),
            payload: payload.map(Bytes::copy_from_slice),
            reason: reason.to_string(),
        }),
    };
    (content, size)
}

/// A header, where librdkafka has it.
type Field<'r> = (&'r str, &'r [u8]);

fn fields<'r>(record: &'r BorrowedMessage<'_>) -> Vec<Field<'r>> {
    let Some(headers) = record.headers() else {
        return Vec::new();
    };
    let mut fields = Vec::with_capacity(headers.count());
    for header in headers.iter() {
        fields.push((header.key, header.value.unwrap_or_default()));
    }
    fields
}

fn message(
    topic: Topic,
    key: Option<&[u8]>,
    fields: &[Field<'_>],
    payload: Option<&[u8]>,
    names: &mut Names,
) -> Result<Message, Box<dyn std::error::Error>> {
    let key = key
        .map(|key| Ok::<_, Box<dyn std::error::Error>>(Key::new(str::from_utf8(key)?)?))
        .transpose()?;
    let payload = payload.map(Bytes::copy_from_slice);
    let fields = fields.iter().copied();
    let Names { sources, kinds, .. } = names;
    let (source, kind) = (
        |text: &str| sources.name(text),
        |text: &str| kinds.name(text),
    );
    Ok(cloudevents::read_fields(
        topic, key, fields, payload, source, kind,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_grow_a_byte_with_each_seven_bits() {
        for (number, bytes) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (8_191, 2),
            (8_192, 3),
            (1_048_576, 4),
        ] {
            assert_eq!(varint(number), bytes, "{number}");
        }
    }
}
