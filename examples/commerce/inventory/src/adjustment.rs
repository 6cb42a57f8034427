//! Adjusts stock by hand: goods that came, or that are not on the shelf. One key is one movement.

use axum::http::StatusCode;
use commerce_chassis::{Connection, Problem, utoipa};
use commerce_contracts::Sku;
use mainstay_idempotency::{Answer, http};
use mainstay_outbox::Outbox as _;
use serde::Deserialize;

use crate::{handlers::Inventory, http::Shown, store};

/// A movement of stock on hand.
#[derive(Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
#[schema(as = StockAdjustment)]
pub(crate) struct Body {
    /// Pieces that came; negative: pieces that are gone.
    quantity: i64,
}

/// A movement that can be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Adjustment {
    sku: Sku,
    key: String,
    quantity: i64,
}

impl Adjustment {
    pub(crate) fn read(sku: Sku, key: String, body: &Body) -> Result<Self, Problem> {
        let most = store::MOST_ON_HAND;
        let quantity = body.quantity;
        if quantity == 0 || !(-most..=most).contains(&quantity) {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-quantity",
                "So many pieces cannot move",
                format!("quantity: 1 to {most}, positive or negative"),
            ));
        }
        Ok(Self { sku, key, quantity })
    }
}

/// Moves the stock, and tells its level. A commit makes it one with its answer.
pub(crate) async fn adjust(
    tx: &mut Connection,
    adjustment: &Adjustment,
    inventory: &Inventory,
) -> Result<Answer, http::Problem> {
    let Adjustment { sku, key, quantity } = adjustment;
    store::lock(tx).await?;
    // The answer to a key is kept for a day, its movement for ever.
    let key = format!("adjust:{key}");
    if !store::moved(tx, &key, sku.as_str(), *quantity, inventory.now()).await? {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "movement-known",
            "The movement was made before",
            "the key was used more than a day ago: use a new key for a new movement",
        )
        .into());
    }
    let adjusted = store::adjust(tx, sku, *quantity).await?;
    let Some(item) = store::item(tx, sku.as_str()).await? else {
        return Err(Problem::not_found("there is no such product").into());
    };
    let Some(level) = adjusted else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "stock-reserved",
            "So many pieces cannot move",
            format!(
                "{} of {} pieces are reserved for orders, and at most {} fit in",
                item.reserved,
                item.on_hand,
                store::MOST_ON_HAND
            ),
        )
        .into());
    };
    let changed = level.event("adjusted");
    inventory.outbox().emit(tx, &changed).await?;
    let shown = Shown::of(sku.to_string(), &item);
    Ok(Answer::json(StatusCode::OK, &shown)?)
}
