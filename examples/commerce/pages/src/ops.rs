//! `/ops`: what operators see and do. Each act is a POST with a name, a reason and a confirmation,
//! and the service records it.
//!
//! | file | what |
//! |---|---|
//! | `overview` | one row per service; health in detail |
//! | `orders` | search |
//! | `sagas` | runs, and acts on them |
//! | `dead_letters` | what no service could handle: groups, messages, acts |
//! | `invariants` | what has to hold, and the scenarios |
//! | `acts` | who did what, and why |
//! | `act` | what acts have in common |

mod act;
mod acts;
mod dead_letters;
mod invariants;
mod orders;
mod overview;
mod sagas;

use axum::Router;

use crate::Pages;

pub(crate) fn router() -> Router<Pages> {
    Router::new()
        .merge(overview::router())
        .merge(orders::router())
        .merge(sagas::router())
        .merge(dead_letters::router())
        .merge(invariants::router())
        .merge(acts::router())
}
