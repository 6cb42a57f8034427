//! Which service handles which kinds of messages.

use mainstay_messaging::{Topic, event::Event};

use crate::{
    AuthorizePayment, CapturePayment, DispatchShipment, OrderCancelled, OrderConfirmed,
    OrderPlaced, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded,
    ShipmentStatusChanged, StockReleased, StockReservationFailed, StockReserved,
};

/// All topics.
pub const TOPICS: &[&str] = &[
    "order",
    "inventory",
    "payment",
    "payment-commands",
    "shipping",
    "shipping-commands",
];

/// One service reads one topic and handles these kinds. It skips other kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The service, which is also the name of its consumer group.
    pub service: &'static str,
    /// The topic.
    pub topic: &'static str,
    /// The kinds that it handles.
    pub kinds: &'static [&'static str],
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
    },
    Subscription {
        service: "order",
        topic: "shipping",
        kinds: &[ShipmentStatusChanged::KIND],
    },
    Subscription {
        service: "inventory",
        topic: "order",
        kinds: &[OrderPlaced::KIND, OrderCancelled::KIND],
    },
    Subscription {
        service: "inventory",
        topic: "shipping",
        kinds: &[ShipmentStatusChanged::KIND],
    },
    Subscription {
        service: "payment",
        topic: "order",
        kinds: &[OrderCancelled::KIND],
    },
    Subscription {
        service: "payment",
        topic: "payment-commands",
        kinds: &[AuthorizePayment::KIND, CapturePayment::KIND],
    },
    Subscription {
        service: "shipping",
        topic: "order",
        kinds: &[OrderConfirmed::KIND, OrderCancelled::KIND],
    },
    Subscription {
        service: "shipping",
        topic: "shipping-commands",
        kinds: &[DispatchShipment::KIND],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subscription_names_a_topic_that_exists() {
        for subscription in SUBSCRIPTIONS {
            assert!(TOPICS.contains(&subscription.topic), "{subscription:?}");
        }
    }
}
