//! Replies that a broken run keeps.

use bytes::Bytes;
use mainstay_messaging::{Key, Message, Topic, envelope};
use serde::{Deserialize, Serialize};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A reply as it came, byte for byte.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RawReply {
    /// Its topic.
    pub topic: String,
    /// Its key.
    pub key: Option<String>,
    /// Everything else but the payload; see [`envelope`].
    pub envelope: String,
    /// Its payload.
    pub payload: Option<Payload>,
}

/// A payload as text can hold it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "bytes are text or not")]
pub enum Payload {
    /// UTF-8.
    Text(String),
    /// Other bytes, in hexadecimal.
    Hex(String),
}

impl RawReply {
    pub(crate) fn of(message: &Message) -> Self {
        let payload = |bytes: &Bytes| match str::from_utf8(bytes) {
            Ok(text) => Payload::Text(text.to_owned()),
            Err(_) => Payload::Hex(hex::encode(bytes)),
        };
        Self {
            topic: message.topic.to_string(),
            key: message.key.as_ref().map(ToString::to_string),
            envelope: envelope::write(message),
            payload: message.payload.as_ref().map(payload),
        }
    }

    pub(crate) fn read(&self) -> Result<Message, Source> {
        let payload = |payload: &Payload| match payload {
            Payload::Text(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            Payload::Hex(digits) => hex::decode(digits).map(Bytes::from),
        };
        let payload = self.payload.as_ref().map(payload).transpose()?;
        let key = self.key.as_deref().map(Key::new).transpose()?;
        let topic = Topic::new(self.topic.as_str())?;
        Ok(envelope::read(&self.envelope, topic, key, payload)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_reply_reads_back_byte_for_byte() {
        for payload in [&b"{\"n\":1.10}"[..], &[0xff, 0]] {
            let message = Message::builder()
                .topic("t")
                .kind("K")
                .source("/s")
                .key("k");
            let message = message
                .payload(payload)
                .header("h", vec![0xfe])
                .build()
                .unwrap();
            let json = serde_json::to_string(&RawReply::of(&message)).unwrap();
            let kept: RawReply = serde_json::from_str(&json).unwrap();
            assert_eq!(kept.read().unwrap(), message);
        }
    }
}
