//! One round, without I/O: which rows may be sent, and what the answers make of all of them.

use std::{collections::HashSet, time::Duration};

use mainstay_messaging::{Key, Message, Publication, Topic};

use crate::store::{Content, Outcome, Place, Row, Stop};

/// Rows of a round, sorted by whether they may be sent.
#[derive(Debug)]
pub(crate) struct Round {
    /// What to publish, in order.
    pub(crate) messages: Vec<Message>,
    /// Where each of them lies, and how often it was refused before.
    sent: Vec<(Place, u32)>,
    /// What is certain before anything is sent.
    outcome: Outcome,
}

/// What the answers of a publisher amount to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) acknowledged: usize,
    /// Why a message is neither acknowledged nor refused, if one is not.
    pub(crate) unknown: Option<mainstay_messaging::Error>,
}

/// How long a message waits after it was refused this often.
pub(crate) type RetryAfter<'a> = dyn Fn(u32) -> Duration + Send + Sync + 'a;

impl Round {
    /// Keeps back what must not overtake: rows behind stopped or unreadable ones of their lane.
    pub(crate) fn new(rows: Vec<Row>, retry_after: &RetryAfter<'_>) -> Self {
        let mut round = Self {
            messages: Vec::with_capacity(rows.len()),
            sent: Vec::with_capacity(rows.len()),
            outcome: Outcome::default(),
        };
        let mut blocked: HashSet<(Topic, Key)> = HashSet::new();
        let mut left: HashSet<(Topic, Key)> = HashSet::new();
        for row in rows {
            let among = |lanes: &HashSet<_>| row.lane.as_ref().is_some_and(|l| lanes.contains(l));
            match row.content {
                _ if among(&left) => {}
                _ if row.stopped || among(&blocked) => round.outcome.follow(row.place),
                // Its turn comes when the rows before it are settled: were it moved aside now, they could end up
                // behind it.
                Content::Unreadable(_) if round.sends(row.lane.as_ref()) => left.extend(row.lane),
                Content::Message(message) => {
                    round.messages.push(message);
                    round.sent.push((row.place, row.attempts));
                }
                Content::Unreadable(reason) => {
                    round
                        .outcome
                        .stop(row.place, row.attempts, &reason, retry_after);
                    blocked.extend(row.lane);
                }
            }
        }
        round
    }

    fn sends(&self, lane: Option<&(Topic, Key)>) -> bool {
        let Some((topic, key)) = lane else {
            return false;
        };
        self.messages
            .iter()
            .any(|message| message.topic == *topic && message.key.as_ref() == Some(key))
    }

    /// Sorts every sent row by its answer. An answer that is missing is an unknown one.
    pub(crate) fn judge(self, answers: Vec<Publication>, retry_after: &RetryAfter<'_>) -> Verdict {
        let mut outcome = self.outcome;
        let (mut acknowledged, mut unknown) = (0, None);
        let mut stopped: HashSet<(&Topic, &Key)> = HashSet::new();
        let mut waiting: HashSet<(&Topic, &Key)> = HashSet::new();
        let mut answers = answers.into_iter();
        for (message, (place, attempts)) in self.messages.iter().zip(self.sent) {
            let lane = message.key.as_ref().map(|key| (&message.topic, key));
            match answers.next() {
                Some(Publication::Acknowledged) => {
                    acknowledged += 1;
                    outcome.acknowledged.push(place);
                }
                // A refusal behind another one, too: of two stops in one round, the second would pass the followers
                // of the first.
                _ if lane.is_some_and(|lane| stopped.contains(&lane)) => outcome.follow(place),
                // A refusal behind an unknown one waits for its turn, as above.
                Some(Publication::Refused(error))
                    if !lane.is_some_and(|l| waiting.contains(&l)) =>
                {
                    outcome.stop(place, attempts, &with_causes(&error), retry_after);
                    stopped.extend(lane);
                }
                Some(Publication::Unknown(error) | Publication::Refused(error)) => {
                    unknown = unknown.or(Some(error));
                    waiting.extend(lane);
                }
                None => {
                    unknown = unknown.or(Some(mainstay_messaging::Error::NotTried));
                    waiting.extend(lane);
                }
            }
        }
        Verdict {
            outcome,
            acknowledged,
            unknown,
        }
    }

    /// Nothing was answered: what was sent stays where it is.
    pub(crate) fn unanswered(self) -> Outcome {
        self.outcome
    }
}

/// A reason as every store can keep it: PostgreSQL takes no NUL in a text, and nobody reads a page of it.
fn printable(reason: &str) -> String {
    const LONGEST: usize = 1_000;
    let shown = |c: char| {
        if c == '\0' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    reason.chars().take(LONGEST).map(shown).collect()
}

impl Outcome {
    /// Whether there is nothing to write down.
    pub(crate) const fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.stopped.is_empty() && self.following.is_empty()
    }

    fn stop(&mut self, place: Place, attempts: u32, reason: &str, retry_after: &RetryAfter<'_>) {
        let attempts = attempts.saturating_add(1);
        self.stopped.push(Stop {
            place,
            attempts,
            retry_after: retry_after(attempts),
            reason: printable(reason),
        });
    }

    /// A row that is already among its key's stopped rows stays in its place there.
    fn follow(&mut self, place: Place) {
        if !matches!(place, Place::Stopped(_)) {
            self.following.push(place);
        }
    }
}

/// An error and its causes in one line, for the row and for people.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Drivers repeat what is below them.
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
    use mainstay_messaging::{Error, Kind, MessageId, Source};
    use proptest::prelude::*;

    fn row(position: i64, key: u8, content: u8, stopped: bool) -> Row {
        let topic = Topic::from_static("t");
        let key = Key::new(key.to_string()).unwrap();
        let message = Message::with_id(
            MessageId::new(position.to_string()).unwrap(),
            Source::from_static("s"),
            topic.clone(),
            Kind::from_static("K"),
        )
        .with_key(key.clone());
        Row {
            place: Place::Log(position),
            lane: Some((topic, key)),
            stopped,
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

    /// A publisher that keeps its contract: 0 refuses, 1 is unknown, and nothing of a key is stored behind either. Some
    /// brokers look at each message for itself, and refuse behind a refusal, too.
    fn answers(messages: &[Message], script: &[u8], each_for_itself: bool) -> Vec<Publication> {
        let mut stopped = HashSet::new();
        messages
            .iter()
            .zip(script.iter().cycle())
            .map(|(message, what)| match what {
                0 if each_for_itself || !stopped.contains(&message.key) => {
                    stopped.insert(message.key.clone());
                    Publication::Refused(Error::TooLarge { size: 2, limit: 1 })
                }
                _ if stopped.contains(&message.key) => Publication::Unknown(Error::NotTried),
                1 => {
                    stopped.insert(message.key.clone());
                    Publication::Unknown(Error::Unavailable("away".into()))
                }
                _ => Publication::Acknowledged,
            })
            .collect()
    }

    #[test]
    fn a_reason_is_one_that_every_store_can_keep() {
        assert_eq!(printable("bad\0byte: ü"), "bad\u{fffd}byte: ü");
        assert_eq!(printable(&"x".repeat(5_000)).len(), 1_000);
    }

    proptest! {
        /// Per key, in position order: acknowledged rows, then one stop at most and its followers, then rows that stay.
        /// Stores write stops before followers: of two stops, the second would pass the followers of the first.
        #[test]
        fn no_row_of_a_key_is_acknowledged_behind_one_that_is_not(
            rows in proptest::collection::vec((0..3u8, 0..8u8), 1..40),
            stopped_key in proptest::option::of(0..3u8),
            script in proptest::collection::vec(0..8u8, 1..40),
            each_for_itself in any::<bool>(),
        ) {
            let rows: Vec<Row> = (1..).zip(&rows)
                .map(|(position, (key, content))| row(position, *key, *content, Some(*key) == stopped_key)).collect();
            let round = Round::new(rows.clone(), &now);
            let answers = answers(&round.messages, &script, each_for_itself);
            let outcome = round.judge(answers, &now).outcome;
            for key in 0..3u8 {
                let key = Key::new(key.to_string()).unwrap();
                let (mut open, mut stop) = (true, false);
                for row in rows.iter().filter(|row| row.lane.as_ref().unwrap().1 == key) {
                    if row.stopped {
                        prop_assert!(outcome.following.contains(&row.place));
                        continue;
                    }
                    if outcome.acknowledged.contains(&row.place) {
                        prop_assert!(open, "{:?} overtook", row.place);
                    } else if outcome.stopped.iter().any(|s| s.place == row.place) {
                        prop_assert!(open, "{:?} stops behind another stop, or past a row that stays", row.place);
                        (open, stop) = (false, true);
                    } else if outcome.following.contains(&row.place) {
                        prop_assert!(stop, "{:?} follows nothing, or passes a row that stays", row.place);
                    } else {
                        // Whatever stays in the log: nothing behind it may be moved or acknowledged.
                        (open, stop) = (false, false);
                    }
                }
            }
            let named = outcome.acknowledged.len() + outcome.stopped.len() + outcome.following.len();
            prop_assert!(named <= rows.len());
        }
    }

    #[test]
    fn an_outage_names_no_row_and_counts_no_attempt() {
        let round = Round::new(vec![row(1, 0, 1, false), row(2, 1, 1, false)], &now);
        let answers = vec![
            Publication::Unknown(Error::Unavailable("away".into())),
            Publication::Unknown(Error::NotTried),
        ];
        let verdict = round.judge(answers, &now);
        assert!(verdict.outcome.is_empty());
        assert!(matches!(verdict.unknown, Some(Error::Unavailable(_))));
    }
}
