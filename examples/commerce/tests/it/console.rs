//! What people do on the pages of a real shop: carry a parcel, check the invariants, play a scenario,
//! and see who acted.

use commerce_chassis::ON_A_SERVER;
use serde_json::json;

use crate::{
    sandbox::Sandbox,
    shop::{Reply, Shop, assert_holds, send, wait_for},
};

fn page(shop: &Shop, path: &str) -> String {
    let reply = send(shop.address(), "GET", path, &[("accept", "text/html")], "").unwrap();
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.body
}

fn submit(shop: &Shop, path: &str, form: &str) -> Reply {
    let kind = ("content-type", "application/x-www-form-urlencoded");
    send(shop.address(), "POST", path, &[kind], form).unwrap()
}

/// Submits a form that must be taken, and says where it leads.
fn taken(shop: &Shop, path: &str, form: &str) -> String {
    let reply = submit(shop, path, form);
    assert_eq!(reply.status, 303, "{path}: {reply:?}");
    reply.headers["location"].clone()
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, field) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap();
    field.split_once('"').unwrap().0.to_owned()
}

#[test]
fn a_visitor_who_is_the_courier_ends_the_order() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(sandbox.path());
    assert!(page(&shop, "/").contains("Buy, and be the courier"));
    let order = taken(&shop, "/buy", "key=k-1&sku=SKU-001&courier=me");
    let waiting = wait_for("a parcel that waits", || {
        let page = page(&shop, &order);
        page.contains("You are the courier").then_some(page)
    });
    let tracking_no = hidden(&waiting, "tracking_no");
    let report = |status: &str| {
        let form = format!("tracking_no={tracking_no}&status={status}");
        submit(&shop, &format!("{order}/courier"), &form)
    };
    assert_eq!(report("burnt").status, 422, "no such status");
    assert_eq!(report("delivered").status, 303);
    let id = order.strip_prefix("/orders/").unwrap();
    assert_eq!(shop.ended(id)["status"], "completed");
    let parcel = shop.get(&format!("/api/v1/shipments/{id}")).json();
    let tracking = parcel["tracking"].as_array().unwrap();
    let last = tracking.last().unwrap();
    assert_eq!(
        (&last["status"], &last["location"]),
        (&json!("delivered"), &json!("a courier by hand"))
    );
    assert!(!page(&shop, &order).contains("You are the courier"));
    shop.stop();
    assert_holds(sandbox.path());
}

#[test]
fn with_a_carrier_who_signs_himself_no_visitor_is_one() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signed = ["--traffic", "off", "--carrier-secret", secret];
    let shop = Shop::start(sandbox.path(), &signed).unwrap();
    assert!(!page(&shop, "/").contains("be the courier"));
    let order = taken(&shop, "/buy", "key=k-1&sku=SKU-001&courier=me");
    let id = order.strip_prefix("/orders/").unwrap();
    assert_eq!(
        shop.ended(id)["status"],
        "completed",
        "the simulated one carries it"
    );
    let reply = submit(
        &shop,
        &format!("{order}/courier"),
        "tracking_no=x&status=delivered",
    );
    assert_eq!(reply.status, 404);
    shop.stop();
}

#[test]
fn an_operator_plays_a_scenario_checks_everything_and_is_named() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(sandbox.path());
    let play = "/ops/invariants/play";
    let unsigned = submit(
        &shop,
        play,
        "scenario=payment-failure&operator=ada&reason=&sure=yes",
    );
    assert_eq!(unsigned.status, 422);
    for scenario in ["payment-failure", "poison"] {
        let form = format!("scenario={scenario}&operator=ada&reason=to+see+it&sure=yes");
        taken(&shop, play, &form);
        let second = submit(&shop, play, &form);
        assert!(
            matches!(second.status, 303 | 409),
            "one at a time: {second:?}"
        );
        wait_for(scenario, || {
            let page = page(&shop, "/ops/invariants");
            assert!(!page.contains("did not hold"), "{page}");
            let has_ended = page.contains("status ok");
            (has_ended && page.contains("every expectation held")).then_some(())
        });
    }
    let acts = page(&shop, "/ops/acts");
    for part in [
        "ada",
        "to see it",
        "play a scenario",
        "payment-failure",
        "dead letter inventory/",
        ">edit<",
        ">replay<",
    ] {
        assert!(acts.contains(part), "{part}: {acts}");
    }

    let check = "/ops/invariants/check";
    if ON_A_SERVER {
        assert_eq!(submit(&shop, check, "").status, 404);
        assert!(page(&shop, "/ops/invariants").contains("commerce verify"));
    } else {
        taken(&shop, check, "");
        let checked = wait_for("the verdict", || {
            let page = page(&shop, "/ops/invariants");
            page.contains("class=\"invariants\"").then_some(page)
        });
        assert!(checked.contains(">I14<"), "{checked}");
        assert!(!checked.contains("status broken"), "{checked}");
    }
    shop.stop();
    assert_holds(sandbox.path());
}

#[test]
fn a_process_of_one_service_says_what_to_type() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let one = ["--traffic", "off", "--service", "order"];
    let shop = Shop::start(sandbox.path(), &one).unwrap();
    let invariants = page(&shop, "/ops/invariants");
    assert!(
        invariants.contains("commerce verify --data DIR"),
        "{invariants}"
    );
    assert!(page(&shop, "/ops/acts").contains("commerce saga show ORDER"));
    for path in [
        "/ops/invariants/check",
        "/console/check",
        "/console/scenarios/poison",
    ] {
        assert_eq!(submit(&shop, path, "").status, 404, "{path}");
    }
    shop.stop();
}

#[test]
fn where_tokens_are_required_only_operators_have_a_console() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let required = [
        "--traffic",
        "off",
        "--auth",
        "required",
        "--seed-password",
        "mainstay-demo",
    ];
    let shop = Shop::start(sandbox.path(), &required).unwrap();
    let token = |email: &str| {
        let login = json!({"email": email, "password": "mainstay-demo"}).to_string();
        let reply = send(shop.address(), "POST", "/api/v1/auth/login", &[], &login).unwrap();
        format!("Bearer {}", reply.json()["access_token"].as_str().unwrap())
    };
    let (customer, operator) = (token("cust-001@example.com"), token("operator@example.com"));
    let ask = |token: &str, method: &str, path: &str, form: &str| {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers = [("accept", "text/html"), kind, ("authorization", token)];
        send(shop.address(), method, path, &headers, form).unwrap()
    };
    let play = "/ops/invariants/play";
    let form = "scenario=payment-failure&operator=mallory&reason=to+see+it&sure=yes";
    for path in ["/ops/invariants", "/ops/acts"] {
        assert_eq!(ask(&customer, "GET", path, "").status, 403, "{path}");
        assert_eq!(ask("Bearer x", "GET", path, "").status, 401, "{path}");
        assert_eq!(ask(&operator, "GET", path, "").status, 200, "{path}");
    }
    assert_eq!(ask(&customer, "POST", play, form).status, 403);
    let report = "tracking_no=x&status=delivered";
    assert_eq!(
        ask(&customer, "POST", "/orders/o/courier", report).status,
        403
    );
    assert_eq!(ask(&operator, "POST", play, form).status, 303);
    let acts = ask(&operator, "GET", "/ops/acts", "").body;
    assert!(acts.contains("to see it"), "{acts}");
    assert!(
        !acts.contains("mallory"),
        "a token names its operator: {acts}"
    );
    shop.stop();
}
