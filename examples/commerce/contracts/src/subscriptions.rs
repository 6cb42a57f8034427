//! Which service handles which kinds of messages.

use mainstay_messaging::{Topic, event::Event};

use crate::{
    AuthorizePayment, CancelShipment, CapturePayment, DispatchShipment, ExtendReservation,
    PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, PrepareShipment,
    ReleaseStock, ReserveStock, ShipmentStatusChanged, StockReleased, StockReservationFailed,
    StockReserved, VoidOrRefundPayment,
};

/// All topics.
pub const TOPICS: &[&str] = &[
    "order",
    "inventory",
    "inventory-commands",
    "payment",
    "payment-commands",
    "shipping",
    "shipping-commands",
];

/// One service reads one topic, handles these kinds, and leaves those alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The service, which is also the name of its consumer group.
    pub service: &'static str,
    /// The topic.
    pub topic: &'static str,
    /// The kinds that it handles.
    pub kinds: &'static [&'static str],
    /// The topic's other kinds.
    pub ignored: &'static [&'static str],
}

impl Subscription {
    /// Whether the service handles messages of this kind on this topic.
    #[must_use]
    pub fn handles(&self, topic: &str, kind: &str) -> bool {
        self.topic == topic && self.kinds.contains(&kind)
    }
}

/// Every subscription of the application.
pub const SUBSCRIPTIONS: &[Subscription] = &[
    Subscription {
        service: "order",
        topic: "inventory",
        kinds: &[
            StockReserved::KIND,
            StockReservationFailed::KIND,
            StockReleased::KIND,
        ],
        ignored: &[],
    },
    Subscription {
        service: "order",
        topic: "payment",
        kinds: &[
            PaymentAuthorized::KIND,
            PaymentDeclined::KIND,
            PaymentCaptured::KIND,
            PaymentRefunded::KIND,
        ],
        ignored: &[],
    },
    Subscription {
        service: "order",
        topic: "shipping",
        kinds: &[ShipmentStatusChanged::KIND],
        ignored: &[],
    },
    Subscription {
        service: "inventory",
        topic: "inventory-commands",
        kinds: &[
            ReserveStock::KIND,
            ExtendReservation::KIND,
            ReleaseStock::KIND,
        ],
        ignored: &[],
    },
    Subscription {
        service: "inventory",
        topic: "shipping",
        kinds: &[ShipmentStatusChanged::KIND],
        ignored: &[],
    },
    Subscription {
        service: "payment",
        topic: "payment-commands",
        kinds: &[
            AuthorizePayment::KIND,
            CapturePayment::KIND,
            VoidOrRefundPayment::KIND,
        ],
        ignored: &[],
    },
    Subscription {
        service: "shipping",
        topic: "shipping-commands",
        kinds: &[
            PrepareShipment::KIND,
            DispatchShipment::KIND,
            CancelShipment::KIND,
        ],
        ignored: &[],
    },
];

/// The topics that `service` reads.
#[must_use]
pub fn topics_of(service: &str) -> Vec<Topic> {
    SUBSCRIPTIONS
        .iter()
        .filter(|subscription| subscription.service == service)
        .map(|subscription| Topic::from_static(subscription.topic))
        .collect()
}

/// The kinds on its topics that `service` leaves alone.
#[must_use]
pub fn ignored_by(service: &str) -> Vec<&'static str> {
    SUBSCRIPTIONS
        .iter()
        .filter(|subscription| subscription.service == service)
        .flat_map(|subscription| subscription.ignored.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_a_topic_is_handled_or_left_alone_on_purpose() {
        let known = |subscription: &Subscription| -> BTreeSet<&str> {
            let kinds = subscription.kinds.iter().chain(subscription.ignored);
            kinds.copied().collect()
        };
        for subscription in SUBSCRIPTIONS {
            let of_topic = SUBSCRIPTIONS
                .iter()
                .filter(|other| other.topic == subscription.topic);
            let all: BTreeSet<&str> = of_topic.flat_map(known).collect();
            assert_eq!(known(subscription), all, "{subscription:?}");
        }
    }

    #[test]
    fn every_subscription_names_a_topic_that_exists() {
        for subscription in SUBSCRIPTIONS {
            assert!(TOPICS.contains(&subscription.topic), "{subscription:?}");
        }
    }
}
