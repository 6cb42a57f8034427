//! `/`: the products, the buttons that matter, and the visitor's latest orders.

use axum::{
    Form, Router,
    extract::{Query, Request, State},
    http::{StatusCode, header::SET_COOKIE},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use mainstay_clock::{IdGenerator as _, SystemIds};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use tower::ServiceExt as _;

use crate::{
    Pages,
    api::{Api, Failed, escaped},
    courier,
    listing::orders,
    money::amount,
    page::{Area, Page, Refusal, absent},
    visit::{CUSTOMER, Visit, cookie},
};

/// Products of a page.
const SHOWN: usize = 12;
/// Orders of the visitor on the page.
const LATEST: usize = 10;
/// What the simulated payment provider makes of each way to pay.
const OTHER_WAYS: [(&str, &str); 7] = [
    ("pm_flaky", "a provider that fails twice"),
    ("pm_late", "a provider that answers too late"),
    ("pm_timeout", "a provider that does not answer"),
    ("pm_silent", "a provider that says nothing at all"),
    ("pm_3ds", "a card that asks for more"),
    ("pm_expires", "a card whose hold expires, and is renewed"),
    ("pm_lapses", "a card whose hold expires for good"),
];

pub(crate) fn router() -> Router<Pages> {
    Router::new()
        .route("/", get(index))
        .route("/buy", post(buy))
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    page: String,
}

/// A page for people; programs get what they got before.
async fn index(
    State(pages): State<Pages>,
    visit: Visit,
    search: Query<Search>,
    request: Request,
) -> Response {
    if !visit.wants_page() {
        return match pages.index.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
    }
    shop(&pages, &visit, &search).await.into_response()
}

async fn shop(pages: &Pages, visit: &Visit, search: &Search) -> Page {
    let customer = visit.customer();
    let of_customer = [("customer_id", &*customer)];
    let (offer, latest, may_carry) = tokio::join!(
        Offer::ask(&pages.api, visit, search),
        orders(&pages.api, visit, &of_customer, LATEST),
        courier::is_open(&pages.api, visit),
    );
    let body = html! {
        h1 { "A shop that loses nothing" }
        p { "Every order below runs through eight services. Break what you like: " a href="/tour" { "six steps" } " show how." }
        (counter(&offer, &customer, may_carry))
        section {
            h2 { "Products" }
            (find(search))
            (offer.shown(search))
        }
        section {
            h2 { "Latest orders of " (customer) }
            @match &latest {
                Ok(Some(list)) if !list.items.is_empty() => (crate::listing::table(&list.items)),
                latest => (absent(latest, "No order yet."))
            }
        }
    };
    Page::new(Area::Shop, "/", "Shop", body)
}

/// Where visitors buy.
fn counter(offer: &Offer, customer: &str, may_carry: bool) -> Markup {
    html! {
        form.counter method="post" action="/buy" {
            (key())
            label { "Product" (choice(&offer.products)) }
            label { "Pieces" input.short name="quantity" type="number" min="1" max="1000" value="1" required; }
            label { "Customer" input.short name="customer" required maxlength="80" value=(customer); }
            div.buttons {
                button name="payment_method" value="pm_ok" { "Buy" }
                button.back name="payment_method" value="pm_declined" { "Buy with a declined card" }
                @if may_carry { button name="courier" value="me" { "Buy, and be the courier" } }
            }
            details id="ways" {
                summary { "or pay with …" }
                div.buttons { @for (way, what) in OTHER_WAYS { button.quiet name="payment_method" value=(way) { (what) } } }
            }
            p.fine {
                "A simulated courier brings parcels within seconds."
                @if may_carry { " Be the courier yourself: the parcel waits for your word on the page of the order, for ten minutes." }
            }
        }
    }
}

/// Without the catalog, visitors name the SKU.
fn choice(products: &[Product]) -> Markup {
    html! {
        @if products.is_empty() {
            input name="sku" required maxlength="80" value="SKU-001";
        } @else {
            select name="sku" { @for product in products { option value=(product.sku) { (product.name) } } }
        }
    }
}

/// The order gets this key before it is sent, so a form that is sent twice buys once.
pub(crate) fn key() -> Markup {
    html! { input type="hidden" name="key" value=(SystemIds::new().uuid()); }
}

fn find(search: &Search) -> Markup {
    html! {
        form.find method="get" action="/" role="search" {
            label { "Search" input name="q" type="search" value=(search.q); }
            @if !search.category.is_empty() { input type="hidden" name="category" value=(search.category); }
            button.quiet { "Find" }
        }
    }
}

/// Something to buy.
struct Product {
    sku: String,
    name: String,
    category: String,
    price: Option<String>,
    availability: String,
}

/// What is for sale.
struct Offer {
    products: Vec<Product>,
    categories: Vec<String>,
    next: Option<String>,
    failed: Option<Failed>,
}

#[derive(Deserialize)]
struct Catalog {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    sku: String,
    name: String,
    category: String,
    availability: String,
    prices: Vec<Price>,
}

#[derive(Deserialize)]
struct Price {
    currency: String,
    price_minor: i64,
}

/// A category, or its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Category {
    Name(String),
    Counted { category: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Categories {
    List(Vec<Category>),
    Page { items: Vec<Category> },
}

impl From<Item> for Product {
    fn from(item: Item) -> Self {
        let euro = item.prices.iter().find(|price| price.currency == "EUR");
        let price = euro.or_else(|| item.prices.first());
        Self {
            price: price.map(|price| amount(price.price_minor, &price.currency)),
            sku: item.sku,
            name: item.name,
            category: item.category,
            availability: item.availability.replace('_', " "),
        }
    }
}

impl Offer {
    async fn ask(api: &Api, visit: &Visit, search: &Search) -> Self {
        let path = format!(
            "/api/v1/products?limit={SHOWN}&q={}&category={}&page={}",
            escaped(&search.q),
            escaped(&search.category),
            escaped(&search.page)
        );
        let (catalog, categories) = tokio::join!(
            api.get::<Catalog>(visit, &path),
            api.get::<Categories>(visit, "/api/v1/categories"),
        );
        let categories = match categories {
            Ok(Some(Categories::List(all) | Categories::Page { items: all })) => all,
            _ => Vec::new(),
        };
        let name = |category| match category {
            Category::Name(name) | Category::Counted { category: name } => name,
        };
        let (products, next, failed) = match catalog {
            Ok(Some(page)) => (page.items, page.next, None),
            Ok(None) => (Vec::new(), None, None),
            Err(failed) => (Vec::new(), None, Some(failed)),
        };
        Self {
            products: products.into_iter().map(Product::from).collect(),
            categories: categories.into_iter().map(name).collect(),
            next,
            failed,
        }
    }

    fn shown(&self, search: &Search) -> Markup {
        html! {
            @if let Some(failed) = &self.failed { p.trouble role="status" { "The catalog is not to be had now: " (failed) } }
            @if !self.categories.is_empty() {
                p.chips {
                    a href="/" aria-current=[search.category.is_empty().then_some("true")] { "all" }
                    @for category in &self.categories {
                        " " a href=(format!("/?category={}", escaped(category))) aria-current=[(search.category == *category).then_some("true")] { (category) }
                    }
                }
            }
            @if self.products.is_empty() && self.failed.is_none() { p.idle { "Nothing matches." } }
            ul.products {
                @for product in &self.products {
                    li {
                        strong { (product.name) }
                        span.fine { (product.sku) " · " (product.category) }
                        span { @if let Some(price) = &product.price { (price) } " " span.fine { (product.availability) } }
                        form method="post" action="/buy" {
                            (key())
                            input type="hidden" name="sku" value=(product.sku);
                            button.quiet name="payment_method" value="pm_ok" aria-label=(format!("Buy {}", product.name)) { "Buy" }
                        }
                    }
                }
            }
            @if let Some(next) = &self.next {
                p { a href=(format!("/?q={}&category={}&page={}", escaped(&search.q), escaped(&search.category), escaped(next))) { "More products" } }
            }
        }
    }
}

#[derive(Deserialize)]
struct Purchase {
    key: String,
    sku: String,
    #[serde(default = "one")]
    quantity: u32,
    #[serde(default)]
    customer: String,
    /// A button that says something else says nothing of the payment.
    #[serde(default = "card")]
    payment_method: String,
    /// Whether the visitor carries the parcel.
    #[serde(default)]
    courier: Option<String>,
}

fn card() -> String {
    "pm_ok".to_owned()
}

const fn one() -> u32 {
    1
}

#[derive(Deserialize)]
struct Placed {
    order_id: String,
}

/// Places the order, and shows its page.
async fn buy(
    State(pages): State<Pages>,
    visit: Visit,
    Form(purchase): Form<Purchase>,
) -> Result<Response, Refusal> {
    let named = Some(purchase.customer).filter(|name| !name.trim().is_empty());
    let customer = named.unwrap_or_else(|| visit.customer());
    let carries = purchase.courier.is_some() && courier::is_open(&pages.api, &visit).await;
    let postcode = if carries { courier::POSTCODE } else { "10115" };
    let order = json!({
        "customer_id": customer,
        "currency": "EUR",
        "lines": [{"sku": purchase.sku, "quantity": purchase.quantity}],
        "payment_method": purchase.payment_method,
        "ship_to": {
            "name": "Ada Example", "street": "Example Street 1", "city": "Berlin", "postcode": postcode, "country": "DE",
        },
    });
    let key = Some(&*purchase.key);
    let answer = pages
        .api
        .post(&visit, "/api/v1/orders", key, &order)
        .await?;
    let placed = serde_json::from_slice::<Placed>(&answer.body).map_err(|error| {
        let title = "The shop answered what this page cannot read";
        Refusal::new(StatusCode::BAD_GATEWAY, title, error.to_string())
    })?;
    let shown = Redirect::to(&format!("/orders/{}", escaped(&placed.order_id)));
    let remembered = AppendHeaders([(SET_COOKIE, cookie(CUSTOMER, &customer))]);
    Ok((remembered, shown).into_response())
}
