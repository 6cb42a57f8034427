//! What the shop does, in numbers: a service's messages are counted when the broker has them. A
//! message that is published twice, after a kill, counts twice.

use async_trait::async_trait;
use commerce_contracts::{
    Money, OrderCancelled, OrderCompleted, OrderConfirmed, OrderPlaced, PaymentCaptured,
    PaymentDeclined, PaymentRefunded, StockReservationFailed,
};
use mainstay_messaging::{Event, Message, Publisher, broker::PublishOutcome, event::decode};
use metrics::counter;

/// Counts what its publisher has published.
#[derive(Debug)]
pub(crate) struct Counting<P>(pub(crate) P);

#[async_trait]
impl<P: Publisher> Publisher for Counting<P> {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let outcomes = self.0.publish(messages).await;
        for (message, outcome) in messages.iter().zip(&outcomes) {
            if matches!(outcome, PublishOutcome::Acknowledged) {
                count(message);
            }
        }
        outcomes
    }
}

fn count(message: &Message) {
    match message.kind.as_str() {
        OrderPlaced::KIND => with(message, |placed: OrderPlaced| {
            counter!("commerce_orders_placed", "currency" => placed.currency.code()).increment(1);
        }),
        OrderConfirmed::KIND => with(message, |confirmed: OrderConfirmed| {
            let currency = confirmed.currency.code();
            let sold = counter!("commerce_sold_minor_units", "currency" => currency);
            sold.increment(minor(confirmed.total_minor));
        }),
        OrderCompleted::KIND => counter!("commerce_orders_completed").increment(1),
        OrderCancelled::KIND => with(message, |cancelled: OrderCancelled| {
            let reason = cancelled.reason.code;
            counter!("commerce_orders_cancelled", "reason" => reason).increment(1);
        }),
        PaymentCaptured::KIND => counter!("commerce_payments_captured").increment(1),
        PaymentRefunded::KIND => counter!("commerce_payments_refunded").increment(1),
        PaymentDeclined::KIND => with(message, |declined: PaymentDeclined| {
            counter!("commerce_payments_declined", "code" => declined.code).increment(1);
        }),
        StockReservationFailed::KIND => with(message, |failed: StockReservationFailed| {
            let shortages = u64::try_from(failed.shortages.len()).unwrap_or(u64::MAX);
            counter!("commerce_stock_shortages").increment(shortages);
        }),
        _ => {}
    }
}

/// A message that does not decode is its readers' concern.
fn with<E: Event>(message: &Message, count: impl FnOnce(E)) {
    if let Ok(event) = decode::<E>(message) {
        count(event);
    }
}

fn minor(amount: Money) -> u64 {
    u64::try_from(i64::from(amount)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use commerce_contracts::{CancelReason, OrderId, Shortage, Sku};
    use futures_util::FutureExt as _;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// Acknowledges everything but the first time.
    #[derive(Default)]
    struct Broker(AtomicBool);

    #[async_trait]
    impl Publisher for Broker {
        async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
            let is_back = self.0.swap(true, Ordering::Relaxed);
            let outcome = |_: &Message| {
                if is_back {
                    return PublishOutcome::Acknowledged;
                }
                let away = mainstay_messaging::Error::Unavailable("away".into());
                PublishOutcome::Unknown(away)
            };
            messages.iter().map(outcome).collect()
        }
    }

    fn message<E: Event>(event: &E) -> Message {
        let built = Message::builder().source("/s").event(event);
        built.build().unwrap()
    }

    fn cancelled(code: &str) -> Message {
        message(&OrderCancelled {
            order_id: OrderId::new("o-1"),
            customer_id: "cust-001".to_owned(),
            reason: CancelReason {
                code: code.to_owned(),
                detail: "why".to_owned(),
            },
            stage: "placed".to_owned(),
            compensations: Vec::new(),
        })
    }

    #[test]
    fn what_the_broker_has_is_counted() {
        let short = |sku: &str| Shortage {
            sku: Sku::new(sku),
            requested: 2,
            available: 1,
        };
        let messages = [
            cancelled("out_of_stock"),
            cancelled("payment_declined"),
            cancelled("out_of_stock"),
            message(&StockReservationFailed {
                order_id: OrderId::new("o-1"),
                shortages: vec![short("SKU-198"), short("SKU-199")],
            }),
            message(&PaymentCaptured {
                payment_id: "o-1".to_owned(),
                order_id: OrderId::new("o-1"),
                capture_id: "c-1".to_owned(),
                amount_minor: Money::ZERO,
                cumulative_captured_minor: Money::ZERO,
            }),
        ];
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let publisher = Counting(Broker::default());
            for _ in 0..2 {
                publisher.publish(&messages).now_or_never().unwrap();
            }
        });
        let text = recorder.handle().render();
        for line in [
            r#"commerce_orders_cancelled{reason="out_of_stock"} 2"#,
            r#"commerce_orders_cancelled{reason="payment_declined"} 1"#,
            "commerce_stock_shortages 2",
            "commerce_payments_captured 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
    }
}
