//! Events of partitions that were lost or given back.

use std::time::Duration;

use mainstay_clock::Monotonic;

use super::{Claim, Holdings, view::View};
use crate::{
    Group, Topic,
    broker::{ConsumerEvent, Partition},
};

const DEADLINE: Duration = Duration::from_secs(1);

fn partition() -> Partition {
    Partition {
        topic: Topic::from_static("t"),
        number: 0,
    }
}

/// Holds one partition that is wanted elsewhere. Its assignment was read, its revocation was
/// not.
fn revoked() -> Holdings<i64> {
    let claim = Claim {
        id: 1,
        partition: partition(),
        owner: None,
        epoch: 1,
        committed: 0,
        first: 0,
        next: 0,
    };
    let view = View {
        held: vec![claim],
        wanted_elsewhere: vec![1],
    };
    let mut holdings = Holdings::new(Group::from_static("g"));
    let overdue = holdings.observe(view, Monotonic::from_micros(0), DEADLINE);
    assert_eq!(overdue.unwrap(), Vec::<i64>::new());
    assert!(matches!(holdings.event(), Some(ConsumerEvent::Assigned(_))));
    holdings
}

#[test]
fn a_revocation_that_expired_before_it_was_read_is_only_a_loss() {
    let mut holdings = revoked();
    holdings.take_away(&[1]);
    assert!(matches!(holdings.event(), Some(ConsumerEvent::Lost(_))));
    assert!(holdings.event().is_none());
}

#[test]
fn a_partition_that_was_given_back_has_no_further_events() {
    let mut holdings = revoked();
    holdings.take_away(&[1]);
    holdings.give_back(&[partition()]);
    assert!(holdings.event().is_none());
    let mut holdings = revoked();
    holdings.give_back(&[partition()]);
    assert!(holdings.event().is_none());
}
