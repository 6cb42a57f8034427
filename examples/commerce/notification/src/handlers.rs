//! The events: who is told, and how.

use std::sync::Arc;

use commerce_chassis::{Connection, ServiceBuilder};
use commerce_contracts::{
    Currency, OrderCancelled, OrderConfirmed, OrderId, PaymentRefunded, ShipmentStatusChanged,
    UserChanged,
};
use mainstay_clock::Clock;
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::envelope::micros_since_epoch;

use crate::{
    contact::Contact,
    news::News,
    store::{self, Early, Owner, Written},
    texts::{About, Texts},
};

/// A customer whose contact has not come. It is tried again for a moment; then it is a dead letter.
#[derive(thiserror::Error, Debug)]
#[error(
    "customer {0} has no contact: if UserChanged of the identity service was handled since, replay the message"
)]
struct NoContact(String);

/// Who is told, and the currency of the order, if it was confirmed.
#[derive(Debug)]
struct Customer {
    id: String,
    currency: Option<Currency>,
}

impl From<Owner> for Customer {
    fn from(owner: Owner) -> Self {
        Self {
            id: owner.customer_id,
            currency: Some(owner.currency),
        }
    }
}

/// What the handlers need besides the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    texts: Arc<Texts>,
    clock: Arc<dyn Clock>,
}

pub(crate) fn handlers(desk: Desk) -> Handlers<Connection, Desk> {
    Handlers::new()
        .with_state(desk)
        .on(user_changed)
        .on(confirmed)
        .on(cancelled)
        .on(refunded)
        .on(moved)
}

async fn user_changed(
    tx: &mut Connection,
    user: Received<UserChanged>,
    _: Desk,
) -> Result<(), HandlerError> {
    Ok(store::save_contact(tx, &user.event).await?)
}

/// Tells of the order, and then what has waited for it.
async fn confirmed(
    tx: &mut Connection,
    order: Received<OrderConfirmed>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let (event_id, order) = (order.message.id.to_string(), order.event);
    let news = News::confirmed(&order);
    let owner = Owner {
        customer_id: order.customer_id,
        currency: order.currency,
    };
    let mut all = vec![Early { event_id, news }];
    all.extend(store::confirm(tx, &order.order_id, &owner).await?);
    desk.tell(tx, &owner.into(), &order.order_id, &all).await
}

async fn cancelled(
    tx: &mut Connection,
    order: Received<OrderCancelled>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let (event_id, order) = (order.message.id.to_string(), order.event);
    let news = News::cancelled(&order);
    let told = [Early { event_id, news }];
    let customer = Customer {
        id: order.customer_id,
        currency: None,
    };
    desk.tell(tx, &customer, &order.order_id, &told).await
}

async fn refunded(
    tx: &mut Connection,
    refund: Received<PaymentRefunded>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let Some(news) = News::refunded(&refund.event) else {
        return Ok(());
    };
    let event_id = refund.message.id.to_string();
    let told = Early { event_id, news };
    desk.tell_owner(tx, &refund.event.order_id, told).await
}

async fn moved(
    tx: &mut Connection,
    shipment: Received<ShipmentStatusChanged>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let Some(news) = News::moved(&shipment.event) else {
        return Ok(());
    };
    let event_id = shipment.message.id.to_string();
    let told = Early { event_id, news };
    desk.tell_owner(tx, &shipment.event.order_id, told).await
}

impl Desk {
    pub(crate) fn new(builder: &ServiceBuilder, texts: Texts) -> Self {
        Self {
            texts: Arc::new(texts),
            clock: Arc::clone(builder.clock()),
        }
    }

    /// Tells the customer of an order, or waits until it is known whose it is.
    async fn tell_owner(
        &self,
        tx: &mut Connection,
        order_id: &OrderId,
        told: Early,
    ) -> Result<(), HandlerError> {
        if let Some((owner, contact)) = store::owner(tx, order_id).await? {
            let contact = contact.ok_or_else(|| NoContact(owner.customer_id.clone()))?;
            let all = [told];
            return self
                .write(tx, &owner.into(), &contact, order_id, &all)
                .await;
        }
        match store::wait_for_owner(tx, order_id, &told).await? {
            Some(owner) => self.tell(tx, &owner.into(), order_id, &[told]).await,
            None => Ok(()),
        }
    }

    async fn tell(
        &self,
        tx: &mut Connection,
        customer: &Customer,
        order_id: &OrderId,
        all: &[Early],
    ) -> Result<(), HandlerError> {
        let contact = store::contact(tx, &customer.id).await?;
        let contact = contact.ok_or_else(|| NoContact(customer.id.clone()))?;
        self.write(tx, customer, &contact, order_id, all).await
    }

    /// Writes a notification for each news and each channel of the customer.
    async fn write(
        &self,
        tx: &mut Connection,
        customer: &Customer,
        contact: &Contact,
        order_id: &OrderId,
        all: &[Early],
    ) -> Result<(), HandlerError> {
        let about = About {
            name: &contact.name,
            locale: &contact.locale,
            order_id,
            currency: customer.currency,
        };
        let now = micros_since_epoch(self.clock.now());
        for Early { event_id, news } in all {
            let text = self.texts.render(news, &about);
            let text = text.map_err(HandlerError::permanent)?;
            for (channel, recipient) in contact.ways() {
                let written = Written {
                    event_id,
                    channel,
                    user_id: &customer.id,
                    order_id,
                    news: news.name(),
                    recipient,
                    text: &text,
                    now,
                };
                store::insert(tx, &written).await?;
            }
        }
        Ok(())
    }
}
