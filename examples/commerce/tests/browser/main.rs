//! The pages in a real browser. `cargo xtask prove browser` runs it; the pictures are in
//! `target/screenshots`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test suite: it fails loudly"
)]

mod browser;
mod shop;

use browser::Browser;
use shop::Shop;
use thirtyfour::prelude::*;

/// Pages with a picture of their own, and their headings. That of a refusal says something else.
const PAGES: [(&str, &str, &str); 9] = [
    ("ops", "/ops", "Overview"),
    ("ops-orders", "/ops/orders", "Orders"),
    ("ops-sagas", "/ops/sagas", "Sagas"),
    ("ops-dead-letters", "/ops/dead-letters", "Dead letters"),
    ("ops-invariants", "/ops/invariants", "Invariants"),
    ("ops-acts", "/ops/acts", "Acts"),
    ("ops-health", "/ops/health", "Health"),
    ("tour", "/tour", "Six steps"),
    ("login", "/login", "Log in"),
];

/// Hears what the page hears, until that was enough.
const HEAR: &str = "let heard = 0;
    new EventSource(document.querySelector('[data-live]').dataset.live).onmessage =
        () => { if (++heard > 4) document.body.dataset.heard = 'enough'; };";

#[tokio::test]
async fn people_buy_watch_and_act_in_a_browser() -> WebDriverResult<()> {
    let Some(browser) = Browser::open().await? else {
        return Ok(());
    };
    let shop = Shop::open();
    let outcome = visit(&browser, &shop).await;
    if outcome.is_err() {
        browser.picture("failed").await?;
    }
    browser.close().await?;
    outcome
}

async fn visit(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    an_order_is_watched_live(browser, shop).await?;
    a_declined_card_is_taken_back(browser, shop).await?;
    a_visitor_is_the_courier(browser, shop).await?;
    a_customer_returns_a_piece(browser, shop).await?;
    an_operator_cancels_a_saga(browser, shop).await?;
    an_operator_plays_and_checks(browser, shop).await?;
    every_page_is_readable(browser, shop).await?;
    the_keyboard_is_enough(browser, shop).await?;
    no_script_is_needed(browser, shop).await
}

/// The page changes without being loaded again.
async fn an_order_is_watched_live(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.goto(&shop.url("/")).await?;
    browser.pictures("shop").await?;
    browser.click("button[value=pm_flaky]", true).await?;
    browser.wait_for("#summary dl").await?;
    let address = browser.driver.current_url().await?;
    assert!(address.path().starts_with("/orders/"), "{address}");
    browser.run("document.body.dataset.loaded = 'once'").await?;
    browser.wait_for("#summary .status.completed").await?;
    browser.wait_for("body[data-loaded=once]").await?;
    // Two refused attempts, and the one that was taken.
    let attempts = browser.driver.find_all(By::Css("svg rect.refused")).await?;
    assert_eq!(attempts.len(), 2);
    browser.wait_for("#money tr.good").await?;
    browser.pictures("order-completed").await
}

async fn a_declined_card_is_taken_back(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.goto(&shop.url("/")).await?;
    browser.click("button[value=pm_declined]", false).await?;
    browser.wait_for("#summary .status.cancelled").await?;
    browser.wait_for("svg g.back rect").await?;
    browser.wait_for("#journal tr.back").await?;
    browser.pictures("order-cancelled").await
}

/// The parcel waits until the visitor says what happened.
async fn a_visitor_is_the_courier(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.goto(&shop.url("/")).await?;
    browser.click("button[name=courier]", false).await?;
    browser.wait_for("form.courier").await?;
    browser.pictures("order-courier").await?;
    browser.click("button[value=delivered]", false).await?;
    browser.wait_for("#summary .status.completed").await?;
    Ok(())
}

/// The money comes back while the page is open.
async fn a_customer_returns_a_piece(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.goto(&shop.url("/")).await?;
    browser.click("button[value=pm_ok]", false).await?;
    browser.wait_for("#return-form").await?;
    browser.click("#return-form summary", false).await?;
    let pieces = browser.wait_for("input[name^='pieces:']").await?;
    pieces.clear().await?;
    pieces.send_keys("1").await?;
    browser.click("#return-form button", false).await?;
    browser.wait_for("#returns .status.refunded").await?;
    browser.pictures("order-returned").await
}

/// The steps of the scenario and the verdict appear without a reload.
async fn an_operator_plays_and_checks(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.goto(&shop.url("/ops/invariants")).await?;
    for (name, text) in [("operator", "ada"), ("reason", "to see it")] {
        let field = browser.wait_for(&format!("input[name={name}]")).await?;
        field.clear().await?;
        field.send_keys(text).await?;
    }
    browser.click("input[name=sure]", false).await?;
    browser
        .click("button[value=payment-failure]", false)
        .await?;
    browser.wait_for("#played .status.ok").await?;
    browser
        .click("form[action$='/check'] button", false)
        .await?;
    browser.wait_for("#checked table").await?;
    let broken = browser.driver.find_all(By::Css(".status.broken")).await?;
    assert!(broken.is_empty(), "{}", browser.driver.source().await?);
    browser.pictures("ops-checked").await?;
    browser.goto(&shop.url("/ops/acts")).await?;
    browser.wait_for_text("tr", "payment-failure").await?;
    browser.wait_for_text("tr", "the provider is silent").await
}

/// A provider that says nothing keeps the saga waiting.
async fn an_operator_cancels_a_saga(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.goto(&shop.url("/")).await?;
    browser.click("button[value=pm_silent]", true).await?;
    browser.wait_for("#summary dl").await?;
    let order = browser.driver.current_url().await?;
    // The part with the link is replaced all the time, but not under a finger.
    browser.hold("#summary dl a").await?;
    browser.run(HEAR).await?;
    browser.wait_for("body[data-heard=enough]").await?;
    browser.driver.action_chain().release().perform().await?;
    browser.wait_for("form.act[action$='/cancel']").await?;
    browser.pictures("ops-saga").await?;
    let form = browser.wait_for("form.act[action$='/cancel']").await?;
    for (field, text) in [("operator", "ada"), ("reason", "the provider is silent")] {
        let field = form.find(By::Name(field)).await?;
        field.clear().await?;
        field.send_keys(text).await?;
    }
    let button = form.find(By::Css("button")).await?;
    let before = browser.driver.current_url().await?;
    button.click().await?;
    // The box is not ticked, so the browser does not send the form.
    assert_eq!(browser.driver.current_url().await?, before);
    form.find(By::Name("sure")).await?.click().await?;
    button.click().await?;
    browser
        .wait_for_text("tr.back", "cancelled by ada: the provider is silent")
        .await?;
    browser.goto(order.as_str()).await?;
    browser
        .wait_for("#summary .status.cancelling, #summary .status.cancelled")
        .await?;
    browser.pictures("order-cancelling").await
}

async fn every_page_is_readable(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    for (name, path, heading) in PAGES {
        browser.goto(&shop.url(path)).await?;
        browser.wait_for_text("main h1", heading).await?;
        browser.pictures(name).await?;
    }
    browser.goto(&shop.url("/orders/nobody")).await?;
    browser
        .wait_for_text("h1", "There is no such thing")
        .await?;
    Ok(())
}

/// From the address bar, the first stop leads past the menu.
async fn the_keyboard_is_enough(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.goto(&shop.url("/")).await?;
    let keys = browser.driver.action_chain();
    keys.send_keys(Key::Tab).perform().await?;
    let focused = browser.driver.active_element().await?;
    assert_eq!(focused.text().await?, "Skip to the content");
    focused.send_keys(Key::Enter).await?;
    let button = browser.wait_for("button[value=pm_ok]").await?;
    button.focus().await?;
    button.send_keys(Key::Enter).await?;
    browser.wait_for("#summary .status").await?;
    Ok(())
}

/// Without scripts, the browser itself asks again.
async fn no_script_is_needed(browser: &Browser, shop: &Shop) -> WebDriverResult<()> {
    browser.scripts(false).await?;
    browser.goto(&shop.url("/")).await?;
    browser.click("button[value=pm_ok]", false).await?;
    browser.wait_for("#summary .status.completed").await?;
    browser.scripts(true).await
}
