//! What isolation admission needs.

use mainstay_dlq::conformance::Fixture as _;
use mainstay_inbox::{Inbox as _, store::WorkerStore as _};
use mainstay_messaging::Group;
use sqlx::SqlSafeStr as _;

use super::{delivery, fixture};

#[tokio::test]
async fn repeatable_read_is_refused() {
    let Some(f) = fixture().await else { return };
    let queue = f.queue(&[]);
    let delivery = delivery(0);
    let group = Group::from_static("billing");
    for (level, is_allowed) in [
        ("BEGIN ISOLATION LEVEL READ COMMITTED", true),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", false),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", false),
    ] {
        let begin = level.into_sql_str();
        let mut tx = queue.database().begin_with(begin).await.unwrap();
        let answer = queue.admit(&mut tx, &group, &delivery).await;
        assert_eq!(answer.is_ok(), is_allowed, "{level}: {answer:?}");
        if let Err(error) = answer {
            let text = error.to_string();
            assert!(text.contains("READ COMMITTED"), "{text}");
        }
    }
}
