//! Headers as text, for columns and fields that people look into.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Answer;

/// A value that is not UTF-8 is stored as hex.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Hex { hex: String },
}

/// The headers of `answer` as JSON.
pub(crate) fn encode(answer: &Answer) -> String {
    let value = |value: &'_ [u8]| match str::from_utf8(value) {
        Ok(text) => Value::Text(text.to_owned().into()),
        Err(_) => Value::Hex {
            hex: hex::encode(value),
        },
    };
    let headers = answer.headers();
    let headers: Vec<_> = headers.map(|(name, bytes)| (name, value(bytes))).collect();
    // Pairs of strings always serialise.
    serde_json::to_string(&headers).unwrap_or_default()
}

/// The answer whose parts were stored.
pub(crate) fn decode(
    status: u16,
    headers: &str,
    body: Option<Vec<u8>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let headers: Vec<(String, Value<'_>)> = serde_json::from_str(headers)?;
    let mut read = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let value = match value {
            Value::Text(text) => text.into_owned().into_bytes(),
            Value::Hex { hex } => hex::decode(hex)?,
        };
        read.push((name, Bytes::from(value)));
    }
    Ok(Answer {
        status,
        headers: read,
        body: body.map(Bytes::from),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_answer_reads_back_byte_for_byte(
            status in any::<u16>(),
            headers in prop::collection::vec((".{0,9}", prop::collection::vec(any::<u8>(), 0..9)), 0..5),
            body in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        ) {
            let mut answer = Answer::new(status, body.clone().unwrap_or_default());
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            if body.is_none() {
                answer = answer.without_body();
            }
            prop_assert_eq!(decode(status, &encode(&answer), body).unwrap(), answer);
        }
    }

    /// Old and new builds run side by side.
    #[test]
    fn headers_are_stored_the_same_way_in_every_build() {
        let answer = Answer::new(201_u16, "")
            .header("set-cookie", "a=1, b")
            .header("set-cookie", "c=\"ä\"")
            .header("x", [0xff, 0x00]);
        assert_eq!(
            encode(&answer),
            r#"[["set-cookie","a=1, b"],["set-cookie","c=\"ä\""],["x",{"hex":"ff00"}]]"#
        );
    }
}
