//! Every route of the shop, and who may call it. A route that is not here does not exist outside.

use std::borrow::Cow;

use axum::http::Method;
use commerce_chassis::dead_letter_routes;
use commerce_contracts::SUBSCRIPTIONS;

/// Who may call a route. A service checks further: a customer sees own objects only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everyone.
    Public,
    /// Everyone, but it costs a lot: what a login takes.
    Login,
    /// A party outside that signs its requests; the service checks the signature.
    Signed,
    /// Every user.
    User,
    /// Operators.
    Operator,
}

/// A route.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: Cow<'static, str>,
    /// The service that answers.
    pub service: Cow<'static, str>,
    /// Who may call it.
    pub access: Access,
}

impl Route {
    /// How many requests of a client's limit one request takes.
    pub(crate) const fn cost(&self) -> u32 {
        match self.access {
            Access::Login => 10,
            _ => 1,
        }
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// One row: method, path, service, access.
type Row = (Method, &'static str, &'static str, Access);

/// All routes but those of the dead letter queues.
#[rustfmt::skip] // one route, one row
pub const ROUTES: &[Row] = {
    use Access::{Login, Operator, Public, Signed, User};
    &[
        (POST, "/api/v1/auth/register", "identity", Login),
        (POST, "/api/v1/auth/login", "identity", Login),
        (POST, "/api/v1/auth/refresh", "identity", Public),
        (POST, "/api/v1/auth/logout", "identity", Public),
        (GET, "/api/v1/users/me", "identity", User),
        (PUT, "/api/v1/users/{id}/roles", "identity", Operator),
        (GET, "/.well-known/jwks.json", "identity", Public),

        (GET, "/api/v1/products", "catalog", Public),
        (GET, "/api/v1/products/{id}", "catalog", Public),
        (POST, "/api/v1/products", "catalog", Operator),
        (PUT, "/api/v1/products/{id}", "catalog", Operator),
        (PATCH, "/api/v1/products/{id}", "catalog", Operator),
        (DELETE, "/api/v1/products/{id}", "catalog", Operator),
        (GET, "/api/v1/categories", "catalog", Public),

        (GET, "/api/v1/stock/{sku}", "inventory", Public),
        (POST, "/api/v1/stock/{sku}/adjust", "inventory", Operator),
        (GET, "/api/v1/reservations/{order_id}", "inventory", Operator),

        (POST, "/api/v1/orders", "order", User),
        (GET, "/api/v1/orders", "order", User),
        (GET, "/api/v1/orders/{id}", "order", User),
        (GET, "/api/v1/orders/{id}/events", "order", User),
        (GET, "/api/v1/orders/{id}/timeline", "order", User),
        (POST, "/api/v1/orders/{id}/cancel", "order", User),
        (POST, "/api/v1/orders/{id}/returns", "order", User),
        (GET, "/api/v1/sagas", "order", Operator),
        (GET, "/api/v1/sagas/counts", "order", Operator),
        (GET, "/api/v1/sagas/{run}", "order", Operator),
        (POST, "/api/v1/sagas/{run}/retry", "order", Operator),
        (POST, "/api/v1/sagas/{run}/skip", "order", Operator),
        (POST, "/api/v1/sagas/{run}/cancel", "order", Operator),

        (GET, "/api/v1/payments/{order_id}", "payment", User),
        (GET, "/api/v1/payments/{order_id}/ledger", "payment", User),
        (GET, "/api/v1/ledger/{order_id}", "payment", User),
        (POST, "/api/v1/payments/{order_id}/refunds", "payment", Operator),
        (POST, "/api/v1/webhooks/psp", "payment", Signed),

        (GET, "/api/v1/shipments/{order_id}", "shipping", User),
        (GET, "/api/v1/track/{tracking_no}", "shipping", Public),
        (POST, "/api/v1/webhooks/carrier", "shipping", Signed),

        (GET, "/api/v1/notifications", "notification", User),
        (GET, "/api/v1/notifications/{id}", "notification", User),
        (POST, "/api/v1/notifications/{id}/resend", "notification", User),
        (PUT, "/api/v1/preferences", "notification", User),

        (GET, "/api/v1/reports/sales", "analytics", Operator),
        (GET, "/api/v1/reports/funnel", "analytics", Operator),
        (GET, "/api/v1/reports/export.csv", "analytics", Operator),
        (GET, "/api/v1/reports/rebuild", "analytics", Operator),
        (POST, "/api/v1/reports/rebuild", "analytics", Operator),
    ]
};

/// All routes.
pub fn routes() -> impl Iterator<Item = Route> {
    let rows = ROUTES.iter().map(|(method, path, service, access)| Route {
        method: method.clone(),
        path: (*path).into(),
        service: (*service).into(),
        access: *access,
    });
    let mut with_inbox: Vec<_> = SUBSCRIPTIONS.iter().map(|it| it.service).collect();
    with_inbox.sort_unstable();
    with_inbox.dedup();
    let queues = with_inbox.into_iter().flat_map(|service| {
        dead_letter_routes().map(move |(method, path)| Route {
            method,
            path: format!("/api/v1/dlq/{service}{path}").into(),
            service: service.into(),
            access: Access::Operator,
        })
    });
    rows.chain(queues)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_route_has_one_row() {
        let mut seen = HashSet::new();
        for route in routes() {
            let (method, path) = (route.method, route.path);
            assert!(
                seen.insert((method.clone(), path.clone())),
                "{method} {path}"
            );
        }
    }
}
