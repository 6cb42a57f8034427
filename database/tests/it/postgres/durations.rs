//! Settings: any duration is taken and works, or is refused by name when the database is opened.

use std::time::Duration;

use mainstay_database::Transactions as _;

use super::*;

const DURATIONS: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::from_secs(10),
    Duration::from_secs(60 * 60 * 24 * 25),
    Duration::from_secs(u32::MAX as u64),
    Duration::MAX,
];

type Settings = Builder<NewPool>;
type Setter = fn(Settings, Duration) -> Settings;

#[tokio::test]
async fn every_duration_is_taken_or_refused_by_name() {
    let Some((owner, server)) = database().await else {
        return;
    };
    let setters: [(&str, Setter); 3] = [
        ("lock_timeout", Builder::lock_timeout),
        (
            "idle_in_transaction_timeout",
            Builder::idle_in_transaction_timeout,
        ),
        ("acquire_timeout", Builder::acquire_timeout),
    ];
    let mut key = 0;
    for (name, set) in setters {
        for duration in DURATIONS {
            let told = format!("{name} of {duration:?}");
            let opened = set(Database::builder(server.url()), duration).open().await;
            let database = match opened {
                Ok(database) => database,
                Err(error) if name == "acquire_timeout" && duration < Duration::from_millis(1) => {
                    assert!(
                        matches!(error, Error::CannotOpen { .. }),
                        "{told}: {error:?}"
                    );
                    assert!(
                        report(&error).contains(&format!("{name} is {duration:?}")),
                        "{error}"
                    );
                    continue;
                }
                // A login may or may not be done in so short a time: that is what was asked for.
                Err(error) if name == "acquire_timeout" && duration == Duration::from_millis(1) => {
                    assert!(matches!(error, Error::Unavailable(_)), "{told}: {error:?}");
                    assert!(report(&error).contains("within 1ms"), "{error}");
                    continue;
                }
                Err(error) => panic!("{told}: {error}"),
            };
            if name == "acquire_timeout" && duration == Duration::from_millis(1) {
                continue;
            }
            key += 1;
            let mut tx = database
                .begin()
                .await
                .unwrap_or_else(|error| panic!("{told}: {error}"));
            // An idle limit of a millisecond ends the transaction, and that heals.
            let committed = match insert(&mut tx, key, 1).await {
                Ok(()) => database.commit(tx).await,
                Err(error) => {
                    drop(tx);
                    Err(error)
                }
            };
            if let Err(error) = committed {
                assert!(error.is_retryable(), "{told}: {error:?}");
            }
            let limit = database.idle_limit();
            assert!(
                limit.is_none_or(|limit| limit <= Duration::from_millis(i32::MAX as u64)),
                "{told}"
            );
            database.close().await;
        }
    }
    assert!(keys(&owner).await.len() > 10, "hardly any of them worked");
}

/// As the server counts them.
#[tokio::test]
async fn the_server_is_told_the_durations() {
    let Some((_, server)) = database().await else {
        return;
    };
    let most = Duration::from_millis(i32::MAX as u64);
    for (duration, millis) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(1_500), 1_500),
        (most + Duration::from_millis(1), i32::MAX),
        (Duration::MAX, i32::MAX),
    ] {
        let database = Database::builder(server.url()).lock_timeout(duration);
        let database = database
            .idle_in_transaction_timeout(duration.max(most))
            .open()
            .await
            .unwrap();
        let mut tx = database.begin().await.unwrap();
        let setting = "SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'";
        let found: i32 = sqlx::query_scalar(setting)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(found, millis, "{duration:?}");
        assert_eq!(database.idle_limit(), Some(most));
    }
}

#[tokio::test]
async fn a_number_of_connections_that_cannot_work_is_refused_by_name() {
    for count in [0, u32::MAX] {
        let builder = Database::builder("postgres://user:secret@127.0.0.1:1/shop");
        let error = builder.max_connections(count).open().await.unwrap_err();
        let said = report(&error);
        assert!(
            said.contains(&format!("max_connections is {count}")),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
}

/// One that accepts a connection and says nothing.
#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://user:secret@127.0.0.1:{port}/shop");
    let builder = Database::builder(url).acquire_timeout(Duration::from_millis(50));
    let error = builder.open().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(
        report(&error).contains("did not answer within 50ms"),
        "{error}"
    );
}
