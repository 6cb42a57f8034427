//! Which service handles which kinds of messages.

use mainstay_messaging::{Topic, event::Event};

use crate::{
    AuthorizePayment, CancelShipment, CapturePayment, DispatchShipment, ExtendReservation,
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderPlaced, PaymentAuthorized,
    PaymentCaptured, PaymentDeclined, PaymentRefunded, PrepareShipment, ProductChanged,
    RefundPayment, ReleaseStock, ReserveStock, ShipmentStatusChanged, StockLevelChanged,
    StockReleased, StockReservationFailed, StockReserved, UserChanged, VoidOrRefundPayment,
};

/// All topics.
pub const TOPICS: &[&str] = &[
    "order",
    "inventory",
    "inventory-commands",
    "stock",
    "payment",
    "payment-commands",
    "shipping",
    "shipping-commands",
    "catalog",
    "identity",
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
        service: "inventory",
        topic: "order",
        kinds: &[OrderCancelled::KIND],
        ignored: &[
            OrderPlaced::KIND,
            OrderConfirmed::KIND,
            OrderCompleted::KIND,
        ],
    },
    Subscription {
        service: "payment",
        topic: "payment-commands",
        kinds: &[
            AuthorizePayment::KIND,
            CapturePayment::KIND,
            VoidOrRefundPayment::KIND,
            RefundPayment::KIND,
        ],
        ignored: &[],
    },
    Subscription {
        service: "payment",
        topic: "order",
        kinds: &[OrderCancelled::KIND],
        ignored: &[
            OrderPlaced::KIND,
            OrderConfirmed::KIND,
            OrderCompleted::KIND,
        ],
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
    Subscription {
        service: "shipping",
        topic: "order",
        kinds: &[OrderConfirmed::KIND, OrderCancelled::KIND],
        ignored: &[OrderPlaced::KIND, OrderCompleted::KIND],
    },
    Subscription {
        service: "order",
        topic: "catalog",
        kinds: &[ProductChanged::KIND],
        ignored: &[],
    },
    Subscription {
        service: "inventory",
        topic: "catalog",
        kinds: &[ProductChanged::KIND],
        ignored: &[],
    },
    Subscription {
        service: "catalog",
        topic: "order",
        kinds: &[OrderCompleted::KIND],
        ignored: &[
            OrderPlaced::KIND,
            OrderConfirmed::KIND,
            OrderCancelled::KIND,
        ],
    },
    Subscription {
        service: "catalog",
        topic: "stock",
        kinds: &[StockLevelChanged::KIND],
        ignored: &[],
    },
    Subscription {
        service: "notification",
        topic: "order",
        kinds: &[OrderConfirmed::KIND, OrderCancelled::KIND],
        ignored: &[OrderPlaced::KIND, OrderCompleted::KIND],
    },
    Subscription {
        service: "notification",
        topic: "payment",
        kinds: &[PaymentRefunded::KIND],
        ignored: &[
            PaymentAuthorized::KIND,
            PaymentDeclined::KIND,
            PaymentCaptured::KIND,
        ],
    },
    Subscription {
        service: "notification",
        topic: "shipping",
        kinds: &[ShipmentStatusChanged::KIND],
        ignored: &[],
    },
    Subscription {
        service: "notification",
        topic: "identity",
        kinds: &[UserChanged::KIND],
        ignored: &[],
    },
    Subscription {
        service: "analytics",
        topic: "order",
        kinds: &[
            OrderPlaced::KIND,
            OrderConfirmed::KIND,
            OrderCompleted::KIND,
            OrderCancelled::KIND,
        ],
        ignored: &[],
    },
    Subscription {
        service: "analytics",
        topic: "inventory",
        kinds: &[StockReservationFailed::KIND],
        ignored: &[StockReserved::KIND, StockReleased::KIND],
    },
    Subscription {
        service: "analytics",
        topic: "payment",
        kinds: &[
            PaymentAuthorized::KIND,
            PaymentDeclined::KIND,
            PaymentRefunded::KIND,
        ],
        ignored: &[PaymentCaptured::KIND],
    },
    Subscription {
        service: "analytics",
        topic: "shipping",
        kinds: &[ShipmentStatusChanged::KIND],
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
