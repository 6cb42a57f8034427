//! The banner.

use std::{io::Write, net::SocketAddr};

use commerce_chassis::Access;
use commerce_identity::OPERATOR;

use crate::config::{Config, SEED_PASSWORD};

/// Prints to stderr; stdout carries only the line that scripts wait for.
pub(crate) fn show(config: &Config, address: SocketAddr) {
    let text = if config.gateway {
        shop(config, address)
    } else {
        service(config, address)
    };
    // stderr may be closed.
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Of one service alone, which the gateway stands before.
fn service(config: &Config, address: SocketAddr) -> String {
    let services = config.services.join(", ");
    let (access, storage) = (access(config.access), &config.storage);
    format!(
        "
  commerce: {services}
  API       http://{address}/openapi.json
  metrics   http://{address}/metrics
  health    http://{address}/readyz
  access    {access}
  data      {storage}

"
    )
}

const fn access(access: Access) -> &'static str {
    match access {
        Access::Open => "open: no token is needed",
        Access::Required => "required: add -H \"Authorization: Bearer $TOKEN\" to each curl",
    }
}

fn shop(config: &Config, address: SocketAddr) -> String {
    let traffic = config.traffic.map_or_else(
        || "off".to_owned(),
        |every| format!("{:.1} orders/s", 1.0 / every.as_secs_f64()),
    );
    let storage = &config.storage;
    let data = storage.data().display();
    let services = if config.services.is_empty() {
        "the gateway".to_owned()
    } else {
        config.services.join(", ")
    };
    let (logins, log_in) = match &config.seed_password {
        // A password that was set is nobody's to print.
        Some(password) if password.0 == SEED_PASSWORD => (SEED_PASSWORD, log_in(address)),
        Some(_) => ("as set", String::new()),
        None => ("none: they cannot log in", String::new()),
    };
    let access = access(config.access);
    let rate = config.rate.map_or_else(
        || "any number".to_owned(),
        |rate| format!("{rate} requests/s of a client"),
    );
    // The path of this executable, even if cargo started it.
    let commerce = std::env::args()
        .next()
        .unwrap_or_else(|| "commerce".to_owned());
    format!(
        r#"
  commerce: {services} in one process
  shop      http://{address}/           buy, and watch your order
  tour      http://{address}/tour       six steps through the shop
  console   http://{address}/ops        for operators
  docs      http://{address}/docs       the API; for programs /openapi.json
  metrics   http://{address}/metrics    for Prometheus
  health    http://{address}/readyz     how each service is
  access    {access}
  limit     {rate}    traffic {traffic}
  data      {storage}
  seeds     SKU-001 … SKU-200 (scarce: SKU-198, SKU-199, SKU-200), cust-001 … cust-050
            pm_ok pm_declined pm_timeout pm_late pm_flaky pm_3ds pm_silent pm_expires pm_lapses
  logins    cust-001@example.com … cust-050@example.com, {OPERATOR}
            password {logins}

  place an order
    curl -i http://{address}/api/v1/orders -H 'Idempotency-Key: my-first' -H 'Content-Type: application/json' -d '{{
      "customer_id":"cust-001","currency":"EUR","lines":[{{"sku":"SKU-001","quantity":2}}],"payment_method":"pm_ok",
      "ship_to":{{"name":"Ada","street":"Example Street 1","city":"Berlin","postcode":"10115","country":"DE"}}}}'
  follow it      curl http://{address}/api/v1/orders/ORDER_ID
  its saga       curl -H 'Accept: text/plain' http://{address}/api/v1/orders/ORDER_ID/timeline
  its money      curl http://{address}/api/v1/payments/ORDER_ID/ledger
{log_in}  kill -9 this process, start it again, then
                 {commerce} verify --data {data}
  scenarios      {commerce} demo NAME --target http://{address} --data {data}
                 happy-path payment-failure inventory-unavailable duplicate-event saga-timeout concurrent-orders poison poison-alarm
  sagas          {commerce} saga list --data {data}
  dead letters   {commerce} dlq groups --data {data}; {commerce} dlq --help says how to go on
  more           {commerce} load --target http://{address} --orders 2000 --rate 200

"#
    )
}

/// How to log in with the password that everyone knows.
fn log_in(address: SocketAddr) -> String {
    format!(
        r#"  log in         curl http://{address}/api/v1/auth/login -H 'Content-Type: application/json' \
                   -d '{{"email":"cust-001@example.com","password":"{SEED_PASSWORD}"}}'
"#
    )
}
