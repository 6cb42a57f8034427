//! The pages for people: the shop, the page of an order, and the operators' console.
//!
//! They are drawn on the server, work without JavaScript, and load nothing from elsewhere. All that
//! they know comes over the HTTP API of the services ([`Api`]), in this process or elsewhere: they
//! know no service.
//!
//! ```
//! use commerce_pages::{Api, Pages};
//! use tokio_util::sync::CancellationToken;
//!
//! # fn services() -> axum::Router { axum::Router::new() }
//! let closing = CancellationToken::new();
//! let index = axum::routing::get(|| async { "what programs see at /" });
//! let router = Pages::new(Api::embedded(services()), index, closing).router();
//! ```
//!
//! | file | what |
//! |---|---|
//! | `shop`, `tour`, `login` | what customers see first |
//! | `order` | the page of an order: lanes, journal, money, parcel, mails, live |
//! | `courier` | a visitor carries a parcel |
//! | `ops` | the operators' console |
//! | `live` | sends the parts of a page that have changed |
//! | `api` | the port to the services |
//! | `page`, `assets` | the frame of a page, its style sheet and its script |
//! | `visit` | who looks, and what of it the services hear |

mod api;
mod assets;
mod courier;
mod listing;
mod live;
mod login;
mod money;
mod ops;
mod order;
mod page;
mod shop;
mod time;
mod tour;
mod visit;

use axum::{
    Router,
    http::{
        HeaderName, HeaderValue,
        header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    routing::MethodRouter,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::{csrf::CsrfLayer, set_header::SetResponseHeaderLayer};

pub use api::{Api, InvalidAddress};

/// Nothing but our own files: no script and no style within a page.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The pages. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Pages {
    api: Api,
    index: MethodRouter,
    closing: CancellationToken,
}

impl Pages {
    /// Pages of what `api` says. At `/`, whoever asks for no page gets `index`. Streams to browsers
    /// end when `closing` is cancelled.
    #[must_use]
    pub const fn new(api: Api, index: MethodRouter, closing: CancellationToken) -> Self {
        Self {
            api,
            index,
            closing,
        }
    }

    /// The routes of the pages. Acts are taken from the pages' own origin only.
    pub fn router(self) -> Router {
        let header = |name: HeaderName, value: &'static str| {
            SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
        };
        let layers = ServiceBuilder::new()
            .layer(header(CONTENT_SECURITY_POLICY, POLICY))
            .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(header(REFERRER_POLICY, "same-origin"))
            .layer(CsrfLayer::new());
        Router::new()
            .merge(shop::router())
            .merge(order::router())
            .merge(courier::router())
            .merge(ops::router())
            .merge(tour::router())
            .merge(login::router())
            .merge(assets::router())
            .layer(layers)
            .with_state(self)
    }
}
