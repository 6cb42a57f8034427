//! The live counts against the facts, for `commerce verify`.

use commerce_chassis::{Result, Snapshot};

use crate::{
    counts::{Counts, Dimension},
    fact::Fact,
    store::{self, Counted},
};

/// Counts that a rebuild would write, against the live ones.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Comparison {
    /// The orders with facts.
    pub facts: usize,
    /// The counts that are not zero.
    pub counts: usize,
    /// The hash of the live counts.
    pub live_hash: String,
    /// The hash of what a rebuild would write.
    pub rebuilt_hash: String,
    /// Each count that differs, as a text for people; empty if the hashes are equal.
    pub differences: Vec<String>,
}

/// Counts again from the facts in a snapshot of the service's database, and compares with the live
/// counts. A snapshot is of one moment, so it may be taken of a running service.
///
/// # Errors
/// The tables cannot be read, or a row is damaged.
pub async fn compare(snapshot: &mut Snapshot) -> Result<Comparison> {
    let facts: Vec<Fact> = snapshot.all("SELECT * FROM fact_orders").await?;
    let live: Vec<Counted> = snapshot
        .all(
            "SELECT day, dimension, currency, member, orders, pieces, amount_minor FROM daily_sales WHERE generation = (SELECT live FROM projection)",
        )
        .await?;
    let live = store::read_counts(live)?;
    let mut rebuilt = Counts::default();
    for fact in &facts {
        rebuilt.add_order(fact);
    }
    Ok(Comparison {
        facts: facts.len(),
        counts: rebuilt.len(),
        live_hash: live.hash(),
        rebuilt_hash: rebuilt.hash(),
        differences: differences(&live, &rebuilt),
    })
}

fn differences(live: &Counts, rebuilt: &Counts) -> Vec<String> {
    let of_live = live.iter().map(|(cell, _)| cell);
    let missing = rebuilt.iter().map(|(cell, _)| cell);
    let missing = missing.filter(|cell| live.get(cell).is_none());
    let cells = of_live.chain(missing);
    let wrong = cells.filter(|cell| live.get(cell) != rebuilt.get(cell));
    let text = |cell: &crate::counts::Cell| {
        let (is, should_be) = (live.get(cell), rebuilt.get(cell));
        let (is, should_be) = (is.copied().unwrap_or_default(), should_be.copied());
        let should_be = should_be.unwrap_or_default();
        let what = match cell.dimension {
            Dimension::Status => "status",
            Dimension::Sku => "product",
            Dimension::Stage => "stage",
        };
        format!(
            "{} {what} {} in {}: {} orders, {} pieces, {} minor units; by the facts {}, {}, {}",
            cell.day,
            cell.member,
            cell.currency,
            is.orders,
            is.pieces,
            is.amount_minor,
            should_be.orders,
            should_be.pieces,
            should_be.amount_minor
        )
    };
    wrong.map(text).collect()
}
