//! Beginning, renewing, completing and releasing.

use std::time::Duration;

use futures_util::future::join_all;

use super::{LeasesFixture, answer, records::settled, request, request_in};
use crate::{Begun, Error, FencingToken, KeyedRequest, Lease, Leases, Settled};

/// No test takes so long.
const LONG: Duration = Duration::from_secs(600);

/// Ends soon.
const SHORT: Duration = Duration::from_millis(40);

async fn lease<L: Leases>(leases: &L, request: &KeyedRequest, time: Duration) -> Lease {
    match leases.begin(request, time).await.unwrap() {
        Begun::Fresh(lease) => lease,
        Begun::Settled(settled) => panic!("settled: {settled:?}"),
    }
}

async fn look<L: Leases>(leases: &L, request: &KeyedRequest) -> Settled {
    settled(leases.begin(request, LONG).await.unwrap())
}

fn is_fenced(outcome: Result<(), Error>, request: &KeyedRequest) -> bool {
    matches!(outcome, Err(Error::Fenced { key }) if key == request.key)
}

/// A lease that has ended, and a newer one of the same request.
async fn succeeded<F: LeasesFixture>(
    f: &F,
    leases: &F::Leases,
    request: &KeyedRequest,
) -> (Lease, Lease) {
    let former = lease(leases, request, SHORT).await;
    f.pass(SHORT).await;
    (former, lease(leases, request, LONG).await)
}

pub async fn of_a_thousand_concurrent_callers_one_gets_the_lease<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let callers = (0..1_000).map(|_| leases.begin(&request, LONG));
    let mut fresh = 0;
    for begun in join_all(callers).await {
        match begun.unwrap() {
            Begun::Fresh(_) => fresh += 1,
            Begun::Settled(settled) => assert!(matches!(settled, Settled::Running { .. })),
        }
    }
    assert_eq!(fresh, 1);
}

pub async fn a_leased_key_is_running_until_its_lease_ends<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let minute = Duration::from_secs(60);
    let _held = lease(&leases, &request, minute).await;
    match look(&leases, &request).await {
        Settled::Running { retry_after } => {
            assert!(
                retry_after <= minute && retry_after > minute / 2,
                "{retry_after:?}"
            );
        }
        settled => panic!("{settled:?}"),
    }
}

pub async fn a_completed_key_is_answered_byte_for_byte<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let lease = lease(&leases, &request, LONG).await;
    leases.complete(&lease, &answer("made")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(look(&leases, &request).await, Settled::Done(answer("made")));
    }
}

pub async fn another_fingerprint_is_a_mismatch_in_every_state<F: LeasesFixture>(f: &F) {
    let (leases, request, other) = (
        f.leases().await,
        request("k1", "a mug"),
        request("k1", "a cup"),
    );
    let (former, held) = succeeded(f, &leases, &request).await;
    assert_eq!(look(&leases, &other).await, Settled::Mismatch, "running");
    assert!(former.token() < held.token());
    leases.complete(&held, &answer("made")).await.unwrap();
    assert_eq!(look(&leases, &other).await, Settled::Mismatch, "done");
    assert_eq!(look(&leases, &request).await, Settled::Done(answer("made")));
    // A holder that died may have made the effect.
    let (left, other) = (super::request("k2", "a mug"), super::request("k2", "a cup"));
    let _dead = lease(&leases, &left, SHORT).await;
    f.pass(SHORT).await;
    assert_eq!(
        look(&leases, &other).await,
        Settled::Mismatch,
        "left behind"
    );
}

pub async fn leases_of_two_tenants_with_the_same_key_never_meet<F: LeasesFixture>(f: &F) {
    let leases = f.leases().await;
    let alike = [
        ("acme", "charge", "k1"),
        ("Zo\u{eb}", "charge", "k1"),
        ("", "charge", "k1"),
        ("acme", "refund", "k1"),
        ("a:b", "c", "d"),
        ("a", "b:c", "d"),
        ("a", "b", "c:d"),
        ("{a}", "b", "d"),
    ];
    for (tenant, operation, key) in alike {
        let request = request_in(tenant, operation, key, "a mug");
        let lease = lease(&leases, &request, LONG).await;
        let name = format!("{tenant} {operation} {key}");
        leases.complete(&lease, &answer(&name)).await.unwrap();
        assert_eq!(look(&leases, &request).await, Settled::Done(answer(&name)));
    }
}

pub async fn a_lease_that_has_ended_is_taken_over_with_a_higher_token<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let (former, successor) = succeeded(f, &leases, &request).await;
    assert!(successor.token() > former.token());
    assert_eq!(successor.request(), &request);
}

pub async fn a_former_holder_writes_nothing<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let (former, successor) = succeeded(f, &leases, &request).await;
    let completed = leases.complete(&former, &answer("late")).await;
    assert!(is_fenced(completed, &request));
    assert!(is_fenced(leases.release(&former).await, &request));
    let running = look(&leases, &request).await;
    assert!(matches!(running, Settled::Running { .. }), "{running:?}");
    leases.complete(&successor, &answer("made")).await.unwrap();
    let completed = leases.complete(&former, &answer("late")).await;
    assert!(is_fenced(completed, &request));
    assert!(is_fenced(leases.release(&former).await, &request));
    assert_eq!(look(&leases, &request).await, Settled::Done(answer("made")));
}

pub async fn a_former_holder_never_prolongs_its_successors_lease<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let former = lease(&leases, &request, SHORT).await;
    f.pass(SHORT).await;
    let successor = lease(&leases, &request, SHORT).await;
    assert!(is_fenced(leases.renew(&former, LONG).await, &request));
    f.pass(SHORT).await;
    let third = lease(&leases, &request, LONG).await;
    assert!(third.token() > successor.token());
}

pub async fn a_renewed_lease_lasts_longer<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let lease = lease(&leases, &request, LONG / 2).await;
    leases.renew(&lease, LONG).await.unwrap();
    match look(&leases, &request).await {
        Settled::Running { retry_after } => assert!(retry_after > LONG / 2, "{retry_after:?}"),
        settled => panic!("{settled:?}"),
    }
    leases.complete(&lease, &answer("made")).await.unwrap();
    assert!(is_fenced(leases.renew(&lease, LONG).await, &request));
}

pub async fn a_lease_that_has_ended_is_not_renewed<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let ended = lease(&leases, &request, SHORT).await;
    f.pass(SHORT).await;
    assert!(is_fenced(leases.renew(&ended, LONG).await, &request));
    let successor = lease(&leases, &request, LONG).await;
    assert!(successor.token() > ended.token());
}

pub async fn a_lease_that_has_ended_is_completed_if_nobody_has_the_key<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let ended = lease(&leases, &request, SHORT).await;
    f.pass(SHORT).await;
    leases.complete(&ended, &answer("made")).await.unwrap();
    assert_eq!(look(&leases, &request).await, Settled::Done(answer("made")));
}

/// The answer to the first time was lost.
pub async fn completing_again_is_the_same<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let lease = lease(&leases, &request, LONG).await;
    for _ in 0..3 {
        leases.complete(&lease, &answer("made")).await.unwrap();
    }
    // What was answered stays what is answered.
    leases.complete(&lease, &answer("changed")).await.unwrap();
    assert_eq!(look(&leases, &request).await, Settled::Done(answer("made")));
}

pub async fn releasing_again_is_the_same<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let released = lease(&leases, &request, LONG).await;
    for _ in 0..3 {
        leases.release(&released).await.unwrap();
    }
    let completed = leases.complete(&released, &answer("late")).await;
    assert!(is_fenced(completed, &request));
    assert!(is_fenced(leases.renew(&released, LONG).await, &request));
    let _successor = lease(&leases, &request, LONG).await;
    assert!(is_fenced(leases.release(&released).await, &request));
    let running = look(&leases, &request).await;
    assert!(matches!(running, Settled::Running { .. }), "{running:?}");
}

pub async fn a_released_key_is_free_at_once_for_any_fingerprint<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let released = lease(&leases, &request, LONG).await;
    leases.release(&released).await.unwrap();
    let other = super::request("k1", "a cup");
    let successor = lease(&leases, &other, LONG).await;
    assert!(successor.token() > released.token());
}

pub async fn a_completed_key_is_not_released<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let lease = lease(&leases, &request, LONG).await;
    leases.complete(&lease, &answer("made")).await.unwrap();
    assert!(is_fenced(leases.release(&lease).await, &request));
    assert_eq!(look(&leases, &request).await, Settled::Done(answer("made")));
}

pub async fn tokens_grow_over_every_kind_of_exit<F: LeasesFixture>(f: &F) {
    let leases = f.leases_for(Duration::from_millis(1)).await;
    let request = request("k1", "a mug");
    let mut last = FencingToken::new(0);
    for round in 0..40 {
        let time = if round % 4 == 0 { SHORT / 8 } else { LONG };
        let lease = lease(&leases, &request, time).await;
        assert!(lease.token() > last, "round {round}");
        last = lease.token();
        match round % 4 {
            0 => f.pass(SHORT / 8).await,
            1 => leases.release(&lease).await.unwrap(),
            _ => {
                leases.complete(&lease, &answer("made")).await.unwrap();
                f.pass(Duration::from_millis(2)).await;
            }
        }
    }
}

pub async fn a_tombstone_of_a_key_is_answered<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let tombstone = answer("large").without_body();
    let held = lease(&leases, &request, LONG).await;
    leases.complete(&held, &tombstone).await.unwrap();
    assert_eq!(look(&leases, &request).await, Settled::Done(tombstone));
    let (empty, request) = (crate::Answer::new(204_u16, ""), super::request("k2", ""));
    let held = lease(&leases, &request, LONG).await;
    leases.complete(&held, &empty).await.unwrap();
    assert_eq!(look(&leases, &request).await, Settled::Done(empty));
}

pub async fn a_kept_answer_ends_with_its_lifetime<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases_for(SHORT).await, request("k1", "a mug"));
    let held = lease(&leases, &request, SHORT).await;
    leases.complete(&held, &answer("made")).await.unwrap();
    f.pass(SHORT + Duration::from_millis(1)).await;
    // For another request as well.
    let other = super::request("k1", "a cup");
    let _successor = lease(&leases, &other, SHORT).await;
    let late = leases.complete(&held, &answer("late")).await;
    assert!(is_fenced(late, &request));
}

pub async fn a_key_under_a_renewed_lease_outlives_its_lifetime<F: LeasesFixture>(f: &F) {
    // Long enough to be renewed in time on a machine that is busy.
    const LEASE: Duration = Duration::from_secs(2);
    let (leases, request) = (f.leases_for(SHORT).await, request("k1", "a mug"));
    let lease = lease(&leases, &request, LEASE).await;
    leases.renew(&lease, LONG).await.unwrap();
    let long = super::request("k2", "a mug");
    let _held = self::lease(&leases, &long, LONG).await;
    f.pass(LEASE + SHORT).await;
    for request in [&request, &long] {
        let running = look(&leases, request).await;
        assert!(matches!(running, Settled::Running { .. }), "{running:?}");
    }
    leases.complete(&lease, &answer("made")).await.unwrap();
}
