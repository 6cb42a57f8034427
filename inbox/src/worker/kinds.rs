//! Kinds of messages that have no handler.

use std::collections::BTreeSet;

use mainstay_messaging::{Group, Kind};

use super::Worker;
use crate::Inbox;

/// What a worker does about messages of such kinds.
#[derive(Clone, Default, Debug)]
pub(super) struct KindRules {
    block: bool,
    ignored: BTreeSet<&'static str>,
}

impl<I: Inbox, K, S> Worker<I, K, S> {
    /// Blocks the key of a message whose kind has no handler, until a build that has one takes the
    /// partition over. Default: the message is acknowledged without effect.
    ///
    /// The message goes to the [failure policy](Self::failure_policy) as
    /// [`UnknownKind`](crate::failure::FailureKind::UnknownKind).
    /// [`BlockKey`](crate::BlockKey), the default policy, leaves it in the log. Name the kinds that
    /// the consumer leaves alone on purpose in [`ignore_kinds`](Self::ignore_kinds).
    ///
    /// ```
    /// # use mainstay_inbox::{Worker, messaging::Consumer, store::WorkerStore};
    /// # fn worker(inbox: impl WorkerStore, consumer: impl Consumer) {
    /// let worker = Worker::new(inbox, consumer)
    ///     .block_unknown_kinds()
    ///     .ignore_kinds(&["OrderViewed"]);
    /// # drop(worker);
    /// # }
    /// ```
    pub fn block_unknown_kinds(mut self) -> Self {
        self.settings.kinds.block = true;
        self
    }

    /// Acknowledges messages of these kinds without effect and without a warning, unless they have a
    /// handler.
    pub fn ignore_kinds(mut self, kinds: &[&'static str]) -> Self {
        self.settings.kinds.ignored.extend(kinds);
        self
    }
}

/// Producers choose the names of kinds: a run remembers and counts no more than these.
const REMEMBERED: usize = 1_000;

/// The kinds without a handler that a run has met.
#[derive(Default, Debug)]
pub(super) struct UnknownKinds {
    met: BTreeSet<Kind>,
}

impl UnknownKinds {
    /// Whether a message of a kind that has no handler is finished. Warns of each kind once.
    pub(super) fn skip(&mut self, kind: &Kind, rules: &KindRules, consumer: &Group) -> bool {
        if rules.ignored.contains(kind.as_str()) {
            return true;
        }
        if self.met.len() < REMEMBERED && !self.met.contains(kind) {
            self.met.insert(kind.clone());
            let labels = [
                ("consumer", consumer.to_string()),
                ("kind", kind.to_string()),
            ];
            metrics::counter!("mainstay_inbox_unknown_kinds", &labels).increment(1);
            if rules.block {
                tracing::warn!(
                    %consumer, %kind,
                    "no handler for messages of this kind: their keys are blocked until a build that has one takes over"
                );
            } else {
                tracing::warn!(
                    %consumer, %kind,
                    "no handler for messages of this kind: they are acknowledged without effect; \
                     register one, or name the kind in `ignore_kinds`"
                );
            }
        }
        !rules.block
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit,
    };
    use tracing::{Event, Subscriber, span};

    use super::*;

    #[derive(Clone, Default)]
    struct Count(Arc<AtomicUsize>);

    impl Count {
        fn add(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Subscriber for Count {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            assert_eq!(*event.metadata().level(), tracing::Level::WARN);
            self.add();
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    impl CounterFn for Count {
        fn increment(&self, by: u64) {
            assert_eq!(by, 1);
            self.add();
        }
        fn absolute(&self, _: u64) {}
    }

    impl metrics::Recorder for Count {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            assert_eq!(key.name(), "mainstay_inbox_unknown_kinds");
            Counter::from_arc(Arc::new(self.clone()))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    /// Tracing asks once for each place that logs whether anyone listens. Another test that logs there
    /// at the same time, without a listener, may be the one that is asked.
    static LOGS: Mutex<()> = Mutex::new(());

    #[test]
    fn each_kind_is_warned_of_and_counted_once() {
        let _alone = LOGS.lock().unwrap();
        let (warnings, counted) = (Count::default(), Count::default());
        let (skipping, blocking) = (
            KindRules {
                block: false,
                ignored: BTreeSet::from(["Ignored"]),
            },
            KindRules {
                block: true,
                ignored: BTreeSet::from(["Ignored"]),
            },
        );
        let run = |rules: &KindRules| {
            let mut unknown = UnknownKinds::default();
            for kind in ["A", "B", "A", "Ignored", "B"] {
                let kind = Kind::from_static(kind);
                let skipped = unknown.skip(&kind, rules, &Group::from_static("g"));
                assert_eq!(skipped, !rules.block || kind.as_str() == "Ignored");
            }
        };
        tracing::subscriber::with_default(warnings.clone(), || {
            metrics::with_local_recorder(&counted, || {
                run(&skipping);
                run(&blocking);
            });
        });
        assert_eq!((warnings.get(), counted.get()), (4, 4));
    }

    #[test]
    fn a_producer_cannot_fill_the_memory_with_kinds() {
        let _alone = LOGS.lock().unwrap();
        let mut unknown = UnknownKinds::default();
        for number in 0..REMEMBERED * 2 {
            let kind = Kind::new(number.to_string()).unwrap();
            assert!(unknown.skip(&kind, &KindRules::default(), &Group::from_static("g")));
        }
        assert_eq!(unknown.met.len(), REMEMBERED);
    }
}
