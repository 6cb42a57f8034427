//! Other ways to divide the partitions of a group.

mod eager {
    use mainstay_messaging::kafka::GroupProtocol;

    use crate::kafka::{fixture::KafkaFixture, real};

    async fn fixture() -> Option<KafkaFixture> {
        real::fixture_with(|builder| builder.group_protocol(GroupProtocol::Eager)).await
    }

    mainstay_messaging::conformance!(consumer: if_there fixture());
}

mod consumer {
    use mainstay_messaging::kafka::GroupProtocol;

    use crate::kafka::{fixture::KafkaFixture, real};

    async fn fixture() -> Option<KafkaFixture> {
        real::fixture_with(|builder| builder.group_protocol(GroupProtocol::Consumer)).await
    }

    mainstay_messaging::conformance!(consumer: if_there fixture());
}
