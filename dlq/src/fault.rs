//! What is recorded about a failure.

use std::time::Duration;

use mainstay_inbox::failure::{Failure, FailureKind};
use mainstay_messaging::{Delivery, Group, broker::Content};

use crate::{error::chain, letter::checksum};

/// Longest error text that is kept.
const LONGEST: usize = 8 * 1024;

/// A failure as the queue keeps it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fault {
    /// The stable name of its [`FailureKind`].
    pub kind: &'static str,
    /// How many attempts of a handler have failed since the message was last recorded.
    pub attempts: u32,
    /// The error and its sources in one line.
    pub error: String,
    /// What failures with the same cause have in common.
    pub fingerprint: String,
    /// The delays of further tries. A message that was planned n times waits for the n-th.
    pub delays: Vec<Duration>,
}

impl Fault {
    /// What is kept of `failure`. `delays` count only if it may heal.
    #[must_use]
    pub fn of(
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
        delays: &[Duration],
    ) -> Self {
        let mut error = chain(&*failure.error).replace('\0', "\u{fffd}");
        if error.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| error.is_char_boundary(*end));
            error.truncate(end.unwrap_or(0));
        }
        let kind = match &delivery.content {
            Content::Message(message) => message.kind.as_str(),
            Content::Raw(_) => "",
        };
        Self {
            kind: failure.kind.name(),
            attempts: failure.attempts,
            fingerprint: fingerprint(consumer, kind, failure.kind, &error),
            error,
            delays: if failure.kind.may_heal() {
                delays.to_vec()
            } else {
                Vec::new()
            },
        }
    }

    /// When a message that was planned `retries` times is tried next.
    #[must_use]
    pub fn delay(&self, retries: u32) -> Option<Duration> {
        self.delays.get(usize::try_from(retries).ok()?).copied()
    }
}

/// Equal for failures with the same cause: numbers, ids and quoted values of the error do not count.
fn fingerprint(consumer: &Group, kind: &str, failure: FailureKind, error: &str) -> String {
    let cause = generalise(error);
    // A worker reads ahead, so what does not decode is unreadable there, and permanent to a replayer.
    let failure = match failure {
        FailureKind::Unreadable => FailureKind::Permanent,
        other => other,
    };
    let text = format!("{consumer}\0{kind}\0{failure}\0{cause}");
    format!("{:016x}", checksum(text.as_bytes()))
}

/// Replaces what differs from message to message by `#`: words with a digit, and quoted texts.
fn generalise(error: &str) -> String {
    let mut general = String::with_capacity(error.len());
    let mut word = String::new();
    let mut quote = None;
    let flush = |word: &mut String, general: &mut String| {
        if word.bytes().any(|byte| byte.is_ascii_digit()) {
            general.push('#');
        } else {
            general.push_str(word);
        }
        word.clear();
    };
    for letter in error.chars() {
        if quote == Some(letter) {
            quote = None;
            general.push('#');
        } else if quote.is_none() && letter == '"' {
            flush(&mut word, &mut general);
            quote = Some(letter);
        } else if quote.is_none() {
            if letter.is_alphanumeric() || matches!(letter, '-' | '_') {
                word.push(letter);
            } else {
                flush(&mut word, &mut general);
                general.push(letter);
            }
        }
    }
    flush(&mut word, &mut general);
    general
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_message_to_message_does_not_count() {
        let one = generalise("order 17 of \"ada\" has no line 3f2a-11: row 5 is missing");
        let other = generalise("order 9001 of \"bob\" has no line 77bc-0f: row 12 is missing");
        assert_eq!(one, other);
        assert_eq!(one, "order # of # has no line #: row # is missing");
        assert_ne!(one, generalise("order 17 is closed"));
    }

    #[test]
    fn a_replay_that_fails_in_the_same_way_keeps_the_fingerprint() {
        let consumer = Group::new("billing").unwrap();
        let of = |failure| fingerprint(&consumer, "Paid", failure, "it does not decode");
        let read_ahead = of(FailureKind::Unreadable);
        assert_eq!(read_ahead, of(FailureKind::Permanent));
        assert_ne!(read_ahead, of(FailureKind::Exhausted));
    }
}
