//! Records what happened to orders: their streams, their rows, and what other services hear.

use commerce_chassis::{Connection, Outbox, Result, Streams};
use commerce_contracts::{Money, OrderId};
use mainstay_eventstore::{EventStore as _, Loaded, Recorded};
use mainstay_inbox::HandlerError;
use mainstay_messaging::{Cause, Message, envelope::micros_since_epoch};
use mainstay_outbox::{Entry, Outbox as _};

use crate::{
    announcement,
    order::{CameBack, Illegal, Order, OrderEvent, Placed, ReturnRefunded},
    view,
};

/// The streams of orders, with the view and the outbox beside them. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    streams: Streams,
    outbox: Outbox,
}

/// What happened to an order.
#[derive(Debug)]
pub(crate) struct Happened<'a> {
    pub(crate) id: &'a str,
    pub(crate) events: Vec<OrderEvent>,
    /// What others hear of it belongs to this trace.
    pub(crate) cause: Cause,
}

impl Orders {
    pub(crate) const fn new(streams: Streams, outbox: Outbox) -> Self {
        Self { streams, outbox }
    }

    pub(crate) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The id of a new order.
    pub(crate) fn new_id(&self) -> OrderId {
        OrderId::new(self.outbox.origin().ids().uuid().to_string())
    }

    /// The id of a new return.
    pub(crate) fn new_return_id(&self) -> String {
        format!("return-{}", self.outbox.origin().ids().uuid())
    }

    /// Begins the stream of an order.
    pub(crate) async fn place(&self, connection: &mut Connection, placed: Placed) -> Result<()> {
        let (id, now) = (placed.order_id.clone(), self.now());
        view::insert(connection, &placed, now).await?;
        let event = OrderEvent::from(placed);
        let order: Loaded<Order> = self
            .streams
            .create(connection, id.as_str(), [event.clone()])
            .await?;
        self.announce(connection, &order, &event, now).await
    }

    /// Loads an order.
    pub(crate) async fn load(
        &self,
        connection: &mut Connection,
        id: &str,
    ) -> Result<Loaded<Order>> {
        Ok(self.streams.load(connection, id).await?)
    }

    /// Appends events to the streams of several orders. Here sets of rows are written: with statements
    /// of their own for each event, orders took a fifth of all statements of the shop.
    pub(crate) async fn record_batch(
        &self,
        connection: &mut Connection,
        happened: Vec<Happened<'_>>,
    ) -> Result<(), HandlerError> {
        if happened.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = happened.iter().map(|happened| happened.id).collect();
        let loaded: Vec<Loaded<Order>> = self.streams.load_batch(connection, &ids).await?;
        let (now, mut heard) = (self.now(), Vec::new());
        let mut changes = Vec::with_capacity(loaded.len());
        for (loaded, happened) in loaded.into_iter().zip(happened) {
            let mut order = Order::clone(&loaded);
            for event in &happened.events {
                order.accept(event).map_err(HandlerError::permanent)?;
                if let Some(announced) = announcement::of(&order, event, now) {
                    let message = async { self.outbox.message(&*announced) };
                    heard.push(happened.cause.clone().scope(message).await?);
                }
            }
            changes.push((loaded, happened.events));
        }
        self.streams.append_batch(connection, &mut changes).await?;
        let orders: Vec<&Loaded<Order>> = changes.iter().map(|(order, _)| order).collect();
        view::update_all(connection, &orders, now).await?;
        self.announce_all(connection, &heard).await
    }

    /// Appends events to the stream of a loaded order. Roll back if it does not allow one of them.
    pub(crate) async fn append(
        &self,
        connection: &mut Connection,
        mut loaded: Loaded<Order>,
        happened: Vec<OrderEvent>,
    ) -> Result<Result<(), Illegal>> {
        let now = self.now();
        let mut order = Order::clone(&loaded);
        for event in &happened {
            if let Err(illegal) = order.accept(event) {
                return Ok(Err(illegal));
            }
            self.announce(connection, &order, event, now).await?;
        }
        let id = loaded.id().to_owned();
        let appended = self.streams.append(connection, &id, &mut loaded, happened);
        appended.await?;
        view::update(connection, &loaded, now).await?;
        Ok(Ok(()))
    }

    /// The carrier has brought the parcel back. The order asks for its money once.
    pub(crate) async fn came_back(
        &self,
        connection: &mut Connection,
        id: &OrderId,
    ) -> Result<(), HandlerError> {
        let return_id = format!("return-{id}");
        let order = self.load(connection, id.as_str()).await?;
        if order.returned(&return_id).is_some() {
            return Ok(());
        }
        let came_back = vec![CameBack { return_id }.into()];
        let appended = self.append(connection, order, came_back).await?;
        appended.map_err(HandlerError::permanent)
    }

    /// The money of a return was given back. It is told once.
    pub(crate) async fn refunded(
        &self,
        connection: &mut Connection,
        id: &OrderId,
        return_id: String,
        amount: Money,
    ) -> Result<(), HandlerError> {
        let order = self.load(connection, id.as_str()).await?;
        let returned = order.returned(&return_id);
        if returned.is_some_and(|it| it.refunded.is_some()) {
            return Ok(());
        }
        let refunded = vec![ReturnRefunded { return_id, amount }.into()];
        let appended = self.append(connection, order, refunded).await?;
        appended.map_err(HandlerError::permanent)
    }

    /// The events of an order up to `version`, in order.
    pub(crate) async fn history(
        &self,
        connection: &mut Connection,
        id: &str,
        version: u64,
    ) -> Result<Vec<Recorded<OrderEvent>>> {
        let history = self.streams.history::<Order>(connection, id, 0, version);
        Ok(history.await?)
    }

    async fn announce(
        &self,
        connection: &mut Connection,
        order: &Order,
        event: &OrderEvent,
        now: i64,
    ) -> Result<()> {
        if let Some(announced) = announcement::of(order, event, now) {
            self.outbox.emit(connection, &*announced).await?;
        }
        Ok(())
    }

    async fn announce_all(
        &self,
        connection: &mut Connection,
        heard: &[Message],
    ) -> Result<(), HandlerError> {
        let entries: Vec<Entry<'_>> = heard.iter().map(Entry::new).collect();
        if !entries.is_empty() {
            // Without deduplication keys, each of them is added.
            let _added = self.outbox.enqueue_batch(connection, &entries).await?;
        }
        Ok(())
    }

    /// Microseconds since 1970.
    fn now(&self) -> i64 {
        micros_since_epoch(self.outbox.origin().clock().now())
    }
}
