//! A visitor carries a parcel: scans of it, as the carrier reports them. Only where the process says
//! that the carrier is the simulated one.

use axum::{
    Form, Router,
    extract::{Path, State},
    response::Redirect,
    routing::post,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Pages,
    api::{Api, escaped},
    page::Refusal,
    visit::Visit,
};

/// Takes scans, and says whether it does.
const SCANS: &str = "/console/scans";
/// The simulated carrier leaves parcels to this postcode to the visitor, for ten minutes.
pub(crate) const POSTCODE: &str = "99999";
/// What a courier reports of a parcel that waits for him.
const REPORTS: [(&str, &str); 3] = [
    ("delivered", "It is delivered"),
    ("delivery_failed", "Nobody took it"),
    ("returned", "It came back"),
];
/// The status in which it waits.
const WAITS: &str = "dispatched";

pub(crate) fn router() -> Router<Pages> {
    Router::new().route("/orders/{id}/courier", post(report))
}

/// Whether this visitor may report scans here.
pub(crate) async fn is_open(api: &Api, visit: &Visit) -> bool {
    api.is_there(visit, SCANS).await
}

/// Whether a parcel in this status waits for a courier.
pub(crate) fn waits(status: &str) -> bool {
    status == WAITS
}

/// The buttons for a parcel that waits.
pub(crate) fn buttons(order: &str, tracking_no: &str) -> Markup {
    html! {
        form.courier method="post" action=(format!("/orders/{}/courier", escaped(order))) {
            p.fine { "You are the courier. What happened?" }
            input type="hidden" name="tracking_no" value=(tracking_no);
            div.buttons {
                @for (to, text) in REPORTS { button.back[to != "delivered"] name="status" value=(to) { (text) } }
            }
        }
    }
}

#[derive(Deserialize)]
struct Scan {
    tracking_no: String,
    status: String,
}

async fn report(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    visit: Visit,
    Form(scan): Form<Scan>,
) -> Result<Redirect, Refusal> {
    let told = json!({"tracking_no": scan.tracking_no, "status": scan.status});
    pages.api.post(&visit, SCANS, None, &told).await?;
    Ok(Redirect::to(&format!("/orders/{}", escaped(&id))))
}
