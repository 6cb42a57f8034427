//! One round without I/O: which rows are published, and what the broker's answers mean for each.

use std::{collections::HashSet, time::Duration};

use mainstay_messaging::{Key, Message, Topic, broker::PublishOutcome};

use crate::store::{Content, Outcome, Refusal, Row, RowRef};

/// The rows of a round, sorted by whether they are published.
#[derive(Debug)]
pub(crate) struct Round {
    /// What to publish, in order.
    pub(crate) messages: Vec<Message>,
    /// The row of each message, and how often it was refused before.
    sent: Vec<(RowRef, u32)>,
    /// What is certain before anything is published.
    outcome: Outcome,
}

/// What the broker's answers mean.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) acknowledged: usize,
    /// Why a message was neither acknowledged nor refused, if there is one.
    pub(crate) unknown: Option<mainstay_messaging::Error>,
}

/// Time until the next attempt of a message that was refused this often.
pub(crate) type RetryAfter<'a> = dyn Fn(u32) -> Duration + Send + Sync + 'a;

impl Round {
    /// Holds rows that come after blocked or unreadable rows of their key.
    pub(crate) fn new(rows: Vec<Row>, retry_after: &RetryAfter<'_>) -> Self {
        let mut round = Self {
            messages: Vec::with_capacity(rows.len()),
            sent: Vec::with_capacity(rows.len()),
            outcome: Outcome::default(),
        };
        let mut blocked: HashSet<(Topic, Key)> = HashSet::new();
        let mut skipped: HashSet<(Topic, Key)> = HashSet::new();
        for row in rows {
            let among = |keys: &HashSet<_>| {
                row.ordering_key
                    .as_ref()
                    .is_some_and(|key| keys.contains(key))
            };
            match row.content {
                _ if among(&skipped) => {}
                _ if row.blocked || among(&blocked) => round.outcome.hold(row.row_ref),
                // If it were moved now, the rows before it could end up behind it. It is dealt with
                // once they are.
                Content::Unreadable(_) if round.sends(row.ordering_key.as_ref()) => {
                    skipped.extend(row.ordering_key);
                }
                Content::Message(message) => {
                    round.messages.push(message);
                    round.sent.push((row.row_ref, row.attempts));
                }
                Content::Unreadable(reason) => {
                    round
                        .outcome
                        .refuse(row.row_ref, row.attempts, &reason, retry_after);
                    blocked.extend(row.ordering_key);
                }
            }
        }
        round
    }

    fn sends(&self, ordering_key: Option<&(Topic, Key)>) -> bool {
        let Some((topic, key)) = ordering_key else {
            return false;
        };
        self.messages
            .iter()
            .any(|message| message.topic == *topic && message.key.as_ref() == Some(key))
    }

    /// Sorts every published row by its answer. A missing answer counts as unknown.
    pub(crate) fn judge(
        self,
        answers: Vec<PublishOutcome>,
        retry_after: &RetryAfter<'_>,
    ) -> Verdict {
        let mut outcome = self.outcome;
        let (mut acknowledged, mut unknown) = (0, None);
        let mut blocked: HashSet<(&Topic, &Key)> = HashSet::new();
        let mut waiting: HashSet<(&Topic, &Key)> = HashSet::new();
        let mut answers = answers.into_iter();
        for (message, (row_ref, attempts)) in self.messages.iter().zip(self.sent) {
            let ordering_key = message.key.as_ref().map(|key| (&message.topic, key));
            let among =
                |keys: &HashSet<_>| ordering_key.as_ref().is_some_and(|key| keys.contains(key));
            match answers.next() {
                Some(PublishOutcome::Acknowledged) => {
                    acknowledged += 1;
                    outcome.acknowledged.push(row_ref);
                }
                // This includes a second refusal: as a refusal of its own, it would pass the messages
                // held behind the first one.
                _ if among(&blocked) => outcome.hold(row_ref),
                // A refusal after an unknown answer is dealt with once that message is.
                Some(PublishOutcome::Refused(error)) if !among(&waiting) => {
                    outcome.refuse(row_ref, attempts, &with_causes(&error), retry_after);
                    blocked.extend(ordering_key);
                }
                Some(PublishOutcome::Unknown(error) | PublishOutcome::Refused(error)) => {
                    unknown = unknown.or(Some(error));
                    waiting.extend(ordering_key);
                }
                None => {
                    unknown = unknown.or(Some(mainstay_messaging::Error::NotTried));
                    waiting.extend(ordering_key);
                }
            }
        }
        Verdict {
            outcome,
            acknowledged,
            unknown,
        }
    }

    /// The broker did not answer: published rows stay where they are.
    pub(crate) fn unanswered(self) -> Outcome {
        self.outcome
    }
}

/// A reason that every store can keep: PostgreSQL accepts no NUL in a text.
fn printable(reason: &str) -> String {
    const MAX_CHARS: usize = 1_000;
    let printable = |c: char| {
        if c == '\0' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    reason.chars().take(MAX_CHARS).map(printable).collect()
}

impl Outcome {
    /// Whether there is nothing to record.
    pub(crate) const fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.refused.is_empty() && self.held.is_empty()
    }

    fn refuse(
        &mut self,
        row_ref: RowRef,
        attempts: u32,
        reason: &str,
        retry_after: &RetryAfter<'_>,
    ) {
        let attempts = attempts.saturating_add(1);
        self.refused.push(Refusal {
            row_ref,
            attempts,
            retry_after: retry_after(attempts),
            reason: printable(reason),
        });
    }

    /// A row that is already among the blocked rows of its key stays where it is.
    fn hold(&mut self, row_ref: RowRef) {
        if !matches!(row_ref, RowRef::Blocked(_)) {
            self.held.push(row_ref);
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many errors repeat the text of their source.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_messaging::Error;
    use proptest::prelude::*;

    fn row(position: i64, key: u8, content: u8, blocked: bool) -> Row {
        let message = Message::builder()
            .id(position.to_string())
            .source("s")
            .topic("t")
            .kind("K")
            .key(key.to_string())
            .build()
            .unwrap();
        Row {
            row_ref: RowRef::Log(position),
            ordering_key: message.key.clone().map(|key| (message.topic.clone(), key)),
            blocked,
            attempts: 0,
            content: if content == 0 {
                Content::Unreadable("damaged".to_owned())
            } else {
                Content::Message(message)
            },
        }
    }

    fn now(_: u32) -> Duration {
        Duration::ZERO
    }

    /// A publisher that keeps its contract: 0 refuses, 1 is unknown, and nothing of a key is stored
    /// after either. Some brokers judge each message by itself and also refuse after a refusal.
    fn answers(messages: &[Message], script: &[u8], by_itself: bool) -> Vec<PublishOutcome> {
        let mut blocked = HashSet::new();
        messages
            .iter()
            .zip(script.iter().cycle())
            .map(|(message, what)| match what {
                0 if by_itself || !blocked.contains(&message.key) => {
                    blocked.insert(message.key.clone());
                    PublishOutcome::Refused(Error::TooLarge { size: 2, limit: 1 })
                }
                _ if blocked.contains(&message.key) => PublishOutcome::Unknown(Error::NotTried),
                1 => {
                    blocked.insert(message.key.clone());
                    PublishOutcome::Unknown(Error::Unavailable("away".into()))
                }
                _ => PublishOutcome::Acknowledged,
            })
            .collect()
    }

    #[test]
    fn every_store_can_keep_a_reason() {
        assert_eq!(printable("bad\0byte: ü"), "bad\u{fffd}byte: ü");
        assert_eq!(printable(&"x".repeat(5_000)).len(), 1_000);
    }

    proptest! {
        /// Per key, in position order: acknowledged rows, then at most one refused row and those held
        /// behind it, then rows that stay. Stores write refused rows first: a second one would pass
        /// the rows held behind the first.
        #[test]
        fn no_row_of_a_key_is_acknowledged_after_one_that_is_not(
            rows in proptest::collection::vec((0..3u8, 0..8u8), 1..40),
            blocked_key in proptest::option::of(0..3u8),
            script in proptest::collection::vec(0..8u8, 1..40),
            by_itself in any::<bool>(),
        ) {
            let rows: Vec<Row> = (1..)
                .zip(&rows)
                .map(|(position, (key, content))| row(position, *key, *content, Some(*key) == blocked_key))
                .collect();
            let round = Round::new(rows.clone(), &now);
            let answers = answers(&round.messages, &script, by_itself);
            let outcome = round.judge(answers, &now).outcome;
            for key in 0..3u8 {
                let key = Key::new(key.to_string()).unwrap();
                let (mut open, mut refused) = (true, false);
                for row in rows.iter().filter(|row| row.ordering_key.as_ref().unwrap().1 == key) {
                    let at = row.row_ref;
                    if row.blocked {
                        prop_assert!(outcome.held.contains(&at));
                        continue;
                    }
                    if outcome.acknowledged.contains(&at) {
                        prop_assert!(open, "{at:?} overtook");
                    } else if outcome.refused.iter().any(|refusal| refusal.row_ref == at) {
                        prop_assert!(open, "{at:?} is refused after a refused row or one that stays");
                        (open, refused) = (false, true);
                    } else if outcome.held.contains(&at) {
                        prop_assert!(refused, "{at:?} is held behind nothing, or passes a row that stays");
                    } else {
                        // It stays in the log: nothing after it may be moved or acknowledged.
                        (open, refused) = (false, false);
                    }
                }
            }
            let named = outcome.acknowledged.len() + outcome.refused.len() + outcome.held.len();
            prop_assert!(named <= rows.len());
        }
    }

    #[test]
    fn an_outage_moves_no_row_and_counts_no_attempt() {
        let round = Round::new(vec![row(1, 0, 1, false), row(2, 1, 1, false)], &now);
        let answers = vec![
            PublishOutcome::Unknown(Error::Unavailable("away".into())),
            PublishOutcome::Unknown(Error::NotTried),
        ];
        let verdict = round.judge(answers, &now);
        assert!(verdict.outcome.is_empty());
        assert!(matches!(verdict.unknown, Some(Error::Unavailable(_))));
    }
}
