//! How a message is kept: everything but its payload as one JSON text.

use std::error::Error as StdError;

use bytes::Bytes;
use mainstay_messaging::{
    Headers, Key, Topic,
    broker::{Content, Raw},
    envelope,
};
use serde::{Deserialize, Serialize};

/// A message or a record that is not one, byte for byte.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Message {
        topic: String,
        key: Option<String>,
        envelope: String,
    },
    Raw {
        key: Option<String>,
        headers: Vec<(String, String)>,
        reason: String,
    },
}

/// The text to keep beside the payload.
pub(crate) fn write(content: &Content) -> String {
    let record = match content {
        Content::Message(message) => Record::Message {
            topic: message.topic.to_string(),
            key: message.key.as_ref().map(ToString::to_string),
            envelope: envelope::write(message),
        },
        Content::Raw(raw) => Record::Raw {
            key: raw.key.as_ref().map(hex::encode),
            headers: (raw.headers.iter())
                .map(|(name, value)| (name.to_owned(), hex::encode(value)))
                .collect(),
            reason: raw.reason.clone(),
        },
    };
    // Texts always serialise.
    serde_json::to_string(&record).unwrap_or_default()
}

pub(crate) fn payload(content: &Content) -> Option<&Bytes> {
    match content {
        Content::Message(message) => message.payload.as_ref(),
        Content::Raw(raw) => raw.payload.as_ref(),
    }
}

/// Reads back what [`write`] wrote. A message that this build cannot read comes as a raw record.
///
/// # Errors
/// The row is damaged.
pub(crate) fn read(
    record: &str,
    payload: Option<Bytes>,
) -> Result<Content, Box<dyn StdError + Send + Sync>> {
    Ok(match serde_json::from_str(record)? {
        Record::Message {
            topic,
            key,
            envelope,
        } => {
            let key_bytes = key.clone().map(Bytes::from);
            let key = key.map(Key::new).transpose()?;
            match envelope::read(&envelope, Topic::new(topic)?, key, payload.clone()) {
                Ok(message) => Content::Message(message),
                Err(error) => Content::Raw(Raw {
                    key: key_bytes,
                    headers: Headers::new(),
                    payload,
                    reason: error.to_string(),
                }),
            }
        }
        Record::Raw {
            key,
            headers,
            reason,
        } => Content::Raw(Raw {
            key: key.map(hex::decode).transpose()?.map(Bytes::from),
            headers: (headers.into_iter())
                .map(|(name, value)| Ok((name, hex::decode(value)?)))
                .collect::<Result<Headers, hex::FromHexError>>()?,
            payload,
            reason,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_messaging::{Kind, Message, MessageId, Source};

    #[test]
    fn what_is_kept_reads_back_byte_for_byte() {
        let mut message = Message::with_id(
            MessageId::from_static("1"),
            Source::from_static("/shop"),
            Topic::from_static("orders"),
            Kind::from_static("OrderPlaced"),
        );
        message.key = Some(Key::from_static("ada"));
        message.headers.append("h", vec![0xff, 0]);
        message.payload = Some(Bytes::from_static(b"{\0"));
        let content = Content::Message(message.clone());
        let back = read(&write(&content), payload(&content).cloned()).unwrap();
        assert_eq!(back.message(), Some(&message));

        let mut headers = Headers::new();
        headers.append("\0", vec![0xfe]);
        let raw = Content::Raw(Raw {
            key: Some(Bytes::from_static(&[0xff, 0])),
            headers,
            payload: Some(Bytes::from_static(&[0, 0xff])),
            reason: "no\0 envelope".to_owned(),
        });
        let back = read(&write(&raw), payload(&raw).cloned()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{raw:?}"));
        assert!(read("{", None).is_err());
    }
}
