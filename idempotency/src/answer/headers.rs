//! Headers as text, for columns and fields that people look into.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::Answer;

/// A value to store; one that is not UTF-8 is stored as hex.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(&'a str),
    Hex(Hex),
}

#[derive(Serialize, Deserialize)]
struct Hex {
    hex: String,
}

/// A value that was stored.
struct Stored(Bytes);

/// The headers of `answer` as JSON.
pub(crate) fn encode(answer: &Answer) -> String {
    let value = |value| match str::from_utf8(value) {
        Ok(text) => Value::Text(text),
        Err(_) => Value::Hex(Hex {
            hex: hex::encode(value),
        }),
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
    body: Option<impl Into<Bytes>>,
) -> Result<Answer, serde_json::Error> {
    let headers: Vec<(String, Stored)> = serde_json::from_str(headers)?;
    let headers = headers
        .into_iter()
        .map(|(name, Stored(value))| (name, value));
    Ok(Answer {
        status,
        headers: headers.collect(),
        body: body.map(Into::into),
    })
}

/// By hand: what serde derives for an untagged value keeps a copy of it first.
impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrHex;

        impl<'de> Visitor<'de> for TextOrHex {
            type Value = Stored;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of a header: text, or an object with its hex")
            }

            fn visit_str<E>(self, text: &str) -> Result<Stored, E> {
                Ok(Stored(Bytes::copy_from_slice(text.as_bytes())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Stored, A::Error> {
                let Hex { hex } = Hex::deserialize(MapAccessDeserializer::new(map))?;
                let bytes = hex::decode(hex).map_err(A::Error::custom)?;
                Ok(Stored(bytes.into()))
            }
        }

        deserializer.deserialize_any(TextOrHex)
    }
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
