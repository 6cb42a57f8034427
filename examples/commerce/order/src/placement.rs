//! Places orders: many in one transaction, at most one per idempotency key.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use commerce_chassis::{Batch, Cause, Db, Entries, Journal, Problem, Result, ServiceBuilder};
use commerce_contracts::{Currency, OrderId, OrderPlaced, Sku};
use mainstay_clock::IdGenerator;
use mainstay_database::Transactions;
use serde::Serialize;
use std::sync::Arc;

use crate::{
    pricing::{Price, quote},
    request::{Placement, clip, invalid},
    status::{Progress, Status},
    store::{self, Answered, Change, Details, Order},
};

/// An order that was placed now, or earlier under the same key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    pub(crate) order_id: OrderId,
    /// The body to answer with.
    pub(crate) answer: String,
    /// Whether the order was placed earlier.
    pub(crate) replayed: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    order_id: &'a OrderId,
    status: &'a str,
}

/// Places orders.
#[derive(Debug)]
pub(crate) struct Placing {
    db: Db,
    journal: Journal,
    ids: Arc<dyn IdGenerator>,
}

impl Placing {
    pub(crate) fn new(builder: &ServiceBuilder) -> Self {
        Self {
            db: builder.db().clone(),
            journal: builder.journal().clone(),
            ids: Arc::clone(builder.ids()),
        }
    }
}

/// The prices and customers of a group of requests.
struct Known {
    prices: HashMap<(Sku, Currency), Price>,
    customers: HashSet<String>,
}

#[async_trait]
impl Batch for Placing {
    type Request = Placement;
    type Answer = Result<Placed, Problem>;

    async fn run(&self, requests: &[Placement]) -> Result<Vec<Self::Answer>> {
        let mut tx = self.db.begin().await?;
        let keys: Vec<&str> = requests.iter().map(|request| &*request.key).collect();
        let mut answered = store::answered(&mut tx, &keys).await?;
        let orders = requests.iter().map(|placement| &placement.request);
        let skus = orders.clone().flat_map(|order| &order.lines);
        let skus = skus.map(|line| &line.sku);
        let customers = orders.map(|order| &*order.customer_id);
        // No name contains a NUL, and PostgreSQL refuses a parameter with one.
        let skus = skus.filter(|sku| !sku.as_str().contains('\0')).collect();
        let customers = customers.filter(|id| !id.contains('\0')).collect();
        let known = Known {
            prices: store::prices(&mut tx, &skus).await?,
            customers: store::customers(&mut tx, &customers).await?,
        };

        let mut placed: Vec<(&str, Order)> = Vec::new();
        let answers = requests
            .iter()
            .map(|placement| {
                if let Some(earlier) = answered.get(&placement.key) {
                    return replay(earlier, placement);
                }
                let order = known.price(placement, OrderId::new(self.ids.uuid().to_string()))?;
                let given = answer(&order, placement);
                let now_placed = Placed {
                    order_id: given.order_id.clone(),
                    answer: given.answer.clone(),
                    replayed: false,
                };
                answered.insert(placement.key.clone(), given);
                placed.push((&placement.key, order));
                Ok(now_placed)
            })
            .collect();
        if placed.is_empty() {
            return Ok(answers);
        }

        let mut entries = self.journal.entries();
        for (_, order) in &mut placed {
            emit(&mut entries, order)?;
        }
        let now = self.journal.now();
        let orders: Vec<&Order> = placed.iter().map(|(_, order)| order).collect();
        store::insert(&mut tx, &orders, now).await?;
        store::write_history(&mut tx, &first_changes(&orders), now).await?;
        let given: Vec<_> = placed
            .iter()
            .filter_map(|(key, _)| Some((*key, answered.get(*key)?)))
            .collect();
        store::answer(&mut tx, &given, now).await?;
        entries.write(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(answers)
    }
}

fn emit(entries: &mut Entries<'_>, order: &mut Order) -> Result<()> {
    let event = OrderPlaced {
        order_id: order.id.clone(),
        customer_id: order.customer_id.clone(),
        currency: order.currency,
        lines: order.details.lines.clone(),
        subtotal_minor: order.details.subtotal,
        shipping_minor: order.details.shipping,
        tax_minor: order.details.tax,
        discount_minor: order.details.discount,
        total_minor: order.total,
        ship_to: order.details.ship_to.clone(),
    };
    entries.emit(
        order.id.as_str(),
        &mut order.emitted,
        &event,
        Cause::default(),
    )
}

fn replay(earlier: &Answered, placement: &Placement) -> Result<Placed, Problem> {
    if earlier.request != placement.text {
        return Err(invalid(
            "idempotency-key-reused",
            "This Idempotency-Key was used for another request",
            "use a new key for a new request",
        ));
    }
    Ok(Placed {
        order_id: earlier.order_id.clone(),
        answer: earlier.answer.clone(),
        replayed: true,
    })
}

fn answer(order: &Order, placement: &Placement) -> Answered {
    let body = Answer {
        order_id: &order.id,
        status: Status::Placed.name(),
    };
    Answered {
        request: placement.text.clone(),
        order_id: order.id.clone(),
        // Two texts always serialise.
        answer: serde_json::to_string(&body).unwrap_or_default(),
    }
}

fn first_changes(orders: &[&Order]) -> Vec<Change> {
    orders
        .iter()
        .map(|order| Change {
            order_id: order.id.clone(),
            number: 1,
            status: Status::Placed,
            reason: None,
        })
        .collect()
}

impl Known {
    fn price(&self, placement: &Placement, order_id: OrderId) -> Result<Order, Problem> {
        let request = &placement.request;
        if !self.customers.contains(&request.customer_id) {
            return Err(invalid(
                "unknown-customer",
                "There is no such customer",
                format!("{:?}", clip(&request.customer_id)),
            ));
        }
        let mut lines = Vec::with_capacity(request.lines.len());
        for line in &request.lines {
            let price = self
                .prices
                .get(&(line.sku.clone(), placement.currency))
                .ok_or_else(|| {
                    invalid(
                        "unknown-sku",
                        "There is no such product",
                        format!("{:?}", clip(line.sku.as_str())),
                    )
                })?;
            lines.push((line.sku.clone(), line.quantity, *price));
        }
        let quote = quote(lines).map_err(|error| {
            invalid(
                "amount-overflow",
                "The amount is too large",
                error.to_string(),
            )
        })?;
        Ok(Order {
            id: order_id,
            customer_id: request.customer_id.clone(),
            currency: placement.currency,
            total: quote.total,
            details: Details {
                lines: quote.lines,
                subtotal: quote.subtotal,
                shipping: quote.shipping,
                tax: quote.tax,
                discount: quote.discount,
                payment_method: request.payment_method.clone(),
                ship_to: request.ship_to.clone(),
            },
            progress: Progress {
                status: Status::Placed,
                awaiting: [].into(),
            },
            changes: 1,
            emitted: 0,
        })
    }
}
