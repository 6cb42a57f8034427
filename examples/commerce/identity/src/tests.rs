//! Registration, sessions, locks and keys on a database.

mod fixture;

use std::time::Duration;

use axum::http::StatusCode;
use commerce_chassis::{Caller, KeySet, Problem};
use commerce_contracts::Role;
use tokio::task::JoinSet;

use self::fixture::{Fixture, SEED_PASSWORD};
use crate::{
    CUSTOMERS, OPERATOR, lockout,
    rotation::{SIGNS, TOKEN_LIFETIME},
    secret::Secret,
    session::{GRACE, IDLE, LONGEST, after},
    user::Registration,
};

/// A moment of the tests; microseconds since 1970.
const NOW: i64 = 1_800_000_000_000_000;
const SECOND: Duration = Duration::from_secs(1);

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn registration(email: &str) -> Registration {
    let body = serde_json::json!({
        "email": email, "password": "correct horse battery", "display_name": "Ada", "phone": "+4930901820",
    });
    serde_json::from_value(body).unwrap()
}

fn refused<T: std::fmt::Debug>(result: Result<T, Problem>) -> (StatusCode, &'static str) {
    let problem = result.unwrap_err();
    (problem.status, problem.slug)
}

#[tokio::test]
async fn the_seeds_are_planted_and_announced_once() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let announced = fixture.emitted().await;
    assert_eq!(announced.len(), CUSTOMERS + 1);
    assert!(announced.iter().all(|event| event.version == 1));
    fixture.reopen(None).await;
    assert_eq!(fixture.emitted().await.len(), CUSTOMERS + 1);
    // No table holds the shared password; without it, the seeds do not enter.
    let hashes = fixture.dump("SELECT coalesce(password_hash, '') FROM users");
    assert_eq!(hashes.await, "");
    let closed = fixture.reopen(None).await;
    let guess = closed.log_in(OPERATOR, secret(SEED_PASSWORD), NOW).await;
    assert_eq!(refused(guess), (StatusCode::UNAUTHORIZED, "login-failed"));
}

#[tokio::test]
async fn a_registered_customer_logs_in_and_the_others_are_told() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let desk = &fixture.desk;
    let user = desk
        .register(registration("Ada@Example.com"))
        .await
        .unwrap();
    assert!(user.id.starts_with("cust-"), "{}", user.id);
    let event = fixture.emitted().await.pop().unwrap();
    assert_eq!(event, user.changed());
    let again = desk.register(registration("ada@example.com")).await;
    assert_eq!(refused(again), (StatusCode::CONFLICT, "email-taken"));
    assert_eq!(fixture.emitted().await.len(), CUSTOMERS + 2);

    let grant = desk.log_in(" ADA@example.com", secret("correct horse battery"), NOW);
    let grant = grant.await.unwrap();
    let now = Duration::from_micros(NOW.unsigned_abs());
    let claims = fixture.keys.verify(&grant.access_token.0, now).unwrap();
    assert_eq!((claims.sub, claims.roles), (user.id, vec![Role::Customer]));
    // No table holds a secret of the user.
    let stored = fixture.dump("SELECT token_hash FROM refresh_tokens").await
        + &fixture
            .dump("SELECT coalesce(password_hash, '') FROM users")
            .await;
    for secret in [
        &*grant.refresh_token.0,
        &grant.access_token.0,
        "correct horse battery",
    ] {
        assert!(!stored.contains(secret));
    }
    assert!(!format!("{grant:?} {desk:?}").contains(&grant.refresh_token.0));
}

#[tokio::test]
async fn a_lost_answer_is_given_again_within_the_grace() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let (desk, first) = (&fixture.desk, fixture.log_in(NOW).await);
    let second = desk.refresh(&first.refresh_token, NOW).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    let end = after(NOW, GRACE);
    let again = desk.refresh(&first.refresh_token, end).await.unwrap();
    assert_eq!(again.refresh_token, second.refresh_token);
    // The session goes on.
    let third = desk.refresh(&second.refresh_token, end).await.unwrap();
    assert_ne!(third.refresh_token, second.refresh_token);
}

#[tokio::test]
async fn a_used_refresh_token_that_comes_again_ends_the_session() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let (desk, first) = (&fixture.desk, fixture.log_in(NOW).await);
    let other = fixture.log_in(NOW).await;
    let second = desk.refresh(&first.refresh_token, NOW).await.unwrap();
    let late = after(NOW, GRACE + SECOND);
    let stolen = desk.refresh(&first.refresh_token, late).await;
    assert_eq!(
        refused(stolen),
        (StatusCode::UNAUTHORIZED, "refresh-token-reused")
    );
    // All descendants end with it; the user's other session does not.
    for token in [&first, &second] {
        let ended = desk.refresh(&token.refresh_token, late).await;
        assert_eq!(refused(ended), (StatusCode::UNAUTHORIZED, "session-ended"));
    }
    desk.refresh(&other.refresh_token, late).await.unwrap();
}

#[tokio::test]
async fn a_session_ends_by_logout_and_by_idleness() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let (desk, left, idle) = (
        &fixture.desk,
        fixture.log_in(NOW).await,
        fixture.log_in(NOW).await,
    );
    desk.log_out(&left.refresh_token, NOW).await.unwrap();
    desk.log_out(&left.refresh_token, NOW).await.unwrap();
    desk.log_out(&secret("no token"), NOW).await.unwrap();
    let late = after(NOW, IDLE);
    for (token, now) in [(&left, NOW), (&idle, late)] {
        let ended = desk.refresh(&token.refresh_token, now).await;
        assert_eq!(refused(ended), (StatusCode::UNAUTHORIZED, "session-ended"));
    }
    let unknown = desk.refresh(&secret("no token"), NOW).await;
    assert_eq!(
        refused(unknown),
        (StatusCode::UNAUTHORIZED, "session-ended")
    );
}

#[tokio::test]
async fn what_has_ended_is_swept() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    fixture.log_in(NOW).await;
    let wrong = fixture
        .desk
        .log_in("nobody@example.com", secret("wrong"), NOW);
    assert!(wrong.await.is_err());
    let end = after(NOW, LONGEST);
    for (now, is_left) in [(end, true), (end + 1, false)] {
        fixture.sweep(now).await;
        let sessions = fixture.dump("SELECT session_id FROM sessions").await;
        let tokens = fixture.dump("SELECT token_hash FROM refresh_tokens").await;
        assert_eq!(
            (!sessions.is_empty(), !tokens.is_empty()),
            (is_left, is_left)
        );
    }
    assert_eq!(fixture.dump("SELECT email FROM login_attempts").await, "");
}

#[tokio::test]
async fn two_uses_at_once_bring_one_successor() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let (desk, first) = (&fixture.desk, fixture.log_in(NOW).await);
    let uses = tokio::join!(
        desk.refresh(&first.refresh_token, NOW),
        desk.refresh(&first.refresh_token, NOW),
    );
    let (one, other) = (uses.0.unwrap(), uses.1.unwrap());
    assert_eq!(one.refresh_token, other.refresh_token);
}

#[tokio::test]
async fn wrong_passwords_lock_the_login_whether_or_not_the_user_exists() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let desk = &fixture.desk;
    for email in ["cust-002@example.com", "nobody@example.com"] {
        for _ in 0..lockout::FREE {
            let wrong = desk.log_in(email, secret("wrong"), NOW).await;
            assert_eq!(refused(wrong), (StatusCode::UNAUTHORIZED, "login-failed"));
        }
        // The right password does not help while it lasts.
        let locked = desk.log_in(email, secret(SEED_PASSWORD), NOW).await;
        let locked = locked.unwrap_err();
        assert_eq!(
            (locked.status, locked.slug),
            (StatusCode::TOO_MANY_REQUESTS, "login-locked")
        );
        assert_eq!(locked.retry_after, Some(30));
    }
    let later = after(NOW, 30 * SECOND);
    let grant = desk.log_in("cust-002@example.com", secret(SEED_PASSWORD), later);
    grant.await.unwrap();
    // The success forgave the failures.
    let wrong = desk
        .log_in("cust-002@example.com", secret("wrong"), later)
        .await;
    assert_eq!(refused(wrong), (StatusCode::UNAUTHORIZED, "login-failed"));
    desk.log_in("cust-002@example.com", secret(SEED_PASSWORD), later)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_password_that_was_not_checked_does_not_count_as_wrong() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let desk = &fixture.desk;
    let mut taken = Vec::new();
    for _ in 0..std::thread::available_parallelism().unwrap().get() {
        taken.push(desk.passwords.turn().await.unwrap());
    }
    let email = "cust-002@example.com";
    let mut attempts = JoinSet::new();
    for _ in 0..lockout::FREE {
        let desk = desk.clone();
        attempts.spawn(async move { desk.log_in(email, secret("wrong"), NOW).await });
    }
    for busy in attempts.join_all().await {
        let busy = refused(busy);
        assert_eq!(busy, (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    }
    drop(taken);
    let grant = desk.log_in(email, secret(SEED_PASSWORD), NOW).await;
    grant.unwrap();
}

#[tokio::test]
async fn roles_count_from_the_next_token_and_are_announced() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let (desk, session) = (&fixture.desk, fixture.log_in(NOW).await);
    let operator = Caller::operator("operator");
    let both = vec![Role::Operator, Role::Customer, Role::Operator];
    let user = desk
        .set_roles(&operator, "cust-001", both.clone())
        .await
        .unwrap();
    assert_eq!((user.version, user.roles.len()), (2, 2));
    assert_eq!(fixture.emitted().await.pop().unwrap(), user.changed());
    // The same roles again change nothing.
    let same = desk.set_roles(&operator, "cust-001", both).await.unwrap();
    assert_eq!(
        (same.version, fixture.emitted().await.len()),
        (2, CUSTOMERS + 2)
    );
    let next = desk.refresh(&session.refresh_token, NOW).await.unwrap();
    let now = Duration::from_micros(NOW.unsigned_abs());
    let claims = fixture.keys.verify(&next.access_token.0, now).unwrap();
    assert!(claims.roles.contains(&Role::Operator));

    let own = desk
        .set_roles(&operator, "operator", vec![Role::Customer])
        .await;
    assert_eq!(refused(own), (StatusCode::CONFLICT, "own-role"));
    let unknown = desk.set_roles(&operator, "nobody", vec![]).await;
    assert_eq!(refused(unknown).0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn keys_rotate_while_tokens_of_the_old_key_stay_valid() {
    let Some(fixture) = Fixture::open().await else {
        return;
    };
    let keys = fixture.desk.keys();
    let old = keys.current();
    // Another process finds the same keys.
    let elsewhere = KeySet::default();
    let other = fixture.keys_at(&elsewhere, fixture.desk.now()).await;
    assert_eq!(other.current().kid(), old.kid());

    let later = after(fixture.desk.now(), SIGNS);
    let token = fixture.log_in(later).await.access_token;
    fixture.look_after(later).await;
    assert_ne!(keys.current().kid(), old.kid());
    let now = Duration::from_micros(later.unsigned_abs());
    let last = now + TOKEN_LIFETIME.saturating_sub(SECOND);
    fixture.keys.verify(&token.0, last).unwrap();
    // The other process had the new key before it signed.
    let fresh = fixture.log_in(later).await.access_token;
    elsewhere.verify(&fresh.0, now).unwrap();
    assert_eq!(
        fixture.keys.to_json()["keys"].as_array().map(Vec::len),
        Some(3)
    );
}
