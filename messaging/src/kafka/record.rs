//! Messages as records of Kafka: `CloudEvents` in binary mode.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::{
    message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders},
    producer::BaseRecord,
};

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
pub(super) fn read(topic: &Topic, record: &BorrowedMessage<'_>) -> (Content, usize) {
    let key = record.key().map(Bytes::copy_from_slice);
    let payload = record.payload().map(Bytes::copy_from_slice);
    // rdkafka panics if the name of a header is not UTF-8. That must not end the thread.
    let headers = catch_unwind(AssertUnwindSafe(|| headers(record)));
    let (headers, unreadable) = match headers {
        Ok(headers) => (headers, None),
        Err(_) => (Headers::new(), Some("the name of a header is not UTF-8")),
    };
    let size = key.as_ref().map_or(0, Bytes::len)
        + payload.as_ref().map_or(0, Bytes::len)
        + headers.size();
    let read = match unreadable {
        Some(reason) => Err(reason.into()),
        None => message(topic, key.as_deref(), &headers, payload.clone()),
    };
    let content = match read {
        Ok(message) => Content::Message(message),
        Err(reason) => Content::Raw(Raw {
            key,
            headers,
            payload,
            reason: reason.to_string(),
        }),
    };
    (content, size)
}

fn headers(record: &BorrowedMessage<'_>) -> Headers {
    let Some(headers) = record.headers() else {
        return Headers::new();
    };
    headers
        .iter()
        .map(|header| {
            let value = Bytes::copy_from_slice(header.value.unwrap_or_default());
            (header.key, value)
        })
        .collect()
}

fn message(
    topic: &Topic,
    key: Option<&[u8]>,
    headers: &Headers,
    payload: Option<Bytes>,
) -> Result<Message, Box<dyn std::error::Error>> {
    let key = key
        .map(|key| Ok::<_, Box<dyn std::error::Error>>(Key::new(str::from_utf8(key)?)?))
        .transpose()?;
    Ok(cloudevents::read(topic.clone(), key, headers, payload)?)
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
