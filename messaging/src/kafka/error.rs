//! Errors of librdkafka, by what the caller can do.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::Error;

/// What was tried, and what came of it.
#[derive(thiserror::Error, Debug)]
#[error("{doing} failed: {cause}{}", Reason(reason.as_deref()))]
struct Failure {
    doing: &'static str,
    /// What librdkafka said beside the code.
    reason: Option<String>,
    #[source]
    cause: KafkaError,
}

struct Reason<'r>(Option<&'r str>);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// An error of this adapter.
#[derive(thiserror::Error, Debug)]
#[error("{0}")]
pub(super) struct Hint(pub(super) String);

pub(super) fn sort(doing: &'static str, cause: KafkaError) -> Error {
    because(doing, cause, None)
}

pub(super) fn because(doing: &'static str, cause: KafkaError, reason: Option<String>) -> Error {
    let refused = is_final(&cause);
    let failure = Box::new(Failure {
        doing,
        reason,
        cause,
    });
    if refused {
        Error::Refused(failure)
    } else {
        Error::Unavailable(failure)
    }
}

pub(super) fn unavailable(text: impl Into<String>) -> Error {
    Error::Unavailable(Box::new(Hint(text.into())))
}

/// A thread or task of this adapter has panicked or was aborted.
pub(super) fn ended(_: impl std::error::Error) -> Error {
    unavailable("a thread of the Kafka adapter has ended")
}

/// Whether trying again does not help.
pub(super) fn is_final(error: &KafkaError) -> bool {
    match error {
        KafkaError::ClientConfig(..)
        | KafkaError::ClientCreation(_)
        | KafkaError::MessageConsumptionFatal(_)
        | KafkaError::Nul(_) => true,
        error => code(error).is_some_and(is_refusal),
    }
}

pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) | KafkaError::MockCluster(code) => Some(*code),
        error => error.rdkafka_error_code(),
    }
}

/// Whether the cluster refuses for a reason that does not go away by itself.
pub(super) const fn is_refusal(code: Code) -> bool {
    is_of_credentials(code)
        || matches!(
            code,
            Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::InvalidTopic
                | Code::InvalidPartitions
                | Code::InvalidReplicationFactor
                | Code::InvalidConfig
                | Code::InvalidRequest
                | Code::InvalidGroupId
                | Code::InvalidRecord
                | Code::InvalidTimestamp
                | Code::InvalidSessionTimeout
                | Code::InconsistentGroupProtocol
                | Code::GroupMaxSizeReached
                | Code::FencedInstanceId
                | Code::UnsupportedAssignor
                | Code::UnsupportedVersion
                | Code::UnsupportedFeature
                | Code::UnsupportedForMessageFormat
                | Code::UnsupportedCompressionType
                | Code::PolicyViolation
                | Code::NotImplemented
                | Code::InvalidArgument
                | Code::BadCompression
                | Code::BadMessage
        )
}

/// Whether a group takes nothing from a member before it has rejoined.
pub(super) const fn asks_to_rejoin(code: Code) -> bool {
    matches!(
        code,
        Code::RebalanceInProgress
            | Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::StaleMemberEpoch
            | Code::FencedMemberEpoch
            | Code::AssignmentLost
    )
}

/// Whether the cluster does not accept who this program says it is.
pub(super) const fn is_of_credentials(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::SSL
    )
}
