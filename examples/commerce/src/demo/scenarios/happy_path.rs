//! Every step is done: the order is paid, packed and delivered.

use super::{super::stage::Stage, WHOLE_WAY};
use crate::error::Failure;

pub(in super::super) async fn run(stage: &mut Stage) -> Result<(), Failure> {
    stage
        .story
        .step("A customer orders two pieces, with a card that works")?;
    let Some(order) = stage.place(&[("SKU-001", 2)], "pm_ok").await? else {
        return Ok(());
    };

    stage
        .story
        .step("The saga: stock, money, parcel, then the capture, behind which nothing is undone")?;
    let Some(shown) = stage.follow(&order, &WHOLE_WAY).await? else {
        return Ok(());
    };

    stage
        .story
        .step("Each service has done its part, and says so")?;
    let captured = stage.balance(&order, "provider").await?;
    stage.story.expect(
        "the customer has paid the whole order",
        captured == shown.total_minor,
    )?;
    let parcel = stage.see(&format!("/api/v1/shipments/{order}")).await?;
    stage
        .story
        .expect("the parcel is delivered", parcel["status"] == "delivered")?;
    stage.link(&format!("/api/v1/orders/{order}/events"))?;
    let timeline = stage
        .see(&format!("/api/v1/orders/{order}/timeline"))
        .await?;
    stage.story.expect(
        "the saga is completed",
        timeline["run"]["status"] == "completed",
    )
}
