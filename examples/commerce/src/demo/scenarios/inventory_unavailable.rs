//! The stock is short: the first step is refused, so nothing is to undo.

use super::super::stage::Stage;
use crate::error::Failure;

/// Few pieces of it exist, and no customer takes all of them.
const SCARCE: &str = "SKU-199";

pub(in super::super) async fn run(stage: &mut Stage) -> Result<(), Failure> {
    stage
        .story
        .step("A customer orders a thousand pieces of what is scarce")?;
    let before = stage.see(&format!("/api/v1/stock/{SCARCE}")).await?;
    let Some(order) = stage.place(&[(SCARCE, 1_000)], "pm_ok").await? else {
        return Ok(());
    };

    stage
        .story
        .step("Inventory refuses, and the order is cancelled")?;
    let way = ["placed", "cancelling", "cancelled"];
    let Some(shown) = stage.follow(&order, &way).await? else {
        return Ok(());
    };
    stage.story.expect(
        "the reason names the shortage",
        shown.reason().starts_with("out_of_stock") && shown.reason().contains(SCARCE),
    )?;

    stage.story.step("Nobody else was asked")?;
    let payment = stage.see(&format!("/api/v1/payments/{order}")).await?;
    stage
        .story
        .expect("there is no payment", payment.is_null())?;
    let after = stage.see(&format!("/api/v1/stock/{SCARCE}")).await?;
    stage.story.expect(
        "the stock is as before",
        after["on_hand"] == before["on_hand"] && after["reserved"] == before["reserved"],
    )
}
