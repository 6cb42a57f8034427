//! What all pages have in common: the frame, and how failures look.

use axum::{
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

use crate::{
    api::Failed,
    visit::{ACCESS, forgotten},
};

/// The part of the site that a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Area {
    Shop,
    Tour,
    Ops,
}

/// The pages of operators, in the order of their menu.
const OPS: [(&str, &str); 7] = [
    ("/ops", "Overview"),
    ("/ops/orders", "Orders"),
    ("/ops/sagas", "Sagas"),
    ("/ops/dead-letters", "Dead letters"),
    ("/ops/invariants", "Invariants"),
    ("/ops/acts", "Acts"),
    ("/ops/health", "Health"),
];

/// A page before it is framed.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) area: Area,
    /// The path of the entry of the menu that it belongs to.
    pub(crate) at: &'static str,
    /// Seconds after which a browser without JavaScript asks again.
    pub(crate) refresh: Option<u32>,
    pub(crate) body: Markup,
}

impl Page {
    /// A page of the shop.
    pub(crate) fn new(
        area: Area,
        at: &'static str,
        title: impl Into<String>,
        body: Markup,
    ) -> Self {
        Self {
            title: title.into(),
            area,
            at,
            refresh: None,
            body,
        }
    }

    /// Has a browser without JavaScript ask again.
    pub(crate) const fn refreshed(mut self, seconds: u32) -> Self {
        self.refresh = Some(seconds);
        self
    }

    fn framed(&self) -> Markup {
        let current = |path: &str| (self.at == path).then_some("page");
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · mainstay shop" }
                    link rel="stylesheet" href="/assets/pages.css";
                    link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                    script src="/assets/live.js" defer {}
                    @if let Some(seconds) = self.refresh {
                        noscript { meta http-equiv="refresh" content=(seconds); }
                    }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        a.name href="/" { "mainstay shop" }
                        nav aria-label="Site" {
                            a href="/" aria-current=[current("/")] { "Shop" }
                            a href="/tour" aria-current=[current("/tour")] { "Tour" }
                            a href="/ops" aria-current=[(self.area == Area::Ops).then_some("true")] { "Operators" }
                            a href="/login" aria-current=[current("/login")] { "Log in" }
                        }
                    }
                    @if self.area == Area::Ops {
                        nav.sub aria-label="Operators" {
                            @for (path, name) in OPS {
                                a href=(path) aria-current=[current(path)] { (name) }
                            }
                        }
                    }
                    main id="main" { (self.body) }
                }
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        // What a page shows changes all the time.
        ([(header::CACHE_CONTROL, "no-store")], self.framed()).into_response()
    }
}

/// A page that says why there is no other one, or where to go on.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    title: String,
    detail: String,
    retry_after: Option<String>,
}

impl Refusal {
    /// There is no such thing.
    pub(crate) fn nothing(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such thing", what)
    }

    /// The form cannot be taken as it is.
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The form is not complete",
            why,
        )
    }

    pub(crate) fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title: title.to_owned(),
            detail: detail.into(),
            retry_after: None,
        }
    }
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused {
                status,
                problem,
                retry_after,
            } => Self {
                status,
                title: problem.title,
                detail: problem.detail,
                retry_after,
            },
            failed => {
                tracing::warn!(error = &failed as &dyn std::error::Error, "a page failed");
                Self::new(
                    StatusCode::BAD_GATEWAY,
                    "The services did not answer",
                    failed.to_string(),
                )
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = html! {
            h1 { (self.title) }
            p { (self.detail) }
            @if self.status == StatusCode::UNAUTHORIZED { p { a href="/login" { "Log in" } } }
            p { a href="/" { "To the shop" } " · " a href="/ops" { "to the operators' pages" } }
        };
        let page = Page::new(Area::Shop, "", self.title.clone(), body);
        // A token that is refused would be refused again, even where none is needed.
        let is_unknown = self.status == StatusCode::UNAUTHORIZED;
        let cookies = is_unknown.then(|| AppendHeaders([(header::SET_COOKIE, forgotten(ACCESS))]));
        let mut response = (self.status, cookies, page).into_response();
        let seconds = self.retry_after.and_then(|seconds| seconds.parse().ok());
        if let Some(seconds) = seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// A part of a page that could not be had, or is not there yet.
pub(crate) fn absent<T>(part: &Result<Option<T>, Failed>, nothing: &str) -> Markup {
    match part {
        Err(Failed::Refused { status, .. }) if *status == StatusCode::FORBIDDEN => {
            html! { p.idle { "Only operators see this." } }
        }
        Err(failed) => html! { p.trouble role="status" { "Not to be had now: " (failed) } },
        Ok(_) => html! { p.idle { (nothing) } },
    }
}
