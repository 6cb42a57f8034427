//! Other ways to divide the partitions of a group.

mod eager {
    use mainstay_messaging::kafka::GroupProtocol;

    use crate::kafka::{fixture::KafkaFixture, real};

    async fn fixture() -> Option<KafkaFixture> {
        real::fixture_with(|builder| builder.group_protocol(GroupProtocol::Eager)).await
    }

    // The others say that only those partitions are interrupted that move.
    mainstay_messaging::conformance!(@cases () fixture();
        a_group_reads_everything_from_the_earliest
        a_group_that_starts_at_the_latest_reads_only_what_comes_after
        a_topic_that_is_created_after_a_group_joined_is_read_from_its_beginning
        an_assignment_comes_before_its_first_delivery
        committed_records_are_not_delivered_again
        uncommitted_records_are_delivered_to_the_next_holder
        offsets_never_move_back
        a_revoked_partition_may_be_committed_until_it_is_released
        a_former_holder_cannot_commit
        commits_before_a_loss_count
        a_member_that_stalled_is_told_what_it_lost
        a_partition_that_comes_back_is_not_paused
        a_member_that_leaves_hands_everything_on
        a_partition_that_was_released_unasked_is_announced_anew
    );
}

mod consumer {
    use mainstay_messaging::kafka::GroupProtocol;

    use crate::kafka::{fixture::KafkaFixture, real};

    async fn fixture() -> Option<KafkaFixture> {
        real::fixture_with(|builder| builder.group_protocol(GroupProtocol::Consumer)).await
    }

    mainstay_messaging::conformance!(consumer: if_there fixture());
}
