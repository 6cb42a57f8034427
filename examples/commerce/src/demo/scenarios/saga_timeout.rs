//! The payment provider says nothing: the saga gives up after a minute, and undoes what may have been
//! done.

use super::super::stage::Stage;
use crate::error::Failure;

pub(in super::super) async fn run(stage: &mut Stage) -> Result<(), Failure> {
    stage
        .story
        .step("A customer orders, and the payment provider will stay silent")?;
    let Some(order) = stage.place(&[("SKU-003", 1)], "pm_silent").await? else {
        return Ok(());
    };

    stage
        .story
        .step("The saga waits a minute for an answer, and then undoes")?;
    let way = ["placed", "stock_reserved", "cancelling", "cancelled"];
    let Some(shown) = stage.follow(&order, &way).await? else {
        return Ok(());
    };
    stage.story.expect(
        "the reason is the time",
        shown.reason().starts_with("timed_out"),
    )?;

    stage
        .story
        .step("Nobody knows what the provider did, so the payment was voided, too")?;
    let held = stage.balance(&order, "held").await?;
    stage.story.expect("no money is held", held == 0)?;
    let timeline = stage
        .see(&format!("/api/v1/orders/{order}/timeline"))
        .await?;
    stage
        .story
        .expect("the saga is undone", timeline["run"]["status"] == "undone")
}
