//! A real cluster.

use mainstay_messaging::kafka::Builder;
use mainstay_testkit::kafka::Server;

use super::fixture::KafkaFixture;

pub(super) async fn fixture() -> Option<KafkaFixture> {
    fixture_with(|builder| builder).await
}

/// None where there is no cluster.
pub(super) async fn fixture_with(
    settings: impl FnOnce(Builder) -> Builder,
) -> Option<KafkaFixture> {
    let server = Server::for_suite("messaging")?;
    Some(KafkaFixture::new(server.url(), None, settings).await)
}

mainstay_messaging::conformance!(if_there fixture());
