//! `/api/v1/auth`, `/api/v1/users` and `/.well-known/jwks.json`.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use commerce_chassis::{
    Caller, JsonBody, OpenApiRouter, PathParam, Problem, Refused, routes, utoipa,
};
use commerce_contracts::{Channel, Role};
use serde::{Deserialize, Serialize};

use crate::{
    desk::{Desk, Grant},
    rotation::{ANNOUNCED, TOKEN_LIFETIME},
    secret::Secret,
    user::{Registration, User},
};

pub(crate) fn router(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(me))
        .routes(routes!(set_roles))
        .routes(routes!(jwks))
        .with_state(desk)
}

#[derive(Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
struct Login {
    email: String,
    #[schema(value_type = String)]
    password: Secret,
}

#[derive(Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
struct RefreshToken {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

/// Tokens of a session.
#[derive(Serialize, utoipa::ToSchema)]
struct Tokens {
    #[schema(value_type = String)]
    access_token: Secret,
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: u64,
    /// Replaces the refresh token that was sent.
    #[schema(value_type = String)]
    refresh_token: Secret,
    user_id: String,
}

/// A user.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = User)]
struct Shown {
    user_id: String,
    email: String,
    phone: Option<String>,
    display_name: String,
    locale: String,
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    #[schema(value_type = Vec<String>)]
    channels: Vec<Channel>,
}

#[derive(Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
struct Roles {
    /// `customer`, `operator`, or both.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
}

/// Registers a customer.
#[utoipa::path(post, path = "/api/v1/auth/register", operation_id = "register", tag = "identity",
    request_body = Registration, responses((status = CREATED, body = Shown), Refused))]
async fn register(
    State(desk): State<Desk>,
    JsonBody(registration): JsonBody<Registration>,
) -> Result<Response, Problem> {
    let user = desk.register(registration).await?;
    Ok((StatusCode::CREATED, Json(Shown::of(user))).into_response())
}

/// Lets a user in. After five wrong passwords, the login is locked for a while.
#[utoipa::path(post, path = "/api/v1/auth/login", operation_id = "login", tag = "identity",
    request_body = Login, responses((status = OK, body = Tokens), Refused))]
async fn login(
    State(desk): State<Desk>,
    JsonBody(login): JsonBody<Login>,
) -> Result<Response, Problem> {
    let grant = desk.log_in(&login.email, login.password, desk.now());
    Ok(tokens(grant.await?))
}

/// Replaces a refresh token by its successor. A token that comes again later than 20 s after its
/// first use ends the session.
#[utoipa::path(post, path = "/api/v1/auth/refresh", operation_id = "refresh", tag = "identity",
    request_body = RefreshToken, responses((status = OK, body = Tokens), Refused))]
async fn refresh(
    State(desk): State<Desk>,
    JsonBody(body): JsonBody<RefreshToken>,
) -> Result<Response, Problem> {
    let grant = desk.refresh(&body.refresh_token, desk.now());
    Ok(tokens(grant.await?))
}

/// Ends the session of a refresh token.
#[utoipa::path(post, path = "/api/v1/auth/logout", operation_id = "logout", tag = "identity",
    request_body = RefreshToken, responses((status = NO_CONTENT), Refused))]
async fn logout(
    State(desk): State<Desk>,
    JsonBody(body): JsonBody<RefreshToken>,
) -> Result<StatusCode, Problem> {
    desk.log_out(&body.refresh_token, desk.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The user of the token.
#[utoipa::path(get, path = "/api/v1/users/me", operation_id = "me", tag = "identity",
    responses((status = OK, body = Shown), Refused))]
async fn me(State(desk): State<Desk>, caller: Caller) -> Result<Json<Shown>, Problem> {
    let Some(id) = caller.user_id() else {
        return Err(Problem::unauthenticated(
            "token-missing",
            "without a token, you are nobody",
        ));
    };
    Ok(Json(Shown::of(desk.find(id).await?)))
}

/// Gives a user these roles, from the next access token on.
#[utoipa::path(put, path = "/api/v1/users/{id}/roles", operation_id = "set_roles", tag = "identity",
    params(("id" = String, Path)), request_body = Roles, responses((status = OK, body = Shown), Refused))]
async fn set_roles(
    State(desk): State<Desk>,
    caller: Caller,
    PathParam(id): PathParam,
    JsonBody(body): JsonBody<Roles>,
) -> Result<Json<Shown>, Problem> {
    caller.require_operator()?;
    Ok(Json(Shown::of(
        desk.set_roles(&caller, &id, body.roles).await?,
    )))
}

/// The public keys of access tokens (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "jwks", tag = "identity",
    responses((status = OK, body = serde_json::Value), Refused))]
async fn jwks(State(desk): State<Desk>) -> Response {
    // A new key is published for longer than any cache keeps the old set.
    let cached = format!("public, max-age={}", ANNOUNCED.as_secs() / 12);
    let headers = [(header::CACHE_CONTROL, cached)];
    (headers, Json(desk.keys().published().to_json())).into_response()
}

fn tokens(grant: Grant) -> Response {
    let tokens = Tokens {
        access_token: grant.access_token,
        token_type: "Bearer",
        expires_in: TOKEN_LIFETIME.as_secs(),
        refresh_token: grant.refresh_token,
        user_id: grant.user.id,
    };
    let private = HeaderValue::from_static("no-store");
    ([(header::CACHE_CONTROL, private)], Json(tokens)).into_response()
}

impl Shown {
    fn of(user: User) -> Self {
        Self {
            user_id: user.id,
            email: user.email,
            phone: user.phone,
            display_name: user.display_name,
            locale: user.locale,
            roles: user.roles,
            channels: user.channels,
        }
    }
}
