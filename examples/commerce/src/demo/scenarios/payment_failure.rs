//! The card is declined: the held stock is given back.

use super::super::stage::Stage;
use crate::error::Failure;

pub(in super::super) async fn run(stage: &mut Stage) -> Result<(), Failure> {
    stage
        .story
        .step("A customer orders, with a card that is declined")?;
    let Some(order) = stage.place(&[("SKU-002", 1)], "pm_declined").await? else {
        return Ok(());
    };

    stage
        .story
        .step("The stock was held before the card was asked for: the saga undoes it")?;
    let way = ["placed", "stock_reserved", "cancelling", "cancelled"];
    let Some(shown) = stage.follow(&order, &way).await? else {
        return Ok(());
    };
    stage.story.expect(
        "the reason says that the payment was declined",
        shown.reason().starts_with("payment_declined"),
    )?;

    stage.story.step("Nothing is left of it")?;
    let held = stage.balance(&order, "held").await?;
    stage.story.expect("no money is held", held == 0)?;
    let parcel = stage.see(&format!("/api/v1/shipments/{order}")).await?;
    stage.story.expect("there is no parcel", parcel.is_null())?;
    let timeline = stage
        .see(&format!("/api/v1/orders/{order}/timeline"))
        .await?;
    stage
        .story
        .expect("the saga is undone", timeline["run"]["status"] == "undone")
}
