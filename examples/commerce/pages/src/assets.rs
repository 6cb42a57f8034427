//! The files that pages link to. They are part of the program, so nothing comes from elsewhere.

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    routing::get,
};

const CSS: &str = include_str!("../assets/pages.css");
const JS: &str = include_str!("../assets/live.js");
const ICON: &str = include_str!("../assets/icon.svg");

pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let served = |kind: &'static str, text: &'static str| {
        get(move || async move {
            // A new build may bring a new file under the same name.
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
        })
    };
    Router::new()
        .route("/assets/pages.css", served("text/css; charset=utf-8", CSS))
        .route(
            "/assets/live.js",
            served("text/javascript; charset=utf-8", JS),
        )
        .route("/assets/icon.svg", served("image/svg+xml", ICON))
}
