//! Reads a client's request, and checks all that needs no table.

use axum::http::StatusCode;
use commerce_chassis::{Caller, Problem, utoipa};
use commerce_contracts::{Address, Currency, Sku};
use mainstay_idempotency::{InvalidKey, Key, KeyedRequest, Scope};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const MOST_LINES: usize = 50;
const LONGEST_TEXT: usize = 200;
const PAYMENT_METHODS: [&str; 9] = [
    "pm_ok",
    "pm_declined",
    "pm_timeout",
    "pm_silent",
    "pm_late",
    "pm_flaky",
    "pm_3ds",
    "pm_expires",
    "pm_lapses",
];

/// An order that a customer asks for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrder)]
pub(crate) struct Body {
    /// Whose order it is; without it, the order of the user whose token it is.
    #[serde(default)]
    #[schema(example = "cust-001")]
    customer_id: Option<String>,
    /// EUR, USD or GBP.
    #[schema(example = "EUR")]
    currency: String,
    /// 1 to 50 lines.
    #[schema(min_items = 1, max_items = 50)]
    pub(crate) lines: Vec<Line>,
    /// What the simulated payment provider is to do, such as `pm_ok` or `pm_declined`.
    #[schema(example = "pm_ok")]
    pub(crate) payment_method: String,
    /// Where it is sent to.
    #[schema(value_type = ShipTo)]
    pub(crate) ship_to: Address,
}

/// What is ordered of one product.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrderLine)]
pub(crate) struct Line {
    #[schema(value_type = String, example = "SKU-001")]
    pub(crate) sku: Sku,
    #[schema(minimum = 1)]
    pub(crate) quantity: i64,
}

/// A postal address.
#[derive(utoipa::ToSchema)]
#[schema(as = Address)]
#[expect(dead_code, reason = "it describes what `Address` reads")]
pub(crate) struct ShipTo {
    name: String,
    street: String,
    city: String,
    postcode: String,
    /// ISO 3166, two capital letters.
    #[schema(example = "DE")]
    country: String,
}

/// A well-formed request.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) request: Body,
    pub(crate) currency: Currency,
    pub(crate) customer_id: String,
    /// Whether a token proves that there is such a customer.
    pub(crate) is_vouched: bool,
}

impl Placement {
    /// Reads and checks a request of `caller`.
    pub(crate) fn read(body: &RawValue, caller: &Caller) -> Result<Self, Problem> {
        let no_order =
            |detail: String| invalid("invalid-request", "The request is not an order", detail);
        if !body.get().starts_with('{') {
            return Err(no_order("expected an object".to_owned()));
        }
        let mut request: Body =
            serde_json::from_str(body.get()).map_err(|error| no_order(error.to_string()))?;
        let customer_id = caller.acts_for(request.customer_id.as_deref())?;
        let currency = check(&request)?;
        // The same request, whether it names the customer or the token does.
        request.customer_id = Some(customer_id.clone());
        Ok(Self {
            is_vouched: caller.user_id() == Some(&*customer_id),
            request,
            currency,
            customer_id,
        })
    }

    /// The same request under a key of its customer: customers with the same key never meet.
    /// Requests are the same if they say the same, however they are written.
    pub(crate) fn keyed(&self, key: &Key) -> Result<KeyedRequest, Problem> {
        let invalid_key = |error: InvalidKey| {
            invalid(
                "unknown-customer",
                "There is no such customer",
                error.to_string(),
            )
        };
        let scope = Scope::new(&self.customer_id, key.scope().operation());
        let key = scope.and_then(|scope| scope.key(key.text()));
        // Texts, numbers and lists of them always serialise.
        let text = serde_json::to_string(&self.request).unwrap_or_default();
        Ok(KeyedRequest::new(key.map_err(invalid_key)?, text))
    }
}

fn check(request: &Body) -> Result<Currency, Problem> {
    let currency = request.currency.parse().map_err(|_| {
        invalid(
            "unknown-currency",
            "The shop does not sell in this currency",
            format!("{:?} is none of EUR, USD, GBP", clip(&request.currency)),
        )
    })?;
    if request.lines.is_empty() || request.lines.len() > MOST_LINES {
        return Err(invalid(
            "invalid-lines",
            "An order has 1 to 50 lines",
            format!("this one has {}", request.lines.len()),
        ));
    }
    if let Some(line) = request.lines.iter().find(|line| line.quantity < 1) {
        return Err(invalid(
            "invalid-quantity",
            "A quantity is at least 1",
            format!("{} of {:?}", line.quantity, clip(line.sku.as_str())),
        ));
    }
    if !PAYMENT_METHODS.contains(&&*request.payment_method) {
        return Err(invalid(
            "unknown-payment-method",
            "There is no such payment method",
            format!("{:?}", clip(&request.payment_method)),
        ));
    }
    check_address(&request.ship_to)?;
    Ok(currency)
}

fn check_address(address: &Address) -> Result<(), Problem> {
    let wrong = |detail: String| invalid("invalid-address", "The address is not complete", detail);
    for (name, text) in [
        ("name", &address.name),
        ("street", &address.street),
        ("city", &address.city),
        ("postcode", &address.postcode),
    ] {
        let unprintable = text.chars().any(char::is_control);
        if text.trim().is_empty() || unprintable || text.chars().count() > LONGEST_TEXT {
            let wanted = format!("{name}: 1 to {LONGEST_TEXT} printable characters");
            return Err(wrong(wanted));
        }
    }
    let country = address.country.as_bytes();
    if country.len() != 2 || !country.iter().all(u8::is_ascii_uppercase) {
        return Err(wrong("country: two capital letters, such as DE".to_owned()));
    }
    Ok(())
}

/// The problem of a well-formed request.
pub(crate) fn invalid(
    slug: &'static str,
    title: &'static str,
    detail: impl Into<String>,
) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title, detail)
}

/// The beginning of a client's text.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
