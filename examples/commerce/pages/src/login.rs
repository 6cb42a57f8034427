//! `/login`: a session of a person. The access token is kept in a cookie that no script reads.

use axum::{
    Form, Router,
    extract::State,
    http::{StatusCode, header::SET_COOKIE},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use maud::html;
use serde::Deserialize;
use serde_json::json;

use crate::{
    Pages,
    page::{Area, Page, Refusal},
    visit::{ACCESS, CUSTOMER, Visit, cookie, forgotten, lasting},
};

pub(crate) fn router() -> Router<Pages> {
    Router::new()
        .route("/login", get(form).post(enter))
        .route("/logout", post(leave))
}

async fn form(visit: Visit) -> Page {
    let body = html! {
        @if visit.has_session() {
            form method="post" action="/logout" { p { "You are logged in as " (visit.customer()) ". " button.quiet { "Log out" } } }
        }
        h1 { "Log in" }
        form.counter method="post" action="/login" {
            label { "E-mail" input name="email" type="email" required maxlength="200" autocomplete="username"; }
            label { "Password" input name="password" type="password" required maxlength="200" autocomplete="current-password"; }
            div.buttons { button { "Log in" } }
        }
        p.fine { "The banner of the shop names the customers and the operator that are there from the start." }
    };
    Page::new(Area::Shop, "/login", "Log in", body)
}

#[derive(Deserialize)]
struct Login {
    email: String,
    password: String,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    /// Seconds.
    expires_in: u64,
    user_id: String,
}

async fn enter(
    State(pages): State<Pages>,
    visit: Visit,
    Form(login): Form<Login>,
) -> Result<Response, Refusal> {
    let login = json!({"email": login.email, "password": login.password});
    let answer = pages.api.post(&visit, "/api/v1/auth/login", None, &login);
    let tokens: Tokens = serde_json::from_slice(&answer.await?.body).map_err(|error| {
        let title = "The answer is no session";
        Refusal::new(StatusCode::BAD_GATEWAY, title, error.to_string())
    })?;
    let access = lasting(ACCESS, &tokens.access_token, tokens.expires_in);
    let cookies = AppendHeaders([
        (SET_COOKIE, access),
        (SET_COOKIE, cookie(CUSTOMER, &tokens.user_id)),
    ]);
    Ok((cookies, Redirect::to("/")).into_response())
}

async fn leave() -> Response {
    let cookies = AppendHeaders([(SET_COOKIE, forgotten(ACCESS))]);
    (cookies, Redirect::to("/")).into_response()
}
