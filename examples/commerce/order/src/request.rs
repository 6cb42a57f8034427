//! Reads a client's request, and checks all that needs no table.

use axum::http::StatusCode;
use commerce_chassis::Problem;
use commerce_contracts::{Address, Currency, Sku};
use serde::{Deserialize, Serialize, de::IgnoredAny};

const MOST_LINES: usize = 50;
const LONGEST_TEXT: usize = 200;
const PAYMENT_METHODS: [&str; 6] = [
    "pm_ok",
    "pm_declined",
    "pm_timeout",
    "pm_late",
    "pm_flaky",
    "pm_3ds",
];

/// The body of `POST /api/v1/orders`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceOrder {
    pub(crate) customer_id: String,
    currency: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) payment_method: String,
    pub(crate) ship_to: Address,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) sku: Sku,
    pub(crate) quantity: i64,
}

/// A well-formed request.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    /// The client's idempotency key.
    pub(crate) key: String,
    pub(crate) request: PlaceOrder,
    pub(crate) currency: Currency,
    /// The normalised request; two requests are the same if these texts are equal.
    pub(crate) text: String,
}

impl Placement {
    /// Reads and checks a request.
    pub(crate) fn read<'a>(
        keys: impl IntoIterator<Item = &'a [u8]>,
        body: &[u8],
    ) -> Result<Self, Problem> {
        let key = read_key(keys)?;
        // Check for JSON first: otherwise a truncated body may be reported as an unknown member.
        let _is_json: IgnoredAny = serde_json::from_slice(body).map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "malformed-json",
                "The body is not JSON",
                error.to_string(),
            )
        })?;
        let no_order =
            |detail: String| invalid("invalid-request", "The request is not an order", detail);
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(no_order("expected an object".to_owned()));
        }
        let request: PlaceOrder =
            serde_json::from_slice(body).map_err(|error| no_order(error.to_string()))?;
        let currency = check(&request)?;
        // Texts, numbers and lists of them always serialise.
        let text = serde_json::to_string(&request).unwrap_or_default();
        Ok(Self {
            key,
            request,
            currency,
            text,
        })
    }
}

fn read_key<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Result<String, Problem> {
    let wrong = |detail: &str| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency-key",
            "An Idempotency-Key is needed",
            detail,
        )
    };
    let mut keys = keys.into_iter();
    let key = keys
        .next()
        .ok_or_else(|| wrong("the header Idempotency-Key is missing"))?;
    if keys.next().is_some() {
        return Err(wrong("there is more than one header Idempotency-Key"));
    }
    if key.is_empty() || key.len() > 255 || !key.iter().all(u8::is_ascii_graphic) {
        return Err(wrong("1 to 255 visible ASCII characters, no spaces"));
    }
    Ok(String::from_utf8_lossy(key).into_owned())
}

fn check(request: &PlaceOrder) -> Result<Currency, Problem> {
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
